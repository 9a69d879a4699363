//! One step of the tour: commands, what became of them, checks; on whatever stage.

use std::time::Duration;

use testbed::Result;
use tokio::time::Instant;

use crate::screen::{Look, Screen, WIDTH};

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

/// What a step is called, and what it shows.
pub type Words = (&'static str, &'static str);

/// Steps on one stage.
pub struct Tour<'a, S> {
    pub stage: &'a S,
    pub screen: &'a Screen,
    pub tally: &'a mut Tally,
}

impl<S> Tour<'_, S> {
    /// A step that cannot go on has failed; the others are played all the same.
    pub async fn play(
        &mut self,
        (title, shows): Words,
        step: impl AsyncFnOnce(&mut Scene<'_, S>) -> Result<()>,
    ) {
        let mut scene = Scene::open(self.stage, self.screen, self.tally, title, shows);
        if let Err(error) = step(&mut scene).await {
            scene.check(&error.chain(), false);
        }
    }
}

/// A step as it is played.
#[derive(Debug)]
pub struct Scene<'a, S> {
    pub stage: &'a S,
    pub screen: &'a Screen,
    pub begin: Instant,
    /// What was done to members, and when.
    pub asked: Vec<(String, Instant)>,
    tally: &'a mut Tally,
}

impl<'a, S> Scene<'a, S> {
    /// Begins one, with its title and what it shows.
    fn open(
        stage: &'a S,
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
        Self {
            stage,
            screen,
            begin: Instant::now(),
            asked: Vec::new(),
            tally,
        }
    }

    /// A remark between two commands.
    pub fn remark(&self, text: &str) {
        let text = format!("     # {text}");
        self.screen.line(&self.screen.paint(Look::Dim, &text));
    }

    /// A command, as it would be typed.
    pub fn command(&self, words: &[&str]) {
        let line = words.join(" ");
        let paint = |text: &str| self.screen.paint(Look::Command, text);
        if line.chars().count() + 5 <= WIDTH {
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

    /// What a command answered.
    pub fn answer(&self, text: &str) {
        for line in text.lines() {
            let line = format!("     {line}");
            self.screen
                .line(&self.screen.paint(Look::Dim, line.trim_end()));
        }
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
}
