//! Runs the host's iptables, whichever kernel interface it is made for.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use ipvs::Family;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::present::Present;
use super::rule::Rule;

/// How long another program may have the tables locked, in seconds.
const PATIENCE: &str = "5";
/// How long a program may run.
const LIMIT: Duration = Duration::from_secs(15);
/// More of what one says is not passed on.
const LONGEST: usize = 300;
/// Daemons' search paths often lack these.
const SBIN: &str = ":/usr/local/sbin:/usr/sbin:/sbin";

/// The names of iptables and ip6tables; `-save` and `-restore` are added to
/// them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    /// For IPv4.
    pub v4: String,
    /// For IPv6.
    pub v6: String,
}

/// Those that the host calls its own.
impl Default for Programs {
    fn default() -> Self {
        Self {
            v4: "iptables".to_owned(),
            v6: "ip6tables".to_owned(),
        }
    }
}

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Only where other rules are wanted than the last time. Starts no program
    /// where nothing changes.
    Changes,
    /// Whether somebody changed ours meanwhile, too: now and then.
    Everything,
}

/// Why services are not masqueraded.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// There is no such program.
    #[error(
        "clients cannot reach {family} services in front of a neighbour: there is no {program} on \
         this host; install iptables, or switch this off with --masquerade off"
    )]
    NoProgram {
        /// Whose services.
        family: Family,
        /// What was looked for.
        program: String,
    },
    /// It does not do its work.
    #[error(
        "clients cannot reach {family} services in front of a neighbour: {program} failed: \
         {said}{advice}; or switch this off with --masquerade off"
    )]
    Failed {
        /// Whose services.
        family: Family,
        /// What was run.
        program: String,
        /// In its words.
        said: String,
        /// What to do about it.
        advice: &'static str,
    },
}

/// Keeps the rules in the kernel.
#[derive(Debug, Default)]
pub struct Masquerade {
    programs: Programs,
    /// What was seen to be there.
    settled: BTreeMap<Family, BTreeSet<Rule>>,
}

impl Masquerade {
    /// With these programs.
    pub fn new(programs: Programs) -> Self {
        Self {
            programs,
            settled: BTreeMap::new(),
        }
    }

    /// Makes the rules these, for both families; without any, nothing of ours
    /// is left. What fails is tried again the next time.
    ///
    /// Safe to be dropped: a program that runs is killed, and does all of its
    /// work or nothing.
    pub async fn settle(&mut self, wanted: &BTreeSet<Rule>, look: Look) -> Vec<Problem> {
        self.settle_keeping(wanted, &BTreeSet::new(), look).await
    }

    /// As [`Masquerade::settle`]; rules of `kept` stay if they are there.
    pub async fn settle_keeping(
        &mut self,
        wanted: &BTreeSet<Rule>,
        kept: &BTreeSet<Rule>,
        look: Look,
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        for family in [Family::V4, Family::V6] {
            let of_family = |rule: &&Rule| rule.subnet.is_ipv4() == (family == Family::V4);
            let rules: BTreeSet<Rule> = wanted.iter().filter(of_family).copied().collect();
            if look == Look::Changes && self.settled.get(&family) == Some(&rules) {
                continue;
            }
            let before = self.settled.remove(&family).unwrap_or_default();
            let kept: BTreeSet<Rule> = kept.iter().filter(of_family).copied().collect();
            match self.settle_one(family, &rules, &kept).await {
                Ok(()) => {
                    self.settled.insert(family, rules);
                }
                // Who never could add a rule has none to remove.
                Err(problem) if rules.is_empty() && before.is_empty() => {
                    tracing::debug!(%problem, "no rules to be removed");
                    self.settled.insert(family, rules);
                }
                Err(problem) => {
                    // So that what is left of them is not forgotten.
                    if !before.is_empty() {
                        self.settled.insert(family, before);
                    }
                    problems.push(problem);
                }
            }
        }
        problems
    }

    async fn settle_one(
        &self,
        family: Family,
        rules: &BTreeSet<Rule>,
        kept: &BTreeSet<Rule>,
    ) -> Result<(), Problem> {
        // To name the table would load its module, for which there is no need
        // where there is no rule.
        let table: &[&str] = if rules.is_empty() {
            &[]
        } else {
            &["-t", "nat"]
        };
        let saved = self.run(family, "save", table, "").await?;
        let present = Present::parse(&saved);
        let kept = present
            .rules
            .iter()
            .flat_map(|rules| rules.intersection(kept));
        let rules: BTreeSet<Rule> = rules.iter().chain(kept).copied().collect();
        let Some(script) = present.script(&rules) else {
            return Ok(());
        };
        let wait = format!("--wait={PATIENCE}");
        let args = ["--noflush", &wait];
        self.run(family, "restore", &args, &script).await.map(drop)
    }

