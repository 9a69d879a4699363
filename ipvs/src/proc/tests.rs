use proptest::prelude::*;

use super::{Key, Method, Services, parse, read_from};
use crate::model::{Forward, Scheduler, ServiceKey};

const HEADINGS: &str = "\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
";

/// As Linux 6.1 writes it.
const TABLE: &str = "\
TCP  0A000002:0000 rr  persistent 6000 FFFFFFFF
  -> 0A000101:0000      Masq    1      0          0         
TCP  0A000001:0050 rr  
  -> 0A000102:0051      Masq    100000 12         345       
  -> 0A000101:0050      Route   1      0          0         
UDP  [2001:0db8:0000:0000:0000:0000:0000:0002]:0035 wlc persistent 30000 40000000
FWM  00000007 wlc persistent 30000 40000000
  -> [2001:0db8:0000:0000:0000:0000:0000:0001]:0000      Tunnel  1      0          0         
FWM  00000007 wlc ops 
";

fn table(text: &str) -> Vec<super::Service> {
    parse(&format!("{HEADINGS}{text}")).unwrap()
}

#[test]
fn a_table_is_read() {
    let services = table(TABLE);
    let keys: Vec<_> = services.iter().map(|s| s.key.to_string()).collect();
    assert_eq!(
        keys,
        [
            "10.0.0.2:0",
            "10.0.0.1:80",
            "udp:[2001:db8::2]:53",
            "fwmark:7",
            "fwmark:7"
        ]
    );
    let persistent: Vec<_> = services.iter().map(|s| s.persistent).collect();
    assert_eq!(persistent, [true, false, true, true, false]);
    assert!(services[4].one_packet && !services[3].one_packet);
    assert_eq!(services[2].scheduler, Scheduler::WLC);
    let tunnelled = &services[3].destinations[0];
    assert_eq!(tunnelled.key.to_string(), "[2001:db8::1]:0");
    assert_eq!(tunnelled.method, Method::Tunnel);
    let masq = &services[1].destinations[0];
    assert_eq!(
        (masq.weight, masq.active, masq.inactive),
        (100_000, 12, 345)
    );
    assert_eq!(masq.method, Method::from(Forward::Masq));
    assert_eq!(services[1].destinations[1].method, Method::Direct);
}

#[test]
fn an_empty_table_is_no_error_and_an_empty_file_is() {
    assert_eq!(table(""), []);
    let error = parse("").unwrap_err();
    assert_eq!(
        error.to_string(),
        "line 1: three lines of headings are expected: \"\""
    );
    parse("IP Virtual Server version 1.2.1 (size=4096)\n").unwrap_err();
}

#[test]
fn what_is_wanted_is_spelled_alike() {
    let key = ServiceKey::tcp("10.0.0.1:80".parse().unwrap());
    assert_eq!(table(TABLE)[1].key, Key::from(&key));
}

#[test]
fn errors_say_which_line() {
    let error = parse(&format!("{HEADINGS}TCP  0A000001:0050 rr\n  -> bad\n")).unwrap_err();
    assert_eq!(error.to_string(), "line 5: no address: \"  -> bad\"");
    for bad in [
        "  -> 0A000101:0050 Masq 1 0 0",
        "XYZ 0A000001:0050 rr",
        "FWM 00000000 rr",
    ] {
        parse(&format!("{HEADINGS}{bad}\n")).unwrap_err();
    }
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[test]
fn a_file_is_read_as_the_text_is() {
    let file = file(&format!("{HEADINGS}{TABLE}"));
    assert_eq!(read_from(file.path()).unwrap(), table(TABLE));
}

#[test]
fn nothing_is_read_after_an_error() {
    let file = file(&format!("{HEADINGS}bad\n{TABLE}"));
    let mut services = Services::open_at(file.path()).unwrap();
    services.next().unwrap().unwrap_err();
    assert!(services.next().is_none());
}

#[test]
fn a_missing_file_is_named() {
    let path = std::path::Path::new("/nonexistent/ip_vs");
    let error = read_from(path).unwrap_err().to_string();
    assert!(
        error.contains("/nonexistent/ip_vs") && error.contains("modprobe ip_vs"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in ".*", lines in "[-> 0-9A-FTCPUDPFWM:\\[\\]\n]{0,200}") {
        let _ = parse(&text);
        let _ = parse(&format!("{HEADINGS}{text}"));
        let _ = parse(&format!("{HEADINGS}{lines}"));
    }

    #[test]
    fn cut_off_anywhere_it_does_not_panic(at: prop::sample::Index, byte in " -~") {
        let mut text = format!("{HEADINGS}{TABLE}");
        let at = at.index(text.len());
        text.replace_range(at..=at, &byte);
        let _ = parse(&text);
        let _ = parse(&text[..at]);
    }
}
