//! moto: an AWS made by others, against which our reading of the wire is checked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use crate::child::Child;
use crate::error::{Error, Result};
use crate::{http, ports, wait};

const PYTHON: &str = include_str!("moto.py");
/// Python and its libraries take seconds to load on a busy machine.
const START_DEADLINE: Duration = Duration::from_mins(1);
const PORT_ATTEMPTS: usize = 5;

/// A `moto_server` on loopback, killed when dropped. It has nothing in it.
#[derive(Debug)]
pub struct Moto {
    url: String,
    // Before the directory it logs to.
    _child: Child,
    _directory: TempDir,
}

impl Moto {
    /// Starts one and waits until it answers.
    pub async fn start() -> Result<Self> {
        let server = moto_server()?;
        let directory = tempfile::tempdir().map_err(Error::io("create", std::env::temp_dir()))?;
        let log = directory.path().join("log");
        let mut attempt = 0;
        loop {
            attempt += 1;
            let port = ports::free()?;
            let url = format!("http://127.0.0.1:{port}");
            let mut child = spawn(&server, port, &log).await?;
            if answers(&url, &child).await? {
                return Ok(Self {
                    url,
                    _child: child,
                    _directory: directory,
                });
            }
            if attempt == PORT_ATTEMPTS {
                let status = child.wait(START_DEADLINE).await?;
                let output = std::fs::read_to_string(&log).unwrap_or_default();
                return Err(Error::Ended {
                    program: "moto_server".to_owned(),
                    status,
                    output,
                });
            }
        }
    }

    /// Where it answers, for `AWS_ENDPOINT_URL`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Empties it.
    pub async fn reset(&self) -> Result<()> {
        let url = format!("{}/moto-api/reset", self.url);
        let answer = http::request(Method::POST, &url, &[], "").await?;
        if answer.status == StatusCode::OK {
            return Ok(());
        }
        Err(Error::answer(
            "moto",
            format!("{} to a reset: {}", answer.status, answer.body),
        ))
    }

    /// Runs an EC2 instance, and gives its id.
    pub async fn run_instance(&self, region: &str) -> Result<String> {
        let id = self.python(region, "run_instance", &[]).await?;
        Ok(id.as_str().unwrap_or_default().to_owned())
    }

    /// Makes a classic load balancer.
    pub async fn create_load_balancer(&self, region: &str, name: &str) -> Result<()> {
        self.python(region, "create_load_balancer", &[name])
            .await
            .map(drop)
    }

    /// The instances registered with a classic load balancer. A set, as moto keeps those that are
    /// registered twice twice.
    pub async fn instances(&self, region: &str, name: &str) -> Result<BTreeSet<String>> {
        let ids = self.python(region, "instances", &[name]).await?;
        let ids = ids.as_array().map_or(&[][..], Vec::as_slice);
        Ok(ids
            .iter()
            .filter_map(|id| id.as_str().map(str::to_owned))
            .collect())
    }

    /// Registers instances with a classic load balancer.
    pub async fn register(&self, region: &str, name: &str, ids: &[&str]) -> Result<()> {
        self.python(region, "register", &[&[name], ids].concat())
            .await
            .map(drop)
    }

    /// Takes instances out of a classic load balancer.
    pub async fn deregister(&self, region: &str, name: &str, ids: &[&str]) -> Result<()> {
        self.python(region, "deregister", &[&[name], ids].concat())
            .await
            .map(drop)
    }

    async fn python(&self, region: &str, verb: &str, args: &[&str]) -> Result<Value> {
        boto3(&self.url, region, verb, args).await
    }
}

/// Has boto3 do one thing at any endpoint: `run_instance`, `create_load_balancer NAME`,
/// `instances NAME`, `register NAME ID..`, `deregister NAME ID..`, `health NAME ID..`,
/// `attributes NAME` or `descriptions NAME..`. Gives what it answered.
pub async fn boto3(endpoint: &str, region: &str, verb: &str, args: &[&str]) -> Result<Value> {
    let python = moto_server()?.with_file_name("python");
    let mut command = Command::new(&python);
    command
        .args(["-c", PYTHON, endpoint, region, verb])
        .args(args);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let failed = |source| Error::Spawn {
        program: python.display().to_string(),
        source,
    };
    let output = command.output().await.map_err(failed)?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let command = format!("moto.py {region} {verb} {}", args.join(" "));
        return Err(Error::Command {
            command,
            status: output.status,
            stderr,
        });
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Error::answer("moto.py", error.to_string()))
}

/// `MOTO_SERVER`, or where `make test-tools` installs it.
fn moto_server() -> Result<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."));
    let given = std::env::var_os("MOTO_SERVER").map(PathBuf::from);
    let path = given.unwrap_or_else(|| workspace.join("target/venv/bin/moto_server"));
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::MissingProgram {
        program: path.display().to_string(),
        install: "run `make test-tools`, or name another moto_server in MOTO_SERVER".to_owned(),
    })
}

async fn spawn(server: &Path, port: u16, log: &Path) -> Result<Child> {
    let mut command = Child::command(server)?;
    let output = std::fs::File::create(log).map_err(Error::io("write", log))?;
    let errors = output.try_clone().map_err(Error::io("write", log))?;
    command
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(output)
        .stderr(errors);
    Child::spawn("moto_server", command).await
}

/// Whether it answers (or else has ended).
async fn answers(url: &str, child: &Child) -> Result<bool> {
    let status = format!("{url}/moto-api/data.json");
    let answered = wait::until("moto_server to answer", START_DEADLINE, || async {
        if child.has_ended() {
            return Ok(false);
        }
        match http::get(&status).await {
            // Somebody else may have been faster to listen there.
            Ok(answer) if answer.status == StatusCode::OK => Ok(!child.has_ended()),
            Ok(answer) => Err(answer.status.to_string()),
            Err(error) => Err(error.to_string()),
        }
    });
    Ok(answered.await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn load_balancers_are_made_read_and_forgotten() {
        let moto = Moto::start().await.unwrap();
        let id = moto.run_instance("eu-west-1").await.unwrap();
        assert!(id.starts_with("i-"), "{id}");
        moto.create_load_balancer("eu-west-1", "web").await.unwrap();
        moto.register("eu-west-1", "web", &[&id, "i-other"])
            .await
            .unwrap();
        moto.deregister("eu-west-1", "web", &["i-other"])
            .await
            .unwrap();
        assert_eq!(
            moto.instances("eu-west-1", "web").await.unwrap(),
            BTreeSet::from([id])
        );
        let error = moto.instances("us-east-1", "web").await.unwrap_err();
        assert!(
            error.to_string().contains("LoadBalancerNotFound"),
            "{error}"
        );
        moto.reset().await.unwrap();
        assert!(moto.instances("eu-west-1", "web").await.is_err());
    }
}
