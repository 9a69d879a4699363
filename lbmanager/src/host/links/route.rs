//! A socket to the kernel for interfaces and addresses.

use std::io::{self, Cursor};
use std::net::IpAddr;

use ipvs::Errno;
use neli::consts::nl::NlmF;
use neli::consts::rtnl::{Ifa, IfaF, Ifla, RtAddrFamily, RtScope, Rtm};
use neli::consts::socket::{Msg, NlFamily};
use neli::err::DeError;
use neli::nl::{NlPayload, Nlmsghdr, NlmsghdrBuilder};
use neli::rtnl::{IfaddrmsgBuilder, IfinfomsgBuilder, Rtattr, RtattrBuilder};
use neli::socket::NlSocket;
use neli::types::{Buffer, RtBuffer};
use neli::utils::Groups;
use neli::{FromBytes as _, Size, ToBytes};

use super::Links;
use super::decode::Gathering;
use crate::host::subnet::host_prefix;

/// The largest datagram that the kernel makes of a dump.
const DATAGRAM: usize = 32 << 10;
/// Leaves the counters out, which are most of what an interface has.
const SKIP_STATISTICS: u32 = 1 << 3;
/// How often the interfaces are read again if they change meanwhile.
const ATTEMPTS: usize = 5;
const WHY: &str = "every part is set and small";

/// What went wrong between this process and the kernel.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no socket.
    #[error("cannot open a netlink socket to the kernel")]
    Socket(#[source] io::Error),
    /// The kernel does not do it, or does not say so.
    #[error("cannot {doing}")]
    Failed {
        /// What was tried.
        doing: String,
        /// How it failed.
        source: io::Error,
    },
    /// The kernel's answer makes no sense.
    #[error("the kernel's answer when asked to {doing} makes no sense")]
    Garbled {
        /// What was tried.
        doing: String,
        /// In which way.
        source: DeError,
    },
    /// The process may not.
    #[error(
        "cannot {doing}: not permitted; CAP_NET_ADMIN is needed (AmbientCapabilities=CAP_NET_ADMIN \
         in a unit, --cap-add NET_ADMIN --network host for a container)"
    )]
    NotPermitted {
        /// What was tried.
        doing: String,
    },
}

/// A socket to the kernel. It does not block: the kernel has carried out what
/// it was sent, and has its answer ready, when the sending is done.
pub struct Route {
    socket: NlSocket,
    sequence: u32,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route").finish_non_exhaustive()
    }
}

impl Route {
    /// Opens one; nothing but a socket is needed.
    pub fn open() -> Result<Self, Error> {
        let socket = NlSocket::connect(NlFamily::Route, None, Groups::empty());
        Ok(Self {
            socket: socket.map_err(Error::Socket)?,
            sequence: 0,
        })
    }

    /// The interfaces of this host and their addresses.
    pub fn links(&mut self) -> Result<Links, Error> {
        for _ in 1..ATTEMPTS {
            let (links, complete) = self.read()?;
            if complete {
                return Ok(links);
            }
        }
        // What is half new and half old is put right by the next pass.
        self.read().map(|(links, _)| links)
    }

    fn read(&mut self) -> Result<(Links, bool), Error> {
        let mut gathering = Gathering::default();
        let mask = attribute(Ifla::ExtMask, SKIP_STATISTICS);
        let links = IfinfomsgBuilder::default().ifi_family(RtAddrFamily::Unspecified);
        let links = links.rtattrs(std::iter::once(mask).collect::<RtBuffer<_, _>>());
        let links = links.build().expect(WHY);
        let doing = "read the interfaces of this host";
        let first = self.dump(doing, Rtm::Getlink, links, |bytes| gathering.link(bytes))?;
        let addresses = IfaddrmsgBuilder::default()
            .ifa_family(RtAddrFamily::Unspecified)
            .ifa_prefixlen(0)
            .ifa_scope(RtScope::Universe)
            .ifa_index(0)
            .build()
            .expect(WHY);
        let doing = "read the addresses of this host";
        let second = self.dump(doing, Rtm::Getaddr, addresses, |bytes| {
            gathering.address(bytes)
        })?;
        Ok((gathering.links(), first && second))
    }

    /// Gives an address to an interface, as a single one. Whether it did: that
    /// somebody else was quicker is fine.
    pub fn add(&mut self, address: IpAddr, name: &str, index: u32) -> Result<bool, Error> {
        let doing = format!("add the address {address} to {name}");
        let flags = NlmF::CREATE | NlmF::EXCL;
        self.change(doing, Rtm::Newaddr, flags, address, index, Errno::EEXIST)
    }

    /// Takes an address that it has as a single one off an interface; that it
    /// is not there any more is fine.
    pub fn remove(&mut self, address: IpAddr, name: &str, index: u32) -> Result<bool, Error> {
        let doing = format!("remove the address {address} from {name}");
        let flags = NlmF::empty();
        self.change(
            doing,
            Rtm::Deladdr,
            flags,
            address,
            index,
            Errno::EADDRNOTAVAIL,
        )
    }

