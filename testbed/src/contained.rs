//! The program in the containers of tests: a web server that a test steers while it runs.
//!
//! It does what its arguments say, in their order, and then what it is asked for at
//! `/steer/<words>`, with the same words ([`Steer`]). Other paths are answered as [`Act`] says, at
//! port 80: at first with 200. With [`ONCE`] as its first argument it only does what the others
//! say, for a command beside it in its container. SIGTERM, and the signal of the image if another,
//! ends it with 0.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::http;
use crate::web::Act;
use crate::{Error, Result};

/// The argument by which it does not listen.
pub const ONCE: &str = "once";

/// As the first argument: asks its own port 80 once, and exits with 0 where the answer is 200. What
/// `curl --fail http://127.0.0.1/` is in other images' health checks.
pub const ASK: &str = "ask";

/// What it can be told. As text, words between slashes: `answer/503`, `say/out/5/ready`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Steer {
    /// `answer/STATUS`, `slow/MILLISECONDS`, `hang`, `drop`: what it does with a request.
    Act(Act),
    /// `say/out/TIMES/TEXT`, `say/err/TIMES/TEXT`: writes lines, each with its number from 1.
    Say {
        /// Whether to stderr.
        stderr: bool,
        /// How many lines.
        times: u32,
        /// What they begin with.
        text: String,
    },
    /// `chat/TIMES/TEXT`: writes lines as `say` does, to stdout and stderr by turns.
    Chat {
        /// How many lines to each.
        times: u32,
        /// What they begin with.
        text: String,
    },
    /// `bytes/out/COUNT/BYTE`, `bytes/err/COUNT/BYTE`: writes so many of this byte, no newline.
    Bytes {
        /// Whether to stderr.
        stderr: bool,
        /// How many.
        count: u32,
        /// Which.
        byte: u8,
    },
    /// `term/ignore`, `term/MILLISECONDS`: what SIGTERM does from now on.
    Term(OnTerm),
    /// `eat/MEGABYTES`: uses so much memory.
    Eat(usize),
    /// `sleep/MILLISECONDS`: does nothing at all for so long.
    Sleep(Duration),
    /// `exit/CODE`: ends.
    Exit(u8),
}

/// What SIGTERM does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnTerm {
    /// Nothing.
    Ignore,
    /// The program ends with 0 after so long.
    After(Duration),
}

impl Steer {
    /// Tells the program at this address, and waits until it has done so. `Exit` has no answer.
    pub async fn at(&self, address: impl fmt::Display) -> Result<()> {
        let answer = http::get(&format!("http://{address}/steer/{self}")).await;
        match (self, answer) {
            (Self::Exit(_), _) => Ok(()),
            (_, Ok(answer)) if answer.status.is_success() => Ok(()),
            (_, Ok(answer)) => Err(Error::answer(address.to_string(), answer.body)),
            (_, Err(error)) => Err(error),
        }
    }
}

/// How many requests the program at this address was asked, those to steer it not counted.
pub async fn requests(address: impl fmt::Display) -> Result<u32> {
    let nothing = Steer::Say {
        stderr: false,
        times: 0,
        text: "-".to_owned(),
    };
    let url = format!("http://{address}/steer/{nothing}");
    let answer = http::get(&url).await?;
    let unexpected = || Error::answer(url, answer.body.clone());
    answer.body.parse().map_err(|_| unexpected())
}

impl fmt::Display for Steer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stream = |stderr: bool| if stderr { "err" } else { "out" };
        match self {
            Self::Act(Act::Answer(status, _)) => write!(f, "answer/{status}"),
            Self::Act(Act::Slow(time)) => write!(f, "slow/{}", time.as_millis()),
            Self::Act(Act::Hang) => f.write_str("hang"),
            Self::Act(_) => f.write_str("drop"),
            Self::Say {
                stderr,
                times,
                text,
            } => write!(f, "say/{}/{times}/{text}", stream(*stderr)),
            Self::Chat { times, text } => write!(f, "chat/{times}/{text}"),
            Self::Bytes {
                stderr,
                count,
                byte,
            } => write!(f, "bytes/{}/{count}/{byte}", stream(*stderr)),
            Self::Term(OnTerm::Ignore) => f.write_str("term/ignore"),
            Self::Term(OnTerm::After(time)) => write!(f, "term/{}", time.as_millis()),
            Self::Eat(megabytes) => write!(f, "eat/{megabytes}"),
            Self::Sleep(time) => write!(f, "sleep/{}", time.as_millis()),
            Self::Exit(code) => write!(f, "exit/{code}"),
        }
    }
}

impl FromStr for Steer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).ok_or_else(|| Error::Misuse(format!("{text:?} is nothing that it can do")))
    }
}

fn parse(text: &str) -> Option<Steer> {
    if let Some((times, text)) = text
        .strip_prefix("chat/")
        .and_then(|rest| rest.split_once('/'))
    {
        return Some(Steer::Chat {
            times: times.parse().ok()?,
            text: text.to_owned(),
        });
    }
    let words: Vec<&str> = text.splitn(4, '/').collect();
    let is_stderr = |word: &str| match word {
        "out" => Some(false),
        "err" => Some(true),
        _ => None,
    };
    let millis = |word: &str| word.parse().ok().map(Duration::from_millis);
    Some(match words[..] {
        ["answer", status] => Steer::Act(Act::Answer(status.parse().ok()?, String::new())),
        ["slow", time] => Steer::Act(Act::Slow(millis(time)?)),
        ["hang"] => Steer::Act(Act::Hang),
        ["drop"] => Steer::Act(Act::Drop),
        ["say", stream, times, text] => Steer::Say {
            stderr: is_stderr(stream)?,
            times: times.parse().ok()?,
            text: text.to_owned(),
        },
        ["bytes", stream, count, byte] => Steer::Bytes {
            stderr: is_stderr(stream)?,
            count: count.parse().ok()?,
            byte: byte.parse().ok()?,
        },
        ["term", "ignore"] => Steer::Term(OnTerm::Ignore),
        ["term", time] => Steer::Term(OnTerm::After(millis(time)?)),
        ["eat", megabytes] => Steer::Eat(megabytes.parse().ok()?),
        ["sleep", time] => Steer::Sleep(millis(time)?),
        ["exit", code] => Steer::Exit(code.parse().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for words in [
            "answer/503",
            "slow/20",
            "hang",
            "drop",
            "say/out/3/ready",
            "say/err/1/a/b",
            "chat/2/a/b",
            "bytes/out/5/255",
            "term/ignore",
            "term/1500",
            "eat/64",
            "sleep/100",
            "exit/7",
        ] {
            assert_eq!(words.parse::<Steer>().unwrap().to_string(), words);
        }
        for words in ["", "exit", "exit/256", "say/both/1/a", "bytes/out/5/256"] {
            assert!(words.parse::<Steer>().is_err(), "{words}");
        }
    }
}
