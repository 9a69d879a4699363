//! One step of the tour: commands, what became of them, checks.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use testbed::{Error, Result, wait};
use tokio::time::Instant;

use crate::screen::{Look, Screen};
use crate::stage::{Balancer, DEADLINE, Stage};
use crate::{chart, table};

/// How checks ended.
#[derive(Debug, Default)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub steps: usize,
}

impl Tally {
    pub fn words(&self, took: Duration) -> String {
        let Self {
            passed,
            failed,
            steps,
        } = self;
        let took = took.as_secs_f32();
        match failed {
            0 => format!("All {passed} checks of {steps} steps hold. It took {took:.0} s."),
            _ => format!(
                "{failed} of {} checks failed. It took {took:.0} s.",
                passed + failed
            ),
        }
    }
}

/// A step as it is played.
#[derive(Debug)]
pub struct Scene<'a> {
    pub stage: &'a Stage,
    pub screen: &'a Screen,
    pub begin: Instant,
    /// What was done to members, and when.
    pub asked: Vec<(String, Instant)>,
    tally: &'a mut Tally,
}

impl<'a> Scene<'a> {
    /// Begins one, with its title and what it shows.
    pub fn open(
        stage: &'a Stage,
        screen: &'a Screen,
        tally: &'a mut Tally,
        title: &str,
        shows: &str,
    ) -> Self {
        tally.steps += 1;
        screen.line("");
        let title = format!("{}. {title}", tally.steps);
        screen.line(&screen.paint(Look::Bold, &title));
        screen.paragraph(3, shows);
        screen.line("");
        stage.aws.clear_calls();
        Self {
            stage,
            screen,
            begin: Instant::now(),
            asked: Vec::new(),
            tally,
        }
    }

    pub async fn put(&mut self, balancer: &Balancer, member: &str) -> Result<()> {
        let key = balancer.key(member);
        self.show_command(&["etcdctl", "put", &key, "''"]);
        self.asked.push((member.to_owned(), Instant::now()));
        self.stage.etcd.put(&key, "").await
    }

    pub async fn put_with_lease(
        &mut self,
        balancer: &Balancer,
        member: &str,
        lease: i64,
    ) -> Result<()> {
        let key = balancer.key(member);
        let flag = format!("--lease={lease:x}");
        self.show_command(&["etcdctl", "put", &flag, &key, "''"]);
        self.asked.push((member.to_owned(), Instant::now()));
        self.stage.etcd.put_with_lease(&key, "", lease).await
    }

    pub async fn delete(&mut self, balancer: &Balancer, member: &str) -> Result<()> {
        let key = balancer.key(member);
        self.show_command(&["etcdctl", "del", &key]);
        self.asked.push((member.to_owned(), Instant::now()));
        self.stage.etcd.del(&key).await.map(drop)
    }

    pub async fn delete_all(&mut self, balancer: &Balancer) -> Result<()> {
        let prefix = balancer.prefix();
        self.show_command(&["etcdctl", "del", "--prefix", &prefix]);
        self.stage.etcd.del_prefix(&prefix).await.map(drop)
    }

    pub async fn grant(&mut self, seconds: u64) -> Result<i64> {
        self.show_command(&["etcdctl", "lease", "grant", &seconds.to_string()]);
        let lease = self.stage.etcd.lease_grant(seconds).await?;
        let answer = format!("     lease {lease:x} granted with TTL({seconds}s)");
        self.screen.line(&self.screen.paint(Look::Dim, &answer));
        Ok(lease)
    }

    /// Something was done to a member, and not by a command.
    pub fn by_hand(&mut self, member: &str) {
        self.asked.push((member.to_owned(), Instant::now()));
    }

    /// What is looked at begins here, after the preparations.
    pub fn begin_here(&mut self) {
        self.begin = Instant::now();
        self.asked.clear();
        self.stage.aws.clear_calls();
    }

    /// A remark between two commands.
    pub fn remark(&self, text: &str) {
        let text = format!("     # {text}");
        self.screen.line(&self.screen.paint(Look::Dim, &text));
    }

    /// Waits until exactly these are in service and nobody else is registered.
    pub async fn wait_for(&self, balancer: &Balancer, members: &[&str]) -> Result<()> {
        let wanted: BTreeSet<String> = members.iter().map(|&member| member.to_owned()).collect();
        let what = format!("only {} to serve at {}", members.join(" "), balancer.name);
        let handle = &balancer.handle;
        let done = |_: &_| handle.in_service() == wanted && handle.registered() == wanted;
        let reached = self.stage.aws.wait_until(&what, done, DEADLINE);
        reached.await.map_err(Error::from)
    }

    /// Waits until the status of a load balancer is as `wanted` says; `None` is no status.
    pub async fn wait_for_status(
        &self,
        what: &str,
        balancer: &Balancer,
        wanted: impl Fn(Option<&Value>) -> bool,
    ) -> Result<Option<Value>> {
        let key = balancer.status_key();
        let reached = wait::until(what, DEADLINE, || async {
            let found = self.stage.etcd.get(&key).await;
            let found = found.map_err(|error| error.to_string())?;
            let status = found.and_then(|text| serde_json::from_str(&text).ok());
            if wanted(status.as_ref()) {
                Ok(status)
            } else {
                Err(status.map(|status| status.to_string()).unwrap_or_default())
            }
        });
        reached.await.map_err(Error::from)
    }

    /// The members that were touched or are there, and the calls it took.
    pub async fn show(&self, balancer: &Balancer) -> Result<()> {
        self.screen.line("");
        table::members(self, balancer).await?;
        table::calls(self);
        Ok(())
    }

    /// Who was in service when, since the step began.
    pub fn chart(&self, balancer: &Balancer) {
        let timeline = balancer.handle.timeline();
        for line in chart::lines(&timeline, self.begin, Instant::now()) {
            self.screen.line(&format!("   {line}"));
        }
        self.screen.line("");
    }

    pub fn check(&mut self, what: &str, holds: bool) {
        if holds {
            self.tally.passed += 1;
            let mark = self.screen.paint(Look::Good, "✓");
            self.screen.line(&format!("   {mark} {what}"));
        } else {
            self.tally.failed += 1;
            self.screen.failure(what);
        }
    }

    /// The least number in service since the step began.
    pub fn least(&self, balancer: &Balancer) -> usize {
        let timeline = balancer.handle.timeline();
        timeline.min_in_service_between(self.begin, Instant::now())
    }

    /// How many register and deregister calls were made since the step began.
    pub fn writes(&self) -> usize {
        self.stage.aws.calls().writes().len()
    }

    fn show_command(&self, words: &[&str]) {
        let line = words.join(" ");
        let paint = |text: &str| self.screen.paint(Look::Command, text);
        if line.chars().count() + 5 <= crate::screen::WIDTH {
            return self.screen.line(&format!("   $ {}", paint(&line)));
        }
        let (head, tail) = words.split_at(3.min(words.len()));
        self.screen.line(&format!(
            "   $ {}",
            paint(&format!("{} \\", head.join(" ")))
        ));
        self.screen
            .line(&format!("       {}", paint(&tail.join(" "))));
    }
}
