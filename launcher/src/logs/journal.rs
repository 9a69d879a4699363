//! The journal's own protocol: an entry is a datagram, or a sealed file in memory where it is too
//! large for one. <https://systemd.io/JOURNAL_NATIVE_PROTOCOL>
//!
//! The fields are those that Docker's own driver for the journal writes, and the service and its
//! revision. The unit is found out by journald itself, by the sender's control group.

use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, socket,
};

use super::lines::Line;
use super::sink::Origin;
use crate::runtime::Stream;

/// The journal, for one stream of one container.
#[derive(Debug)]
pub struct Journal {
    socket: OwnedFd,
    /// Given with each entry, so that a journal that was started anew is met.
    address: UnixAddr,
    /// The fields that all entries have.
    fields: Vec<u8>,
}

impl Journal {
    pub(super) fn new(path: &Path, origin: &Origin, stream: Stream) -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        Ok(Self {
            socket: socket(AddressFamily::Unix, SockType::Datagram, flags, None)?,
            address: UnixAddr::new(path)?,
            fields: fields(origin, stream).into_bytes(),
        })
    }

    /// Waits while journald is busy.
    pub(super) fn give(&self, line: &Line) -> io::Result<()> {
        // A line has no newline inside: the simple form will do, for any bytes.
        let time = format!("SYSLOG_TIMESTAMP={}\nMESSAGE=", line.time);
        let entry: [&[u8]; 4] = [&self.fields, time.as_bytes(), &line.bytes, b"\n"];
        match self.send(&entry.map(IoSlice::new), &[]) {
            Err(Errno::EMSGSIZE | Errno::ENOBUFS) => self.give_large(&entry.concat()),
            sent => Ok(sent?),
        }
    }

    fn give_large(&self, entry: &[u8]) -> io::Result<()> {
        let flags = MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC;
        let mut file = File::from(memfd_create("launcher-output", flags)?);
        file.write_all(entry)?;
        // journald does not read what could still change.
        let seals = SealFlag::F_SEAL_SHRINK
            | SealFlag::F_SEAL_GROW
            | SealFlag::F_SEAL_WRITE
            | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        let descriptors = [file.as_raw_fd()];
        Ok(self.send(&[], &[ControlMessage::ScmRights(&descriptors)])?)
    }

    fn send(&self, entry: &[IoSlice<'_>], control: &[ControlMessage<'_>]) -> Result<(), Errno> {
        let address = Some(&self.address);
        loop {
            let flags = MsgFlags::MSG_NOSIGNAL;
            match sendmsg(self.socket.as_raw_fd(), entry, control, flags, address) {
                Err(Errno::EINTR) => {}
                sent => return sent.map(drop),
            }
        }
    }
}

/// None of the values can have a newline: IDs, and names of services and revisions.
fn fields(origin: &Origin, stream: Stream) -> String {
    let (id, name) = (origin.container.id(), origin.container.name());
    let short = id.get(..12).unwrap_or(id);
    // Those of Docker's driver: information, and error.
    let priority = match stream {
        Stream::Stdout => "6",
        Stream::Stderr => "3",
    };
    let fields: [(&str, &str); 8] = [
        ("PRIORITY", priority),
        ("SYSLOG_IDENTIFIER", origin.service.as_str()),
        ("SERVICE", origin.service.as_str()),
        ("REVISION", &origin.revision.to_string()),
        ("CONTAINER_ID", short),
        ("CONTAINER_ID_FULL", id),
        ("CONTAINER_NAME", name),
        ("CONTAINER_TAG", short),
    ];
    let line = |(field, value)| format!("{field}={value}\n");
    fields.map(line).concat()
}