    /// Runs one of the programs to its end, and gives what it wrote.
    async fn run(
        &self,
        family: Family,
        what: &str,
        args: &[&str],
        input: &str,
    ) -> Result<String, Problem> {
        let program = match family {
            Family::V4 => format!("{}-{what}", self.programs.v4),
            Family::V6 => format!("{}-{what}", self.programs.v6),
        };
        let failed = |said: String| {
            let advice = advice(&said);
            let program = program.clone();
            Problem::Failed {
                family,
                program,
                said,
                advice,
            }
        };
        let ended = timeout(LIMIT, output(&program, args, input)).await;
        let output = match ended {
            Err(_) => return Err(failed(format!("it took more than {} s", LIMIT.as_secs()))),
            Ok(Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Problem::NoProgram { family, program });
            }
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Ok(Ok(output)) => output,
        };
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(failed(format!("{}: {}", output.status, one_line(&said))));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

async fn output(program: &str, args: &[&str], input: &str) -> io::Result<Output> {
    let mut path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    path.push(SBIN);
    let mut command = Command::new(program);
    command.args(args).env("PATH", path).env("LC_ALL", "C");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let stdin = child.stdin.take();
    let write = async {
        if let Some(mut stdin) = stdin {
            // If it ended before it read everything, its status says why.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
    };
    let ((), output) = tokio::join!(write, child.wait_with_output());
    output
}

/// What to do about what iptables says.
fn advice(said: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if has(&["lock file"]) {
        "; it needs to write /run/xtables.lock"
    } else if has(&["ermission denied", "not permitted", "must be root"]) {
        "; CAP_NET_ADMIN is needed, and for the legacy iptables CAP_NET_RAW"
    } else if has(&["insmod", "to initialize table"]) {
        "; load its tables: `modprobe -a iptable_nat ip6table_nat`"
    } else if has(&[
        "No chain/target/match",
        "missing kernel module",
        "Couldn't load",
    ]) {
        "; load what is missing: `modprobe -a xt_conntrack xt_mark xt_MASQUERADE`"
    } else if has(&["Protocol not supported", "TABLE_ADD failed"]) {
        "; where the kernel has no nf_tables, `update-alternatives --set iptables \
         /usr/sbin/iptables-legacy` takes the other iptables"
    } else {
        ""
    }
}

/// Of bounded length: one cause is often told for every line.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> Masquerade {
        Masquerade::new(Programs {
            v4: "/nowhere/iptables".to_owned(),
            v6: "/nowhere/ip6tables".to_owned(),
        })
    }

    #[tokio::test]
    async fn a_host_without_iptables_is_told_to_install_it() {
        let rule = "-s 10.9.0.0/24 -d 10.9.0.0/24 -m mark --mark 0x7 -j MASQUERADE";
        let wanted = BTreeSet::from([super::super::rule::parse(rule).unwrap()]);
        let problems = none().settle(&wanted, Look::Changes).await;
        assert_eq!(problems.len(), 1, "{problems:?}");
        let problem = problems[0].to_string();
        assert!(problem.contains("no /nowhere/iptables-save"), "{problem}");
        assert!(problem.contains("install iptables"), "{problem}");
    }

    #[tokio::test]
    async fn a_host_that_needs_none_needs_no_iptables() {
        for look in [Look::Changes, Look::Everything] {
            let problems = none().settle(&BTreeSet::new(), look).await;
            assert!(problems.is_empty(), "{problems:?}");
        }
    }

    #[test]
    fn what_iptables_says_has_advice() {
        for (said, expected) in [
            (
                "Fatal: can't open lock file /run/xtables.lock: Permission denied",
                "xtables.lock",
            ),
            (
                "can't initialize iptables table `nat': Permission denied (you must be root)",
                "CAP_NET_RAW",
            ),
            (
                "iptables-nft-restore v1.8.9 (nf_tables): TABLE_ADD failed (Operation not \
                 supported): table nat",
                "iptables-legacy",
            ),
            (
                "iptables-restore v1.8.9 (nf_tables): line 2: RULE_APPEND failed (Invalid \
                 argument)",
                "",
            ),
            (
                "Failed to initialize nft: Protocol not supported",
                "iptables-legacy",
            ),
            (
                "Extension conntrack revision 0 not supported, missing kernel module?",
                "xt_conntrack",
            ),
            (
                "Cannot initialize: iptables who? (do you need to insmod?)",
                "modprobe -a iptable_nat",
            ),
            ("something new", ""),
        ] {
            let advice = advice(said);
            assert!(advice.contains(expected), "{said}: {advice}");
            assert_eq!(advice.is_empty(), expected.is_empty(), "{said}: {advice}");
        }
    }
}
