//! P13: sizes of the binaries, and how soon one is there.

use std::path::{Path, PathBuf};

use testbed::process::workspace_binary;
use testbed::{Error, Result};

use crate::measure::{Task, interleaved, median};
use crate::report::{Figure, Report, Row, Target};

const PROGRAMS: [&str; 3] = ["lbmanager", "launcher", "service-monitor"];
const RUNS: usize = 51;
const MOST: Figure = Figure::Bytes(15e6);
const SHARE: f64 = 1.0 / 3.0;

pub async fn measure(report: &mut Report) -> Result<()> {
    let ours = workspace_binary("lbmanager")?;
    for program in PROGRAMS {
        report.add(size(program, &workspace_binary(program)?)?);
    }
    let version = Task::new(&ours, &["--version"]);
    let etcdctl = Task::new("etcdctl", &["version"]);
    let docker = found("docker").map(|docker| Task::new(docker, &["--version"]));
    let Some(docker) = docker else {
        let [ours, etcdctl] = interleaved([&version, &etcdctl], RUNS).await?;
        report.add(start_up(median(&ours), median(&etcdctl), "etcdctl version"));
        return Ok(());
    };
    let [ours, etcdctl, docker] = interleaved([&version, &etcdctl, &docker], RUNS).await?;
    report.add(start_up(median(&ours), median(&etcdctl), "etcdctl version"));
    report.add(start_up(median(&ours), median(&docker), "docker --version"));
    Ok(())
}

fn size(program: &str, binary: &Path) -> Result<Row> {
    let found = std::fs::metadata(binary).map_err(|source| Error::Io {
        action: "look at",
        object: binary.display().to_string(),
        source,
    })?;
    Ok(Row {
        id: "P13",
        what: format!("size of {program}, stripped"),
        ours: Figure::bytes(found.len()),
        peer: None,
        target: Target::Below(MOST),
        runs: 1,
        how: "The file that the release profile makes, symbols stripped.".to_owned(),
    })
}

fn start_up(ours: std::time::Duration, peer: std::time::Duration, name: &'static str) -> Row {
    Row {
        id: "P13",
        what: "lbmanager --version".to_owned(),
        ours: Figure::time(ours),
        peer: Some((Figure::time(peer), name)),
        target: Target::Ratio(SHARE),
        runs: RUNS,
        how: "From before the process is started until it has ended; medians.".to_owned(),
    }
}

fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|path| path.is_file())
}
