//! The plan as a person reads it.

use jiff::Timestamp;

use super::{Answer, Planned, Staying};
use presence::process::words::{columns, text, time};

pub(super) fn answer(answer: &Answer, now: Timestamp) -> String {
    if answer.load_balancers.is_empty() {
        return "No load balancer is managed by this tree.\n".to_owned();
    }
    let all = answer.load_balancers.iter();
    let mut lines: Vec<String> = all.flat_map(|planned| balancer(planned, now)).collect();
    lines.push(summary(answer));
    text(&lines)
}

fn balancer(planned: &Planned, now: Timestamp) -> Vec<String> {
    let class = planned.class.map(|class| format!(", class {class}"));
    let mut lines = vec![format!(
        "{}{}: {}",
        planned.load_balancer,
        class.unwrap_or_default(),
        headline(planned),
    )];
    let problems = planned.problems.iter();
    lines.extend(problems.map(|problem| format!("  problem: {problem}")));
    lines.extend(columns("  ", &steps(planned, now)));
    let commands = planned.commands.iter();
    lines.extend(commands.map(|command| format!("  the kernel is told to {command}")));
    if planned.waiting {
        let words = "  waiting: somebody has yet to get in service, to be given up, or to drain";
        lines.push(words.to_owned());
    }
    lines
}

fn headline(planned: &Planned) -> String {
    match &planned.error {
        Some(error) => format!("cannot be looked at: {error}"),
        None if planned.in_sync => "in sync".to_owned(),
        None => format!(
            "{} to be put in, {} to be taken out, {} withheld",
            planned.register.len(),
            planned.deregister.len(),
            planned.withheld.len(),
        ),
    }
}

fn steps(planned: &Planned, now: Timestamp) -> Vec<[String; 2]> {
    let with = |what: String, note: &Option<String>| match note {
        Some(note) => format!("{what}; {note}"),
        None => what,
    };
    let register = planned.register.iter().map(|step| {
        let what = with("put in".to_owned(), &step.note);
        [format!("+ {}", step.member), what]
    });
    let deregister = planned.deregister.iter().map(|step| {
        let what = with(format!("take out: {}", step.reason), &step.note);
        [format!("- {}", step.member), what]
    });
    let withheld = planned
        .withheld
        .iter()
        .map(|step| [format!("! {}", step.member), withheld(step, now)]);
    register.chain(deregister).chain(withheld).collect()
}

fn withheld(step: &Staying, now: Timestamp) -> String {
    let until = step.withheld.until.map(|until| time(until, now));
    format!(
        "withheld, though {}: {}{}",
        step.withheld.reason,
        step.withheld.why,
        until.map_or(String::new(), |until| format!("; at the latest {until}")),
    )
}

fn summary(answer: &Answer) -> String {
    let all = &answer.load_balancers;
    let sum = |count: fn(&Planned) -> usize| all.iter().map(count).sum::<usize>();
    let in_sync = all.iter().filter(|planned| planned.in_sync).count();
    format!(
        "{} load balancer(s) at revision {}: {in_sync} in sync; {} member(s) to be put in, {} to be \
         taken out, {} withheld. Nothing was changed.",
        all.len(),
        answer.revision,
        sum(|planned| planned.register.len()),
        sum(|planned| planned.deregister.len()),
        sum(|planned| planned.withheld.len()),
    )
}
