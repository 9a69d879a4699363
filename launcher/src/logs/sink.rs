//! Where lines go to.

use std::fs::File;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use presence::model::{DefinitionRevision, ServiceName};
use presence::process::logging::{self, Descriptor};

use super::journal::Journal;
use super::lines::Line;
use crate::runtime::{Ours, Stream};

/// Where journald takes entries.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Whose lines they are.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The container.
    pub container: Ours,
    /// The service that it runs.
    pub service: ServiceName,
    /// The revision that it runs.
    pub revision: DefinitionRevision,
}

/// Where lines go to.
#[derive(Debug)]
pub struct Sink {
    stdout: Output,
    stderr: Output,
}

/// Where the lines of one stream go to.
#[derive(Debug)]
enum Output {
    /// As they are, a newline behind each.
    File(File),
    /// As entries with fields.
    Journal(Journal),
}

impl Sink {
    /// What is written to stdout goes to our own, and what is written to stderr to ours; each to the
    /// journal where it is connected to that.
    pub fn of_process(origin: &Origin) -> io::Result<Self> {
        let output = |descriptor, file: BorrowedFd<'_>, stream| {
            if logging::is_journal(descriptor) {
                return Journal::new(Path::new(JOURNAL), origin, stream).map(Output::Journal);
            }
            Ok(Output::File(file.try_clone_to_owned()?.into()))
        };
        Ok(Self {
            stdout: output(Descriptor::Stdout, io::stdout().as_fd(), Stream::Stdout)?,
            stderr: output(Descriptor::Stderr, io::stderr().as_fd(), Stream::Stderr)?,
        })
    }

    /// To these files.
    pub fn files(stdout: File, stderr: File) -> Self {
        Self {
            stdout: Output::File(stdout),
            stderr: Output::File(stderr),
        }
    }

    /// To the journal that listens at this socket.
    pub fn journal(socket: &Path, origin: &Origin) -> io::Result<Self> {
        let output = |stream| Journal::new(socket, origin, stream).map(Output::Journal);
        Ok(Self {
            stdout: output(Stream::Stdout)?,
            stderr: output(Stream::Stderr)?,
        })
    }

    /// Gives it this line, and waits as long as that takes. After an error a part of it may be out.
    pub(super) fn give(&mut self, line: &Line) -> io::Result<()> {
        let output = match line.stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        };
        match output {
            Output::Journal(journal) => journal.give(line),
            Output::File(file) => write(file, &[&line.bytes[..], b"\n"].concat()),
        }
    }
}

/// Who shares the file with us may have set it not to wait.
fn write(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let mut ready = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
                poll(&mut ready, PollTimeout::NONE)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use jiff::Timestamp;
    use nix::fcntl::OFlag;

    use super::super::lines::Position;
    use super::*;

    fn line(stream: Stream, bytes: &[u8]) -> Line {
        Line {
            stream,
            time: Timestamp::UNIX_EPOCH,
            bytes: bytes.to_vec(),
            after: Position::default(),
        }
    }

    #[test]
    fn each_stream_goes_its_way_as_it_is() {
        let mut files = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
        let [stdout, stderr] = files.each_ref().map(|file| file.try_clone().unwrap());
        let mut sink = Sink::files(stdout, stderr);
        sink.give(&line(Stream::Stdout, b"one\0\xff\r")).unwrap();
        sink.give(&line(Stream::Stderr, b"two")).unwrap();
        sink.give(&line(Stream::Stdout, b"")).unwrap();
        for (file, expected) in files.iter_mut().zip([&b"one\0\xff\r\n\n"[..], b"two\n"]) {
            let mut found = Vec::new();
            io::Seek::rewind(file).unwrap();
            file.read_to_end(&mut found).unwrap();
            assert_eq!(found, expected);
        }
    }

    /// Far more than a pipe holds.
    #[test]
    fn a_pipe_that_does_not_wait_is_waited_for() {
        let (read, write) = nix::unistd::pipe2(OFlag::O_NONBLOCK).unwrap();
        let sent = line(Stream::Stdout, &vec![b'x'; 1 << 20]);
        let other = tempfile::tempfile().unwrap();
        let writer = std::thread::spawn({
            let sent = sent.clone();
            move || Sink::files(write.into(), other).give(&sent)
        });
        let (mut file, mut found) = (File::from(read), Vec::new());
        while !writer.is_finished() || found.len() <= sent.bytes.len() {
            let mut ready = [PollFd::new(file.as_fd(), PollFlags::POLLIN)];
            poll(&mut ready, PollTimeout::NONE).unwrap();
            match file.read_to_end(&mut found) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => drop(done.unwrap()),
            }
        }
        writer.join().unwrap().unwrap();
        assert_eq!(found.len(), sent.bytes.len() + 1);
    }
}
