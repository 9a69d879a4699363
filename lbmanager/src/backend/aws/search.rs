//! Finding the names that make a joint request fail. Pure: what to ask next,
//! given the answers.
//!
//! A request that fails is halved, both halves asked side by side, until what
//! fails is a single name. Where both halves fail it may be the service and
//! not the names, so one name of each is asked alone first; if those fail too,
//! and nobody else was answered meanwhile, all of it is given up.

use std::collections::{BTreeMap, BTreeSet};

/// Why a joint request failed, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal<E> {
    /// Some name does not exist; these, as far as the error says which.
    Missing(Vec<String>, E),
    /// One of the names may be the cause, or the service.
    Unclear(E),
    /// It has nothing to do with the names.
    Everyone(E),
}

/// Names to be asked for in one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub names: Vec<String>,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Asked on its own account.
    Root,
    /// A name that failed alone before.
    Suspect,
    /// A half of a request that failed.
    Half(usize, usize),
    /// One name of a half that failed, like the other half of the pair.
    Canary(usize),
}

/// What follows from an answer.
#[derive(Debug)]
pub(super) struct Step<A, E> {
    /// What is known now, each name once in a search.
    pub verdicts: Vec<(String, Result<A, E>)>,
    /// What to ask now.
    pub requests: Vec<Request>,
}

/// Two halves of a request that failed.
#[derive(Debug)]
struct Pair<E> {
    halves: [Half<E>; 2],
    canaries: usize,
    /// How many answers there were when the halves were asked.
    answers: usize,
}

#[derive(Debug)]
enum Half<E> {
    Asked,
    Answered,
    /// These names of it are open still.
    Failed(Vec<String>, E),
}

/// A search in progress.
#[derive(Debug)]
pub(super) struct Search<E> {
    pairs: BTreeMap<usize, Pair<E>>,
    next_pair: usize,
    /// Picks the canaries, so that it is others each time.
    turn: usize,
    answers: usize,
    failed_alone: Vec<String>,
}