    fn change(
        &mut self,
        doing: String,
        kind: Rtm,
        flags: NlmF,
        address: IpAddr,
        index: u32,
        fine: Errno,
    ) -> Result<bool, Error> {
        let (family, bytes) = match address {
            IpAddr::V4(four) => (RtAddrFamily::Inet, four.octets().to_vec()),
            IpAddr::V6(six) => (RtAddrFamily::Inet6, six.octets().to_vec()),
        };
        let both = [Ifa::Local, Ifa::Address];
        let attributes = both.map(|kind| attribute(kind, Buffer::from(bytes.clone())));
        let message = IfaddrmsgBuilder::default()
            .ifa_family(family)
            .ifa_prefixlen(host_prefix(address))
            // It is to be used at once, and the host's own links have no other.
            .ifa_flags(IfaF::NODAD)
            .ifa_scope(RtScope::Universe)
            .ifa_index(index)
            .rtattrs(attributes.into_iter().collect::<RtBuffer<_, _>>())
            .build()
            .expect(WHY);
        let flags = NlmF::REQUEST | NlmF::ACK | flags;
        let result = self.send(kind, flags, message);
        let result = result.and_then(|sequence| self.acknowledged(sequence));
        match result {
            Err(Failure::Os(error)) if error.raw_os_error() == Some(fine as i32) => Ok(false),
            other => other.map(|()| true).map_err(|failure| failure.when(doing)),
        }
    }

    /// Sends the question and hands each answer on. Whether nothing changed
    /// meanwhile.
    fn dump<P: Size + ToBytes>(
        &mut self,
        doing: &str,
        kind: Rtm,
        question: P,
        mut each: impl FnMut(&[u8]) -> Result<(), DeError>,
    ) -> Result<bool, Error> {
        let result = self.send(kind, NlmF::REQUEST | NlmF::DUMP, question);
        let result = result.and_then(|sequence| self.answers(sequence, &mut each));
        result.map_err(|failure| failure.when(doing.to_owned()))
    }

    fn answers(
        &mut self,
        sequence: u32,
        each: &mut dyn FnMut(&[u8]) -> Result<(), DeError>,
    ) -> Result<bool, Failure> {
        let mut complete = true;
        loop {
            for message in self.receive(sequence)? {
                complete &= !message.nl_flags().contains(NlmF::DUMP_INTR);
                match message.nl_payload() {
                    NlPayload::Payload(payload) => each(payload.as_ref())?,
                    NlPayload::Err(refusal) => return Err(Failure::refused(*refusal.error())),
                    NlPayload::DumpExtAck(end) if *end.error() != 0 => {
                        return Err(Failure::refused(*end.error()));
                    }
                    NlPayload::DumpExtAck(_) | NlPayload::Empty => return Ok(complete),
                    NlPayload::Ack(_) => {}
                }
            }
        }
    }

    fn acknowledged(&mut self, sequence: u32) -> Result<(), Failure> {
        loop {
            for message in self.receive(sequence)? {
                match message.nl_payload() {
                    NlPayload::Ack(_) => return Ok(()),
                    NlPayload::Err(refusal) => return Err(Failure::refused(*refusal.error())),
                    _ => {}
                }
            }
        }
    }

    fn send<P: Size + ToBytes>(
        &mut self,
        kind: Rtm,
        flags: NlmF,
        payload: P,
    ) -> Result<u32, Failure> {
        self.sequence = self.sequence.wrapping_add(1);
        let message = NlmsghdrBuilder::default()
            .nl_type(kind)
            .nl_flags(flags)
            .nl_seq(self.sequence)
            .nl_payload(NlPayload::Payload(payload))
            .build()
            .expect(WHY);
        let mut bytes = Cursor::new(Vec::new());
        message.to_bytes(&mut bytes).expect(WHY);
        self.socket.send(bytes.into_inner(), Msg::empty())?;
        Ok(self.sequence)
    }

    /// The messages of one datagram that answer this request. What is left of
    /// an earlier one is passed over.
    fn receive(&self, sequence: u32) -> Result<Vec<Nlmsghdr<u16, Buffer>>, Failure> {
        let mut room = vec![0; DATAGRAM];
        let (length, _) = self.socket.recv(&mut room, Msg::DONTWAIT)?;
        room.truncate(length);
        let end = u64::try_from(length).unwrap_or(u64::MAX);
        let mut bytes = Cursor::new(room);
        let mut messages = Vec::new();
        while bytes.position() < end {
            let message = Nlmsghdr::<u16, Buffer>::from_bytes(&mut bytes)?;
            if *message.nl_seq() == sequence {
                messages.push(message);
            }
        }
        Ok(messages)
    }
}

fn attribute<T: neli::consts::rtnl::RtaType + Size, P: Size + ToBytes>(
    kind: T,
    payload: P,
) -> Rtattr<T, Buffer> {
    let attribute = RtattrBuilder::default().rta_type(kind).rta_payload(payload);
    attribute.build().expect(WHY)
}

/// As [`Error`], without what was tried.
#[derive(Debug)]
enum Failure {
    Os(io::Error),
    Garbled(DeError),
}

impl Failure {
    /// The kernel has its error numbers negative.
    fn refused(number: i32) -> Self {
        Self::Os(io::Error::from_raw_os_error(number.wrapping_neg()))
    }

    fn when(self, doing: String) -> Error {
        match self {
            Self::Os(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Error::NotPermitted { doing }
            }
            Self::Os(source) => Error::Failed { doing, source },
            Self::Garbled(source) => Error::Garbled { doing, source },
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Os(error)
    }
}

impl From<DeError> for Failure {
    fn from(error: DeError) -> Self {
        Self::Garbled(error)
    }
}
