//! Images that are built on this host.

use std::fs;

use launcher::definition::parse;
use launcher::life::{Action, Done, carry_out};
use launcher::runtime::spec::Build;
use launcher::runtime::{ContainerRuntime as _, RuntimeError};

use crate::real::Real;
use crate::{Rig as _, spec};

/// A context with this Dockerfile, and something beside it.
fn context(dockerfile: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = |path: &str| directory.path().join(path);
    fs::create_dir(at("secret")).unwrap();
    fs::write(at("secret/key"), "x").unwrap();
    fs::write(at("page"), "hello").unwrap();
    fs::write(at("web.dockerfile"), dockerfile).unwrap();
    fs::write(at(".dockerignore"), "secret\n*.dockerfile\n").unwrap();
    directory
}

fn build(directory: &tempfile::TempDir) -> Build {
    let keys = format!(
        "{{image: x, build: {{context: {}, dockerfile: web.dockerfile, target: last, \
         args: {{TEAM: a b}}}}}}",
        directory.path().display()
    );
    parse(&keys).unwrap().definition.build.unwrap()
}

pub async fn from_a_directory(real: &Real) {
    let dockerfile = format!(
        "FROM {} AS last\nARG TEAM\nLABEL team=$TEAM\nCOPY . /context/\nFROM scratch\n",
        real.image()
    );
    let context = context(&dockerfile);
    let mut spec = spec(real);
    spec.image = format!("built:test-{}", std::process::id());
    spec.build = Some(build(&context));
    let done = carry_out(real.runtime(), &spec, &Action::Pull, |_| ()).await;
    assert_eq!(done.unwrap(), Done::Other);
    let args = [
        "inspect",
        "--format",
        "{{.Config.Labels.team}}",
        &spec.image,
    ];
    assert_eq!(real.docker.run(&args).await.unwrap().trim(), "a b");
    let ours = real.runtime().create(&spec).await.unwrap();
    let copied = tempfile::tempdir().unwrap();
    let into = copied.path().to_string_lossy();
    let from = format!("{}:/context", ours.id());
    real.docker.run(&["cp", &from, &into]).await.unwrap();
    let has = |path: &str| copied.path().join("context").join(path).exists();
    assert!(has("page") && !has("secret"), "{context:?}");
    real.runtime().remove(&ours).await.unwrap();
    real.docker.run(&["rmi", &spec.image]).await.unwrap();
}

pub async fn a_step_that_fails(real: &Real) {
    let dockerfile = format!("FROM {} AS last\nCOPY missing /\n", real.image());
    let context = context(&dockerfile);
    let runtime = real.runtime();
    let failed = runtime.build("built:none", None, &build(&context)).await;
    let error = failed.unwrap_err();
    assert!(matches!(error, RuntimeError::Build { .. }), "{error}");
    let words = error.to_string();
    assert!(
        words.starts_with("built:none was not built from /"),
        "{words}"
    );
    assert!(words.contains("missing"), "{words}");
    drop(context);
    let nowhere = tempfile::tempdir().unwrap();
    let gone = build(&nowhere);
    nowhere.close().unwrap();
    let failed = runtime.build("built:none", None, &gone).await;
    assert!(failed.unwrap_err().to_string().contains("No such file"));
}
