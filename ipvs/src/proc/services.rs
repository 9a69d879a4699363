use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use super::parse::Parser;
use super::{Error, PATH, Service};

/// How much is asked for in each read. The kernel gives a page at most; each
/// read is a place to lose, so none is smaller.
const ROOM: usize = 64 << 10;

/// The services of a table one by one, as they are read: of a large table the
/// quickest, since nothing is kept. After an error there are no more.
///
/// The kernel writes the table page by page, and does not hold others off in
/// between: what is changed meanwhile may be missing, or be there twice.
/// Where other network namespaces have services as well, Linux (6.1 at least)
/// loses its place at each page, and leaves services out though nothing
/// changes. So look again with a dump before anything is done about it.
#[derive(Debug)]
pub struct Services {
    path: PathBuf,
    lines: BufReader<File>,
    line: String,
    parser: Parser,
    is_over: bool,
}

impl Services {
    /// Of the calling thread's network namespace.
    pub fn open() -> Result<Self, Error> {
        Self::open_at(Path::new(PATH))
    }

    /// From another file, such as `/proc/PID/net/ip_vs`.
    pub fn open_at(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|source| unreadable(path, source))?;
        Ok(Self {
            path: path.to_owned(),
            lines: BufReader::with_capacity(ROOM, file),
            line: String::new(),
            parser: Parser::default(),
            is_over: false,
        })
    }

    /// The next one, or none where the text ends.
    fn read(&mut self) -> Result<Option<Service>, Error> {
        loop {
            self.line.clear();
            let length = self.lines.read_line(&mut self.line);
            let length = length.map_err(|source| unreadable(&self.path, source))?;
            let parsed = match length {
                0 => self.parser.end(),
                _ => self.parser.line(self.line.trim_end()),
            };
            let service = parsed.map_err(|source| Error::Parse {
                path: self.path.display().to_string(),
                source,
            })?;
            self.is_over = length == 0;
            if service.is_some() || self.is_over {
                return Ok(service);
            }
        }
    }
}

impl Iterator for Services {
    type Item = Result<Service, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let read = self.read();
        self.is_over |= read.is_err();
        read.transpose()
    }
}

fn unreadable(path: &Path, source: io::Error) -> Error {
    Error::Read {
        path: path.display().to_string(),
        source,
    }
}
