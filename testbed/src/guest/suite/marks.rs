//! What the tests inside tell those outside: lines of their output that begin with a secret.

use std::io::{self, Write as _};

/// Longer lines are passed on in pieces.
const LINE_LIMIT: usize = 16 * 1024;

/// What is heard from inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// A test begins.
    Begun(String),
    /// A line of its output, or a piece of one.
    Output(String),
    /// It ended: well, or why not.
    Ended(String, Result<(), String>),
}

/// Tells an event; not for output, which is written as it is.
pub(super) fn tell(mark: &str, event: &Event) -> io::Result<()> {
    let text = match event {
        Event::Begun(name) => format!("begun {name}"),
        Event::Ended(name, Ok(())) => format!("passed {name}"),
        Event::Ended(name, Err(why)) => format!("failed {name} {}", why.replace('\n', " ")),
        Event::Output(_) => return Ok(()),
    };
    let mut stdout = io::stdout().lock();
    // What was written before may lack the end of its line.
    stdout.write_all(format!("\n{mark} {text}\n").as_bytes())?;
    stdout.flush()
}

/// Finds the events in a stream.
#[derive(Debug)]
pub(super) struct Reader {
    mark: String,
    line: Vec<u8>,
}

impl Reader {
    pub(super) fn new(mark: String) -> Self {
        Self {
            mark,
            line: Vec::new(),
        }
    }

    /// What a further piece of the stream completes.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if self.line.ends_with(b"\n") || self.line.len() > LINE_LIMIT {
                let line = String::from_utf8_lossy(&self.line).into_owned();
                events.push(self.event(line));
                self.line.clear();
            }
        }
        events
    }

    fn event(&self, line: String) -> Event {
        let marked = line.strip_prefix(&self.mark).map(str::trim);
        let Some((kind, rest)) = marked.and_then(|text| text.split_once(' ')) else {
            return Event::Output(line);
        };
        let (name, why) = rest.split_once(' ').unwrap_or((rest, ""));
        match kind {
            "begun" => Event::Begun(name.to_owned()),
            "passed" => Event::Ended(name.to_owned(), Ok(())),
            "failed" => Event::Ended(name.to_owned(), Err(why.to_owned())),
            _ => Event::Output(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_found_however_the_stream_is_cut() {
        let stream =
            b"before\n\n=M begun a::b\nsaid =M begun c\n=M nonsense\nhalf\n=M passed a::b\n\
                       =M failed c::d signal: 9 (SIGKILL)\n";
        let output = |text: &str| Event::Output(text.to_owned());
        let whole = vec![
            output("before\n"),
            output("\n"),
            Event::Begun("a::b".to_owned()),
            output("said =M begun c\n"),
            output("=M nonsense\n"),
            output("half\n"),
            Event::Ended("a::b".to_owned(), Ok(())),
            Event::Ended("c::d".to_owned(), Err("signal: 9 (SIGKILL)".to_owned())),
        ];
        for size in 1..stream.len() {
            let mut reader = Reader::new("=M".to_owned());
            let events = stream.chunks(size).flat_map(|piece| reader.read(piece));
            assert_eq!(events.collect::<Vec<_>>(), whole, "in pieces of {size}");
        }
    }

    #[test]
    fn a_line_without_end_is_passed_on() {
        let mut reader = Reader::new("=M".to_owned());
        let lengths: usize = (0..100)
            .flat_map(|_| reader.read(&[b'x'; 1000]))
            .map(|event| match event {
                Event::Output(text) => text.len(),
                other => panic!("{other:?}"),
            })
            .sum();
        assert!(lengths > 80_000 && reader.line.len() <= LINE_LIMIT);
    }
}
