//! What the kernel says of interfaces and addresses.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::io::Cursor;
use std::net::IpAddr;

use neli::FromBytesWithInput as _;
use neli::attr::Attribute as _;
use neli::consts::rtnl::{Ifa, Iff, Ifla, IflaInfo, RtAddrFamily};
use neli::err::DeError;
use neli::rtnl::{Ifaddrmsg, Ifinfomsg, Rtattr};
use neli::types::Buffer;

use super::{Interface, Links};

/// Interfaces as they come in, by number.
#[derive(Debug, Default)]
pub(super) struct Gathering(BTreeMap<u32, (String, Interface)>);

impl Gathering {
    /// Takes what is said of one interface. One that has no name is none.
    pub(super) fn link(&mut self, message: &[u8]) -> Result<(), DeError> {
        let message = Ifinfomsg::from_bytes_with_input(&mut Cursor::new(message), message.len())?;
        let mut name = None;
        let mut bridge = false;
        for attribute in message.rtattrs().iter() {
            match attribute.rta_type() {
                Ifla::Ifname => name = Some(text(attribute.payload().as_ref())),
                Ifla::Linkinfo => bridge = is_bridge(attribute)?,
                _ => {}
            }
        }
        let index = message.ifi_index().unsigned_abs();
        let interface = Interface {
            index,
            up: message.ifi_flags().contains(Iff::UP),
            bridge,
            addresses: BTreeMap::new(),
        };
        if let Some(name) = name {
            self.0.insert(index, (name, interface));
        }
        Ok(())
    }

    /// Takes what is said of one address. That of an interface which came
    /// after the interfaces were asked for is left for the next time.
    pub(super) fn address(&mut self, message: &[u8]) -> Result<(), DeError> {
        let message = Ifaddrmsg::from_bytes_with_input(&mut Cursor::new(message), message.len())?;
        let of_kind = |kind| {
            let mut attributes = message.rtattrs().iter();
            attributes.find(|attribute| *attribute.rta_type() == kind)
        };
        // Of a point-to-point interface the other is the peer's.
        let attribute = of_kind(Ifa::Local).or_else(|| of_kind(Ifa::Address));
        let bytes = attribute.map(|attribute| attribute.payload().as_ref());
        let Some(address) = bytes.and_then(|bytes| ip(*message.ifa_family(), bytes)) else {
            return Ok(());
        };
        if let Some((_, interface)) = self.0.get_mut(message.ifa_index()) {
            let prefix = interface.addresses.entry(address).or_default();
            *prefix = (*prefix).max(*message.ifa_prefixlen());
        }
        Ok(())
    }

    /// All of them, by name.
    pub(super) fn links(self) -> Links {
        Links(self.0.into_values().collect())
    }
}

fn is_bridge(info: &Rtattr<Ifla, Buffer>) -> Result<bool, DeError> {
    let nested = info.get_attr_handle::<IflaInfo>()?;
    let kind = nested.get_attribute(IflaInfo::Kind);
    Ok(kind.is_some_and(|kind| text(kind.payload().as_ref()) == "bridge"))
}

fn ip(family: RtAddrFamily, bytes: &[u8]) -> Option<IpAddr> {
    match family {
        RtAddrFamily::Inet => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        RtAddrFamily::Inet6 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// Text that ends with a NUL.
fn text(bytes: &[u8]) -> String {
    let text = CStr::from_bytes_until_nul(bytes).map_or(bytes, CStr::to_bytes);
    String::from_utf8_lossy(text).into_owned()
}
