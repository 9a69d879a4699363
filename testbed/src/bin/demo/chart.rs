//! Who was in service when, drawn with one character for a tenth of a second.

use std::collections::BTreeSet;
use std::time::Duration;

use testbed::aws::Timeline;
use tokio::time::Instant;

const COLUMN: Duration = Duration::from_millis(100);
/// What is left of a line beside the name.
const COLUMNS: usize = 60;
const SECOND: usize = 10;

/// One line for each instance that was there at some time from `begin` to `end`, and a scale.
pub fn lines(timeline: &Timeline, begin: Instant, end: Instant) -> Vec<String> {
    let moments: Vec<Instant> = (0..COLUMNS)
        .scan(begin, |at, _| {
            let this = *at;
            *at += COLUMN;
            Some(this)
        })
        .take_while(|at| *at <= end)
        .collect();
    let seen: Vec<(BTreeSet<String>, BTreeSet<String>)> = moments
        .iter()
        .map(|at| (timeline.registered_at(*at), timeline.in_service_at(*at)))
        .collect();
    let names: BTreeSet<&String> = seen.iter().flat_map(|(there, _)| there).collect();
    let row = |name: &String| -> String {
        seen.iter()
            .map(|(there, serving)| match () {
                () if serving.contains(name) => '█',
                () if there.contains(name) => '░',
                () => '·',
            })
            .collect()
    };
    let rows = names
        .into_iter()
        .map(|name| format!("{name:<12} {}", row(name)));
    rows.chain([scale(moments.len())]).collect()
}

fn scale(columns: usize) -> String {
    let marks =
        (0..columns.div_ceil(SECOND)).map(|second| format!("{:<SECOND$}", format!("|{second}s")));
    let marks: String = marks.collect();
    format!("{:<12} {}  █ in service ░ starting", "", marks.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use testbed::aws::Aws;

    #[tokio::test]
    async fn a_switch_is_drawn() {
        let aws = Aws::start().await.unwrap();
        tokio::time::pause();
        let web = aws.create("us-east-1", "web").instances(["i-1"]);
        let web = web.health_delay(Duration::from_millis(250));
        let begin = Instant::now();
        tokio::time::advance(Duration::from_millis(150)).await;
        web.tamper_register("i-2");
        tokio::time::advance(Duration::from_millis(300)).await;
        web.tamper_deregister("i-1");
        let end = begin + Duration::from_millis(700);
        let drawn = lines(&web.timeline(), begin, end);
        assert_eq!(drawn[0], "i-1          █████···");
        assert_eq!(drawn[1], "i-2          ··░░████");
        assert!(drawn[2].starts_with("             |0s"));
    }
}
