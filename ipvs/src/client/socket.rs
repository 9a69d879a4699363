use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, MultiHeaders, NetlinkAddr, SockFlag, SockProtocol, SockType, bind,
    getsockname, getsockopt, recvmmsg, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;

use super::error::Error;
use super::failure::Failure;
use super::settings::Settings;
use crate::wire::{DecodeError, Message, messages};

/// The largest datagram that the kernel makes of a dump.
const DATAGRAM: usize = 32 << 10;

/// How many datagrams are received at once.
const AT_ONCE: usize = 8;

/// A netlink socket to the kernel, and room for what it says.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    /// What the kernel knows it by.
    port: u32,
    room: Box<[u8]>,
}

impl Socket {
    pub(super) fn open(settings: &Settings) -> Result<Self, Error> {
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkGeneric,
        )
        .map_err(failed_to("open"))?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0)).map_err(failed_to("bind"))?;
        let own: NetlinkAddr = getsockname(fd.as_raw_fd()).map_err(failed_to("name"))?;
        configure(&fd, settings).map_err(failed_to("configure"))?;
        Ok(Self {
            fd,
            port: own.pid(),
            room: vec![0; DATAGRAM * AT_ONCE].into(),
        })
    }

    /// How many bytes of answers the kernel keeps, and how many bytes it
    /// takes at once.
    pub(super) fn buffers(&self) -> Result<(usize, usize), Error> {
        let received = getsockopt(&self.fd, sockopt::RcvBuf).map_err(failed_to("read"))?;
        let sent = getsockopt(&self.fd, sockopt::SndBuf).map_err(failed_to("read"))?;
        Ok((received, sent))
    }

    /// Sends messages. The kernel has carried all of them out, and has put
    /// its answers into the receive buffer, when this returns.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<(), Errno> {
        let sent = send(self.fd.as_raw_fd(), bytes, MsgFlags::empty())?;
        if sent == bytes.len() {
            Ok(())
        } else {
            Err(Errno::EMSGSIZE)
        }
    }

    /// Waits for an answer, and takes those that are there with it.
    pub(super) fn receive(
        &mut self,
        each: impl FnMut(&Message<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.receive_with(MsgFlags::MSG_WAITFORONE, each)
    }

    /// Takes answers that are there.
    pub(super) fn drain(
        &mut self,
        each: impl FnMut(&Message<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.receive_with(MsgFlags::MSG_DONTWAIT, each)
    }

    fn receive_with(
        &mut self,
        flags: MsgFlags,
        mut each: impl FnMut(&Message<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut headers = MultiHeaders::<NetlinkAddr>::preallocate(AT_ONCE, None);
        let chunks = self.room.chunks_mut(DATAGRAM);
        let mut slots: Vec<_> = chunks.map(|chunk| [IoSliceMut::new(chunk)]).collect();
        let fd = self.fd.as_raw_fd();
        let received = match recvmmsg(fd, &mut headers, &mut slots, flags, None) {
            Err(Errno::EINTR) => return Ok(()),
            other => other.map_err(Failure::receiving)?,
        };
        for datagram in received {
            // Other processes may send to a netlink socket as well.
            if datagram.address.is_none_or(|from| from.pid() != 0) {
                continue;
            }
            if datagram.flags.contains(MsgFlags::MSG_TRUNC) {
                return Err(Failure::Garbled(too_long(datagram.bytes)));
            }
            for message in datagram.iovs().flat_map(messages) {
                let message = message?;
                if message.port == self.port {
                    each(&message)?;
                }
            }
        }
        Ok(())
    }
}

fn configure(fd: &OwnedFd, settings: &Settings) -> Result<(), Errno> {
    // 0 would be no limit.
    let timeout = settings.timeout.max(Duration::from_millis(1));
    let timeout = TimeVal::new(
        timeout.as_secs().try_into().unwrap_or(i64::MAX),
        timeout.subsec_micros().into(),
    );
    setsockopt(fd, sockopt::ReceiveTimeout, &timeout)?;
    setsockopt(fd, sockopt::RcvBufForce, &settings.receive_buffer)
        .or_else(|_| setsockopt(fd, sockopt::RcvBuf, &settings.receive_buffer))?;
    setsockopt(fd, sockopt::SndBufForce, &settings.send_buffer)
        .or_else(|_| setsockopt(fd, sockopt::SndBuf, &settings.send_buffer))
}

fn failed_to(doing: &'static str) -> impl Fn(Errno) -> Error {
    move |source| Error::Socket { doing, source }
}

fn too_long(says: usize) -> DecodeError {
    DecodeError::Length {
        what: "datagram",
        says,
        have: DATAGRAM,
    }
}
