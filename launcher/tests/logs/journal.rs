//! A journal that is the test's own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, IoSliceMut, Read as _};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use launcher::logs::{Origin, Sink};
use launcher::runtime::{Frame, Stream};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};
use testbed::wait;

use crate::DEADLINE;
use crate::memory::Rig;
use crate::real::{Real, to_the_end};

/// Takes entries as journald does.
struct Journal(UnixDatagram);

/// The fields of an entry, and whether it came as a file.
type Entry = (BTreeMap<String, Vec<u8>>, bool);

impl Journal {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(socket)
    }

    /// The text of the next entry; `None` where there is none and it does not wait.
    fn message(&self) -> Option<String> {
        let mut bytes = [0; 4096];
        let length = match self.0.recv(&mut bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            received => received.unwrap(),
        };
        let message = fields(&bytes[..length]).remove("MESSAGE").unwrap();
        Some(String::from_utf8(message).unwrap())
    }

    fn entry(&self) -> Entry {
        let mut bytes = vec![0; 1 << 20];
        let mut space = nix::cmsg_space!([RawFd; 1]);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let (socket, flags) = (self.0.as_raw_fd(), MsgFlags::MSG_CMSG_CLOEXEC);
        let received = recvmsg::<UnixAddr>(socket, &mut parts, Some(&mut space), flags).unwrap();
        let length = received.bytes;
        let file = received.cmsgs().unwrap().find_map(|message| match message {
            ControlMessageOwned::ScmRights(descriptors) => Some(descriptors[0]),
            _ => None,
        });
        let Some(descriptor) = file else {
            return (fields(&bytes[..length]), false);
        };
        assert_eq!(length, 0);
        (fields(&sealed(descriptor)), true)
    }
}

/// What is in a file that nobody can change any more.
fn sealed(descriptor: RawFd) -> Vec<u8> {
    let mut file = File::open(format!("/proc/self/fd/{descriptor}")).unwrap();
    nix::unistd::close(descriptor).unwrap();
    let seals = SealFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GET_SEALS).unwrap());
    assert_eq!(
        seals,
        SealFlag::all() - SealFlag::F_SEAL_FUTURE_WRITE,
        "{seals:?}"
    );
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

fn fields(entry: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let lines = entry
        .strip_suffix(b"\n")
        .unwrap()
        .split(|byte| *byte == b'\n');
    let field = |line: &[u8]| {
        let equals = line.iter().position(|byte| *byte == b'=').unwrap();
        let name = String::from_utf8(line[..equals].to_vec()).unwrap();
        (name, line[equals + 1..].to_vec())
    };
    lines.map(field).collect()
}

fn sink(rig: &Rig, socket: &Path) -> Sink {
    let origin = Origin {
        container: rig.ours.clone(),
        service: "web".parse().unwrap(),
        revision: "42-0a1b2c3d".parse().unwrap(),
    };
    Sink::journal(socket, &origin).unwrap()
}

pub async fn entries(_: &Real) {
    let mut rig = Rig::new().await;
    let socket = rig.files.path().join("socket");
    let journal = Journal::listen(&socket);
    let large = vec![b'x'; 1 << 20];
    rig.say("one = \u{1b}[1m two");
    rig.write(b"\0\xff", true);
    rig.write(&large, true);
    let error = Frame {
        stream: Stream::Stderr,
        time: "2026-11-21T17:12:01.443436531Z".parse().unwrap(),
        bytes: Vec::new(),
        ends_line: true,
    };
    rig.runtime.write(rig.ours.name(), error);
    rig.exit();
    let following = tokio::spawn(to_the_end(rig.follower_to(sink(&rig, &socket))));
    let read = tokio::task::spawn_blocking(move || [(); 4].map(|()| journal.entry()));
    let entries = read.await.unwrap();
    following.await.unwrap();
    let expected = ["one = \u{1b}[1m two".as_bytes(), b"\0\xff", &large, b""];
    for (entry, message) in entries.iter().zip(expected) {
        assert!(entry.0["MESSAGE"] == message);
        // What does not fit into a datagram.
        assert_eq!(entry.1, message.len() > 200_000);
    }
    let mut last = entries[3].0.clone();
    assert_eq!(entries[0].0["PRIORITY"], b"6");
    let id = rig.ours.id();
    for (field, value) in [
        ("CONTAINER_ID", &id[..12]),
        ("CONTAINER_ID_FULL", id),
        ("CONTAINER_NAME", rig.ours.name()),
        ("CONTAINER_TAG", &id[..12]),
        ("MESSAGE", ""),
        ("PRIORITY", "3"),
        ("REVISION", "42-0a1b2c3d"),
        ("SERVICE", "web"),
        ("SYSLOG_IDENTIFIER", "web"),
        ("SYSLOG_TIMESTAMP", "2026-11-21T17:12:01.443436531Z"),
    ] {
        assert_eq!(last.remove(field).unwrap(), value.as_bytes(), "{field}");
    }
    assert_eq!(last.len(), 0, "{last:?}");
}

/// It is waited for: at the start, while it is full, and when it is started anew.
pub async fn away(_: &Real) {
    let mut rig = Rig::new().await;
    let socket = rig.files.path().join("socket");
    let follower = rig.follower_to(sink(&rig, &socket));
    let last = follower.last_lines();
    let lines = 1000;
    for number in 0..lines {
        rig.say(&number.to_string());
    }
    rig.exit();
    let following = tokio::spawn(to_the_end(follower));
    let is_read = || async { !last.text().is_empty() };
    wait::until_true("it to read", DEADLINE, is_read)
        .await
        .unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let journal = Journal::listen(&socket);
        let mut messages = Vec::new();
        while messages.len() < lines / 2 {
            messages.push(journal.message().unwrap());
        }
        std::fs::remove_file(&socket).unwrap();
        let next = Journal::listen(&socket);
        let first = next.message().unwrap();
        // Nothing goes to the old one any more.
        journal.0.set_nonblocking(true).unwrap();
        messages.extend(std::iter::from_fn(|| journal.message()));
        messages.push(first);
        while messages.len() < lines {
            messages.push(next.message().unwrap());
        }
        messages
    });
    let messages = read.await.unwrap();
    following.await.unwrap();
    assert!(
        messages
            .into_iter()
            .eq((0..lines).map(|number| number.to_string()))
    );
}
