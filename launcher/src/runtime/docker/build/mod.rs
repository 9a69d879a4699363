//! Builds an image from a directory of this host, by Docker's own builder.

mod context;
mod ignore;

use std::io::{self, Read as _};
use std::path::Path;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder};
use bytes::Bytes;
use futures::{StreamExt as _, stream};

use crate::definition::Build;

/// As much of the context as is sent at once.
const PIECE: usize = 64 << 10;
/// As many of the last lines as are told of a build that failed.
const LINES: usize = 5;

/// What went wrong.
pub(super) enum Failed {
    /// In words: the context cannot be read, or a step failed.
    Build(String),
    /// Docker did not take it.
    Docker(Error),
}

pub(super) async fn run(
    client: &Docker,
    image: &str,
    platform: Option<&str>,
    build: &Build,
) -> Result<(), Failed> {
    let (directory, dockerfile) = (build.context.clone(), build.dockerfile.clone());
    let packing = move || context::pack(Path::new(&directory), dockerfile.as_deref());
    let packed = tokio::task::spawn_blocking(packing).await;
    let packed = packed.map_err(|error| Failed::Build(error.to_string()))?;
    let mut file = packed.map_err(Failed::Build)?;
    // A read from a file that is in memory more often than not.
    let pieces = std::iter::from_fn(move || piece(&mut file).transpose());
    let body = bollard::body_try_stream(stream::iter(pieces));
    let options = options(image, platform, build);
    let mut reports = client.build_image(options, None, Some(body)).boxed();
    let mut lines = Vec::new();
    while let Some(report) = reports.next().await {
        match report {
            Ok(report) => take_in(&mut lines, &report)?,
            Err(Error::DockerStreamError { error }) => return Err(failed(&lines, &error)),
            Err(error) => return Err(Failed::Docker(error)),
        }
    }
    Ok(())
}

fn piece(file: &mut std::fs::File) -> io::Result<Option<Bytes>> {
    let mut piece = vec![0; PIECE];
    let length = file.read(&mut piece)?;
    piece.truncate(length);
    Ok((length > 0).then(|| piece.into()))
}

fn options(image: &str, platform: Option<&str>, build: &Build) -> BuildImageOptions {
    let args = build.args.0.iter();
    // One without a value is launcher's own, as in `environment`.
    let args = args.filter_map(|(name, value)| {
        let value = value.clone().or_else(|| std::env::var(name).ok());
        Some((name.clone(), value?))
    });
    BuildImageOptionsBuilder::new()
        .t(image)
        .dockerfile(build.dockerfile.as_deref().unwrap_or("Dockerfile"))
        .target(build.target.as_deref().unwrap_or_default())
        .platform(platform.unwrap_or_default())
        .buildargs(&args.collect())
        // What steps leave behind is of no use to anybody.
        .rm(true)
        .forcerm(true)
        .build()
}

fn take_in(lines: &mut Vec<String>, report: &BuildInfo) -> Result<(), Failed> {
    let error = report.error_detail.as_ref();
    if let Some(message) = error.and_then(|error| error.message.as_deref()) {
        return Err(failed(lines, message));
    }
    let text = report.stream.as_deref().unwrap_or_default().trim();
    lines.extend(text.lines().map(str::to_owned));
    let surplus = lines.len().saturating_sub(LINES);
    lines.drain(..surplus);
    Ok(())
}

fn failed(lines: &[String], error: &str) -> Failed {
    let error = error.trim();
    if lines.is_empty() {
        return Failed::Build(error.to_owned());
    }
    Failed::Build(format!("{error}; its last lines:\n{}", lines.join("\n")))
}
