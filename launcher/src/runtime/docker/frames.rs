//! Docker's answer to who asks for logs, as frames.

use bollard::container::LogOutput;
use jiff::Timestamp;

use crate::runtime::{Frame, Stream};

/// What Docker takes of a line at once: each part of a longer one but the last has just this size.
/// Docker 20.10 swallows the newline of such a line, so that it ends is told by the size.
const PART: usize = 16 << 10;
/// `2026-11-21T17:12:01.443436531Z`, always.
const TIME: usize = 30;
/// What the header of a frame begins with that is Docker's own error.
const SYSTEM_ERROR: u8 = 3;
const HEADER: usize = 8;

/// The frames of a container without a terminal, whose streams Docker keeps apart: one for each item.
pub(super) fn apart(output: LogOutput) -> Result<Frame, String> {
    match output {
        LogOutput::StdOut { message } => frame(Stream::Stdout, &message),
        LogOutput::StdErr { message } => frame(Stream::Stderr, &message),
        LogOutput::StdIn { message } | LogOutput::Console { message } => Err(no_frame(&message)),
    }
}

fn frame(stream: Stream, message: &[u8]) -> Result<Frame, String> {
    let Some((time, bytes)) = split_time(message) else {
        return Err(no_frame(message));
    };
    let line = bytes.strip_suffix(b"\n");
    Ok(Frame {
        stream,
        time,
        ends_line: line.is_some() || bytes.len() != PART,
        bytes: line.unwrap_or(bytes).to_vec(),
    })
}

fn split_time(message: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (time, rest) = message.split_at_checked(TIME)?;
    let bytes = rest.strip_prefix(b" ")?;
    Some((str::from_utf8(time).ok()?.parse().ok()?, bytes))
}

/// Docker's words, where it is an error of its own.
fn no_frame(message: &[u8]) -> String {
    let words = match message {
        [SYSTEM_ERROR, ..] => message.get(HEADER..).unwrap_or_default(),
        _ => message,
    };
    let shown = words.get(..200).unwrap_or(words);
    let shown = String::from_utf8_lossy(shown).trim().to_owned();
    if words.len() < message.len() {
        shown
    } else {
        format!("a time and what was written were expected, and not {shown:?}")
    }
}

/// The frames of a container with a terminal, whose output comes as it is, without headers and in
/// any pieces.
///
/// Until its newline comes a line is kept, however long it is: here, and before in the client of
/// the API.
#[derive(Debug, Default)]
pub(super) struct Terminal(Vec<u8>);

impl Terminal {
    /// The frames that are whole with this.
    pub(super) fn push(&mut self, output: &LogOutput) -> Result<Vec<Frame>, String> {
        let (before, new) = (self.0.len(), output.as_ref());
        self.0.extend_from_slice(new);
        let Some(last) = new.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(Vec::new());
        };
        let rest = self.0.split_off(before + last + 1);
        frames(&std::mem::replace(&mut self.0, rest))
    }

    /// The last one, which has no newline.
    pub(super) fn finish(self) -> Result<Vec<Frame>, String> {
        frames(&self.0)
    }
}

fn frames(mut text: &[u8]) -> Result<Vec<Frame>, String> {
    let mut frames = Vec::new();
    while !text.is_empty() {
        let (message, rest) = text.split_at(message_end(text));
        frames.push(frame(Stream::Stdout, message)?);
        text = rest;
    }
    Ok(frames)
}

/// Where the first message ends: after its newline, or where the next begins. That is after a part
/// of full size, or after a carriage return whose newline was swallowed.
fn message_end(text: &[u8]) -> usize {
    let full = TIME + 1 + PART;
    let newline = text.iter().position(|byte| *byte == b'\n');
    let line = newline.map_or(text.len(), |newline| newline + 1);
    if line > full && split_time(&text[full..]).is_some() {
        return full;
    }
    let returns = (TIME + 1..line).filter(|at| text[at - 1] == b'\r');
    let mut begins = returns.filter(|at| split_time(&text[*at..]).is_some());
    begins.next().unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: [&str; 2] = [
        "2026-11-21T17:12:01.443436531Z",
        "2026-11-21T17:12:02.000000000Z",
    ];

    fn stdout(message: &[u8]) -> LogOutput {
        LogOutput::StdOut {
            message: message.to_vec().into(),
        }
    }

    fn console(message: &[u8]) -> LogOutput {
        LogOutput::Console {
            message: message.to_vec().into(),
        }
    }

    fn message(time: usize, bytes: &[u8]) -> Vec<u8> {
        [TIMES[time].as_bytes(), b" ", bytes].concat()
    }

    #[test]
    fn a_line_ends_with_its_newline_or_with_a_part_that_is_not_full() {
        let (full, binary) = ([b'x'; PART], b"\x00\xff 2\r");
        for (bytes, ends_line) in [(&full[..], false), (&full[1..], true), (binary, true)] {
            let found = apart(stdout(&message(0, bytes))).unwrap();
            assert_eq!((found.ends_line, &found.bytes[..]), (ends_line, bytes));
            assert_eq!(found.time, TIMES[0].parse().unwrap());
            let line = apart(stdout(&message(0, &[bytes, b"\n"].concat()))).unwrap();
            assert_eq!((line.ends_line, &line.bytes[..]), (true, bytes));
        }
        let empty = apart(stdout(&message(0, b"\n"))).unwrap();
        assert_eq!((empty.ends_line, empty.bytes), (true, Vec::new()));
    }

    #[test]
    fn dockers_own_errors_are_no_output() {
        let words = b"\x03\0\0\0\0\0\0\x1aError grabbing logs: EOF\n";
        assert_eq!(
            apart(console(words)).unwrap_err(),
            "Error grabbing logs: EOF"
        );
        let error = apart(stdout(b"no time")).unwrap_err();
        assert!(error.ends_with("and not \"no time\""), "{error}");
    }

    #[test]
    fn a_terminal_is_cut_into_the_same_frames_however_it_comes() {
        let full = [b'x'; PART];
        let parts: [(Vec<u8>, bool); 6] = [
            (b"one\r".to_vec(), true),
            (full.to_vec(), false),
            (full.to_vec(), false),
            // Its newline is swallowed.
            (b"xx\r".to_vec(), true),
            (b"\r50 %\rtwo\r".to_vec(), true),
            (b"last".to_vec(), true),
        ];
        let mut text = Vec::new();
        for (index, (bytes, _)) in parts.iter().enumerate() {
            text.extend(message(index / 4, bytes));
            text.extend((index == 0 || index == 4).then_some(b'\n'));
        }
        for size in [1, 7, 4096, text.len()] {
            let (mut terminal, mut found) = (Terminal::default(), Vec::new());
            for chunk in text.chunks(size) {
                found.extend(terminal.push(&console(chunk)).unwrap());
            }
            found.extend(terminal.finish().unwrap());
            let found = found
                .into_iter()
                .map(|frame| (frame.bytes, frame.ends_line));
            assert!(found.eq(parts.iter().cloned()), "in pieces of {size}");
        }
    }
}
