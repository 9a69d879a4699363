//! Frames as lines, and where to go on after an interruption.
//!
//! Frames have no numbers, and several may have the same time. So a place in a stream is the time of
//! a frame and how many with this time there were up to it. Where to go on is always the end of a
//! line, so that its parts are read again if it was not whole.

use std::mem;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::runtime::{Frame, Stream};

/// A line that has become longer is given in parts.
pub const MAX_LINE: usize = 1 << 20;
/// Docker takes both streams side by side, so that their times may be out of order by a little.
const DISORDER: SignedDuration = SignedDuration::from_secs(10);
/// Larger ones are given back once their line is out.
const KEPT_CAPACITY: usize = 16 << 10;

/// Where to go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// No frame that is needed is older.
    pub since: Option<Timestamp>,
    /// The last frame of stdout that is not needed any more.
    stdout: Option<Mark>,
    /// The same of stderr.
    stderr: Option<Mark>,
}

/// A place in a stream: after so many frames of this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    time: Timestamp,
    frames: u64,
    /// Whether it is within a line, which was too long to wait for its end.
    within: bool,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it was written to.
    pub stream: Stream,
    /// When Docker took it.
    pub time: Timestamp,
    /// The line, without a newline.
    pub bytes: Vec<u8>,
    /// Where to go on once it is out.
    pub after: Position,
}

/// Makes lines of frames.
#[derive(Debug)]
pub struct Lines {
    /// After the last line.
    position: Position,
    max_line: usize,
    stdout: Unfinished,
    stderr: Unfinished,
}

/// What is known of one stream after the last line.
#[derive(Debug, Default)]
struct Unfinished {
    /// Frames up to here have been seen before; `None` once all that come are new.
    known: Option<Mark>,
    /// After the last frame.
    mark: Option<Mark>,
    /// When the line began that the last frame did not end.
    since: Option<Timestamp>,
    bytes: Vec<u8>,
}

impl Lines {
    /// From this position on. The frames have to be those since [`Position::since`].
    pub fn resume(position: Position) -> Self {
        Self {
            position,
            max_line: MAX_LINE,
            stdout: Unfinished::after(position.stdout),
            stderr: Unfinished::after(position.stderr),
        }
    }

    /// Where to go on after the last line.
    pub fn position(&self) -> Position {
        self.position
    }

    /// One more frame, in Docker's order, and the line that it ends.
    pub fn push(&mut self, frame: &Frame) -> Option<Line> {
        let max = self.max_line;
        let unfinished = self.of(frame.stream);
        let is_whole = unfinished.take(frame) && (frame.ends_line || unfinished.bytes.len() > max);
        is_whole.then(|| self.line(frame.stream, frame.time))
    }

    /// No frame comes any more: the lines that have no end.
    pub fn finish(&mut self) -> Vec<Line> {
        let streams = [Stream::Stdout, Stream::Stderr].into_iter();
        let line = |stream| {
            let unfinished = self.of(stream);
            let time = unfinished.since.take()?;
            (!unfinished.bytes.is_empty()).then(|| self.line(stream, time))
        };
        streams.filter_map(line).collect()
    }

    fn of(&mut self, stream: Stream) -> &mut Unfinished {
        match stream {
            Stream::Stdout => &mut self.stdout,
            Stream::Stderr => &mut self.stderr,
        }
    }

    fn line(&mut self, stream: Stream, time: Timestamp) -> Line {
        let unfinished = self.of(stream);
        let (bytes, mark) = (unfinished.give(), unfinished.mark);
        match stream {
            Stream::Stdout => self.position.stdout = mark,
            Stream::Stderr => self.position.stderr = mark,
        }
        // The further parts of a line come later, with the time of the first.
        let begun = [self.stdout.since, self.stderr.since].into_iter().flatten();
        let oldest = begun.fold(time, Timestamp::min);
        self.position.since = Some(oldest.saturating_sub(DISORDER).unwrap_or(Timestamp::MIN));
        Line {
            stream,
            time,
            bytes,
            after: self.position,
        }
    }
}

impl Unfinished {
    fn after(mark: Option<Mark>) -> Self {
        Self {
            known: mark,
            mark,
            since: mark.filter(|mark| mark.within).map(|mark| mark.time),
            bytes: Vec::new(),
        }
    }

    /// Whether it is new.
    fn take(&mut self, frame: &Frame) -> bool {
        if !self.is_new(frame.time) {
            return false;
        }
        let same_time = self.mark.filter(|mark| mark.time == frame.time);
        self.mark = Some(Mark {
            time: frame.time,
            frames: same_time.map_or(0, |mark| mark.frames) + 1,
            within: !frame.ends_line,
        });
        self.bytes.extend_from_slice(&frame.bytes);
        self.since = (!frame.ends_line).then_some(self.since.unwrap_or(frame.time));
        true
    }

    fn is_new(&mut self, time: Timestamp) -> bool {
        match &mut self.known {
            None => true,
            Some(known) if time < known.time => false,
            Some(known) if time == known.time && known.frames > 1 => {
                known.frames -= 1;
                false
            }
            Some(known) => {
                let is_last = time == known.time;
                self.known = None;
                !is_last
            }
        }
    }

    fn give(&mut self) -> Vec<u8> {
        if self.bytes.capacity() > KEPT_CAPACITY {
            return mem::take(&mut self.bytes);
        }
        let bytes = self.bytes.clone();
        self.bytes.clear();
        bytes
    }
}

#[cfg(test)]
mod tests;