impl<E: Clone> Search<E> {
    /// Names are asked for in as few requests of at most `most` as there can
    /// be, suspects alone.
    pub(super) fn start(
        names: impl IntoIterator<Item = String>,
        suspects: &BTreeSet<String>,
        most: usize,
        turn: usize,
    ) -> (Self, Vec<Request>) {
        let (alone, together): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| suspects.contains(name));
        let together = together.chunks(most).map(<[_]>::to_vec).map(Request::root);
        let alone = alone.into_iter().map(Request::suspect);
        let search = Self {
            pairs: BTreeMap::new(),
            next_pair: 0,
            turn,
            answers: 0,
            failed_alone: Vec::new(),
        };
        (search, together.chain(alone).collect())
    }

    /// Takes the answer to a request in. A name that is not in an answer does
    /// not exist, which `absent` puts into words.
    pub(super) fn answered<A>(
        &mut self,
        request: Request,
        answer: Result<BTreeMap<String, A>, Refusal<E>>,
        absent: impl Fn(&str) -> E,
    ) -> Step<A, E> {
        let Request { mut names, place } = request;
        let mut step = Step::default();
        let half = match answer {
            Ok(mut found) => {
                let mut verdict = |name: &String| found.remove(name).ok_or_else(|| absent(name));
                step.verdicts = names.iter().map(|n| (n.clone(), verdict(n))).collect();
                self.answers += 1;
                Half::Answered
            }
            Err(Refusal::Missing(named, error)) => {
                step.set_missing_apart(names, &named, &error);
                self.answers += 1;
                Half::Answered
            }
            Err(Refusal::Everyone(error)) => {
                step.fail(names, &error);
                Half::Failed(Vec::new(), error)
            }
            Err(Refusal::Unclear(error)) => {
                if names.len() == 1 {
                    self.failed_alone.extend(names.iter().cloned());
                    step.fail(std::mem::take(&mut names), &error);
                }
                Half::Failed(names, error)
            }
        };
        self.settle(place, half, &mut step);
        step
    }

    /// Who failed alone while others were answered.
    pub(super) fn suspects(self) -> Vec<String> {
        if self.answers > 0 {
            self.failed_alone
        } else {
            Vec::new()
        }
    }

    fn settle<A>(&mut self, place: Place, outcome: Half<E>, step: &mut Step<A, E>) {
        match (place, outcome) {
            (Place::Root, Half::Failed(open, _)) => self.halve(open, step),
            (Place::Root | Place::Suspect, _) => {}
            (Place::Half(id, side), half) => {
                if let Some(pair) = self.pairs.get_mut(&id) {
                    pair.halves[side] = half;
                    self.judge(id, step);
                }
            }
            (Place::Canary(id), _) => {
                if let Some(pair) = self.pairs.get_mut(&id) {
                    pair.canaries -= 1;
                    self.heed_canary(id, step);
                }
            }
        }
    }

    /// A half was answered or failed.
    fn judge<A>(&mut self, id: usize, step: &mut Step<A, E>) {
        let Some(pair) = self.pairs.get_mut(&id) else {
            return;
        };
        if pair.halves.iter().any(|half| matches!(half, Half::Asked)) {
            return;
        }
        if self.answers == pair.answers {
            for open in pair.halves.iter_mut().filter_map(Half::open) {
                if !open.is_empty() {
                    let name = open.remove(self.turn % open.len());
                    step.requests.push(Request {
                        names: vec![name],
                        place: Place::Canary(id),
                    });
                    pair.canaries += 1;
                }
            }
        }
        self.heed_canary(id, step);
    }

    /// Goes on where the service answered somebody since the halves were
    /// asked; gives up where it did not and no canary is left to wait for.
    fn heed_canary<A>(&mut self, id: usize, step: &mut Step<A, E>) {
        let Some(pair) = self.pairs.get(&id) else {
            return;
        };
        let works = self.answers > pair.answers;
        if !works && pair.canaries > 0 {
            return;
        }
        let halves = self
            .pairs
            .remove(&id)
            .into_iter()
            .flat_map(|pair| pair.halves);
        for half in halves {
            match half {
                Half::Failed(open, _) if works => self.halve(open, step),
                Half::Failed(open, error) => step.fail(open, &error),
                Half::Asked | Half::Answered => {}
            }
        }
    }

    fn halve<A>(&mut self, names: Vec<String>, step: &mut Step<A, E>) {
        if names.len() < 2 {
            step.ask(names);
            return;
        }
        let id = self.next_pair;
        self.next_pair += 1;
        let pair = Pair {
            halves: [Half::Asked, Half::Asked],
            canaries: 0,
            answers: self.answers,
        };
        self.pairs.insert(id, pair);
        for (side, names) in halves(names).into_iter().enumerate() {
            let place = Place::Half(id, side);
            step.requests.push(Request { names, place });
        }
    }
}

impl Request {
    fn root(names: Vec<String>) -> Self {
        let place = Place::Root;
        Self { names, place }
    }

    fn suspect(name: String) -> Self {
        Self {
            names: vec![name],
            place: Place::Suspect,
        }
    }

    /// Whether it is a name that failed alone before.
    pub(super) fn is_suspect(&self) -> bool {
        self.place == Place::Suspect
    }
}

impl<E> Half<E> {
    fn open(&mut self) -> Option<&mut Vec<String>> {
        match self {
            Self::Failed(open, _) => Some(open),
            Self::Asked | Self::Answered => None,
        }
    }
}

impl<A, E> Default for Step<A, E> {
    fn default() -> Self {
        Self {
            verdicts: Vec::new(),
            requests: Vec::new(),
        }
    }
}

impl<A, E: Clone> Step<A, E> {
    fn fail(&mut self, names: Vec<String>, error: &E) {
        let failed = names.into_iter().map(|name| (name, Err(error.clone())));
        self.verdicts.extend(failed);
    }

    fn ask(&mut self, names: Vec<String>) {
        if !names.is_empty() {
            self.requests.push(Request::root(names));
        }
    }

    /// The service works: no need for canaries.
    fn set_missing_apart(&mut self, asked: Vec<String>, named: &[String], error: &E) {
        let single = asked.len() == 1;
        let (missing, rest): (Vec<_>, Vec<_>) = asked
            .into_iter()
            .partition(|name| single || named.contains(name));
        if missing.is_empty() {
            for half in halves(rest) {
                self.ask(half);
            }
            return;
        }
        self.fail(missing, error);
        self.ask(rest);
    }
}

fn halves(mut names: Vec<String>) -> [Vec<String>; 2] {
    let second = names.split_off(names.len() / 2);
    [names, second]
}

#[cfg(test)]
mod tests;
