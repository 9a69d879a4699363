use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// So that some lines are too long.
const SHORT: usize = 5;

/// What Docker does next: how much time goes by, to which stream it goes, how far its time lags
/// behind, how many bytes, and whether that ends the line.
type Write = (i64, bool, i64, usize, bool);

fn any_writes() -> impl Strategy<Value = Vec<Write>> {
    let lag = 0..=DISORDER.as_secs() * 1000;
    let advance = prop_oneof![Just(0), 0_i64..50, 0_i64..60_000];
    vec(
        (advance, any::<bool>(), lag, 0_usize..4, any::<bool>()),
        0..60,
    )
}

fn whole_lines(mut writes: Vec<Write>) -> Vec<Write> {
    for write in &mut writes {
        write.4 = true;
    }
    writes
}

/// The frames that Docker keeps of this. Within a stream times do not go back, and all parts of a
/// line have the time of the first.
fn frames(writes: &[Write]) -> Vec<Frame> {
    let (mut now, mut last) = (1_000_000_i64, [(0_i64, true); 2]);
    let mut written = 0_u8;
    let frame = |(advance, stderr, lag, length, ends_line): &Write| {
        now += advance;
        let (last_time, ended) = last[usize::from(*stderr)];
        let time = if ended {
            last_time.max(now - lag)
        } else {
            last_time
        };
        last[usize::from(*stderr)] = (time, *ends_line);
        let mut byte = || {
            written = written.wrapping_add(1);
            written
        };
        Frame {
            stream: if *stderr {
                Stream::Stderr
            } else {
                Stream::Stdout
            },
            time: Timestamp::from_millisecond(time).unwrap(),
            bytes: (0..*length).map(|_| byte()).collect(),
            ends_line: *ends_line,
        }
    };
    writes.iter().map(frame).collect()
}

/// What Docker gives of them to who asks for this time.
fn since(frames: &[Frame], since: Option<Timestamp>) -> impl Iterator<Item = &Frame> {
    let second = since.map_or(i64::MIN, Timestamp::as_second);
    frames
        .iter()
        .filter(move |frame| frame.time.as_second() >= second)
}

/// At most so many lines from there on.
fn read(frames: &[Frame], position: Position, lines: usize, to_the_end: bool) -> Vec<Line> {
    let mut reader = Lines {
        max_line: SHORT,
        ..Lines::resume(position)
    };
    let given = since(frames, position.since);
    let mut read: Vec<Line> = given.filter_map(|frame| reader.push(frame)).collect();
    if to_the_end {
        read.extend(reader.finish());
    }
    read.truncate(lines);
    read
}

fn of(stream: Stream, lines: &[Line]) -> Vec<(Timestamp, Vec<u8>)> {
    let of_stream = lines.iter().filter(|line| line.stream == stream);
    of_stream
        .map(|line| (line.time, line.bytes.clone()))
        .collect()
}

proptest! {
    #[test]
    fn each_line_comes_once_wherever_it_is_interrupted(
        writes in any_writes(),
        interruptions in vec(0_usize..20, 0..6),
        is_over in any::<bool>(),
    ) {
        let frames = frames(&writes);
        let whole = read(&frames, Position::default(), usize::MAX, is_over);
        let (mut pieces, mut position) = (Vec::new(), Position::default());
        for lines in interruptions.into_iter().chain([usize::MAX]) {
            // As it is kept in the file.
            let kept = serde_json::to_string(&position).unwrap();
            pieces.extend(read(&frames, serde_json::from_str(&kept).unwrap(), lines, is_over));
            position = pieces.last().map_or(position, |line: &Line| line.after);
        }
        for stream in [Stream::Stdout, Stream::Stderr] {
            prop_assert_eq!(of(stream, &pieces), of(stream, &whole));
        }
        let bytes = |lines: &[Line]| lines.iter().map(|line| line.bytes.len()).sum::<usize>();
        let written: usize = frames.iter().map(|frame| frame.bytes.len()).sum();
        prop_assert!(!is_over || bytes(&whole) == written);
    }

    /// While nobody reads, Docker drops the oldest frames. No two lines of a stream have the same
    /// time: it is that of a clock that Docker asks for each line.
    #[test]
    fn nothing_that_is_left_is_missed_after_others_are_gone(
        writes in any_writes(),
        lines in 0_usize..30,
        gone in 0_usize..60,
    ) {
        let mut frames = frames(&whole_lines(writes));
        for (number, frame) in (0..).zip(&mut frames) {
            frame.time += SignedDuration::from_nanos(number);
        }
        let whole = read(&frames, Position::default(), usize::MAX, true);
        let taken = lines.min(whole.len());
        let position = taken.checked_sub(1).map_or(Position::default(), |last| whole[last].after);
        let gone = gone.min(frames.len());
        let rest = read(&frames[gone..], position, usize::MAX, true);
        for stream in [Stream::Stdout, Stream::Stderr] {
            let expected = of(stream, &whole[taken.max(gone)..]);
            prop_assert!(of(stream, &rest).ends_with(&expected), "{rest:?}");
        }
    }

    /// Who sets the clock back may have lines repeated, but none missed, if one was seen since.
    #[test]
    fn a_clock_that_goes_back_loses_nothing(
        before in any_writes(),
        after in any_writes(),
        back in 1_i64..3_600_000,
        lines in 0_usize..60,
    ) {
        let mut all = frames(&whole_lines(before));
        let mut later = frames(&after);
        let last = all.iter().map(|frame| frame.time).max();
        let first = later.iter().map(|frame| frame.time).min();
        if let (Some(last), Some(first)) = (last, first) {
            let shift = last.duration_since(first) - SignedDuration::from_millis(back);
            for frame in &mut later {
                frame.time += shift;
            }
        }
        let seen = all.len();
        all.extend(later);
        let whole = read(&all, Position::default(), usize::MAX, true);
        let taken = lines.max(seen + 1).min(whole.len());
        let position = taken.checked_sub(1).map_or(Position::default(), |last| whole[last].after);
        let rest = read(&all, position, usize::MAX, true);
        for stream in [Stream::Stdout, Stream::Stderr] {
            prop_assert!(of(stream, &rest).ends_with(&of(stream, &whole[taken..])));
        }
    }
}

#[test]
fn a_long_line_is_one_and_a_longer_one_comes_in_parts() {
    let part = |bytes: usize, ends_line| Frame {
        stream: Stream::Stderr,
        time: Timestamp::UNIX_EPOCH,
        bytes: vec![b'x'; bytes],
        ends_line,
    };
    let mut lines = Lines::resume(Position::default());
    for _ in 0..64 {
        assert_eq!(lines.push(&part(16 << 10, false)), None);
    }
    let line = lines.push(&part(0, true)).unwrap();
    assert_eq!((line.bytes.len(), line.stream), (MAX_LINE, Stream::Stderr));
    let lengths: Vec<usize> = (0..130)
        .filter_map(|_| lines.push(&part(16 << 10, false)))
        .map(|line| line.bytes.len())
        .collect();
    assert_eq!(lengths, [MAX_LINE + (16 << 10); 2]);
    assert_eq!(lines.finish(), []);
}
