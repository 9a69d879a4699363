//! A write that takes many members at once and fails for all because of one:
//! the bad ones are isolated, the others are written.

use std::collections::BTreeSet;
use std::future::Future;

use presence::model::MemberId;

use super::error::Failure;
use crate::backend::Outcome;

/// Writes members in requests of at most `most`. Where a request fails and
/// `is_member` says that it is because of a member, those that AWS names are
/// set apart; where it names none, the request is halved. Any other failure
/// ends it.
pub async fn split<F>(
    members: &BTreeSet<MemberId>,
    most: usize,
    subject: &str,
    is_member: impl Fn(&Failure) -> bool,
    mut send: impl FnMut(Vec<MemberId>) -> F,
) -> Outcome
where
    F: Future<Output = Result<(), Failure>>,
{
    let members: Vec<MemberId> = members.iter().cloned().collect();
    let mut open: Vec<Vec<MemberId>> = members.chunks(most).map(<[_]>::to_vec).collect();
    open.reverse();
    let mut outcome = Outcome::default();
    while let Some(batch) = open.pop() {
        match send(batch.clone()).await {
            Ok(()) => outcome.done.extend(batch),
            Err(failure) if is_member(&failure) => {
                let (bad, rest) = set_apart(batch, &failure);
                let bad = bad.into_iter().map(|member| {
                    let why = failure.about(subject).to_string();
                    (member, why)
                });
                outcome.rejected.extend(bad);
                open.extend(rest);
            }
            Err(failure) => {
                outcome.error = Some(failure.about(subject));
                break;
            }
        }
    }
    outcome
}

/// Who is bad, and what to try next, last first.
fn set_apart(batch: Vec<MemberId>, failure: &Failure) -> (Vec<MemberId>, Vec<Vec<MemberId>>) {
    if batch.len() == 1 {
        return (batch, Vec::new());
    }
    let message = failure.message.as_deref().unwrap_or_default();
    let words: BTreeSet<&str> = message.split(|c: char| !is_of_a_name(c)).collect();
    let (named, mut rest): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .partition(|member| words.contains(member.as_str()));
    if named.is_empty() {
        let second = rest.split_off(rest.len() / 2);
        return (named, vec![second, rest]);
    }
    let rest = Some(rest).filter(|rest| !rest.is_empty());
    (named, rest.into_iter().collect())
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-'
}

#[cfg(test)]
mod tests;
