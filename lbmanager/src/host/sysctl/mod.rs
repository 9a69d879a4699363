//! `--sysctl check|apply|ignore`: settings of the kernel without which virtual
//! services do not do what they should.
//!
//! Which are wanted follows from what the table has. `check` reports those that
//! are otherwise, `apply` writes them. Nothing is ever set back: somebody else
//! may want the same.
//!
//! | module | kind | what it is |
//! | --- | --- | --- |
//! | `wanted` | pure | which are wanted, and why |
//! | `files` | thin | reads and writes them below /proc |
//! | `routes` | pure | what switching IPv6 forwarding on would take down |

mod files;
mod routes;
mod wanted;

use std::fmt;

pub use self::files::Proc;
pub use self::wanted::{KernelVersion, Needs, Setting, wanted};

/// What is done about settings that are not as wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Mode {
    /// They are reported.
    #[default]
    Check,
    /// They are written.
    Apply,
    /// Nothing: they are not looked at.
    Ignore,
}

/// A setting that is not as wanted, or was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which, and what is wanted of it.
    pub setting: Setting,
    /// What became of it.
    pub state: State,
}

/// What a setting is that is not as wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It has another value.
    Differs(u32),
    /// It had another value, and was set.
    Set(u32),
    /// It has another value, and could or should not be set.
    Kept(u32, String),
    /// Its value cannot be had.
    Unreadable(String),
}

impl Finding {
    /// Whether it is not as wanted still.
    pub fn is_problem(&self) -> bool {
        !matches!(self.state, State::Set(_))
    }
}

/// One line for the operator.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { name, value, why } = self.setting;
        match &self.state {
            State::Differs(is) => write!(
                f,
                "{name} is {is}, {value} is wanted: {why}; set it with `sysctl -w {name}={value}`, \
                 or with --sysctl apply"
            ),
            State::Set(was) => write!(f, "{name} was {was} and is {value} now: {why}"),
            State::Kept(is, problem) => write!(
                f,
                "{name} is {is}, {value} is wanted: {why}; it is not set: {problem}"
            ),
            State::Unreadable(problem) => {
                write!(
                    f,
                    "{name} cannot be read, {value} is wanted: {why}; {problem}"
                )
            }
        }
    }
}

/// Looks at what is wanted, and in the mode for it sets it. What is as wanted
/// is not in the result.
pub fn settle(mode: Mode, wanted: &[Setting], proc: &Proc) -> Vec<Finding> {
    if mode == Mode::Ignore {
        return Vec::new();
    }
    let findings = wanted.iter().filter_map(|setting| {
        let state = match proc.read(setting.name) {
            Ok(is) if setting.is_met_by(is) => return None,
            Ok(is) if mode == Mode::Apply => set(setting, is, proc),
            Ok(is) => State::Differs(is),
            Err(problem) => State::Unreadable(problem),
        };
        let setting = *setting;
        Some(Finding { setting, state })
    });
    findings.collect()
}

fn set(setting: &Setting, is: u32, proc: &Proc) -> State {
    if setting.name == wanted::FORWARDING_V6
        && let Some(why) = proc.routes_at_stake()
    {
        return State::Kept(is, why);
    }
    match proc.write(setting.name, setting.value) {
        Ok(()) => State::Set(is),
        Err(problem) => State::Kept(is, problem),
    }
}

#[cfg(test)]
mod tests;
