//! What the tour is played on: etcd, simulated AWS with its load balancers, lbmanager.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use testbed::aws::{Aws, HealthCheck, LbHandle};
use testbed::etcd::Etcd;
use testbed::lbmanager::{Launch, LbManager};
use testbed::{Error, Result};

use crate::screen::{Look, Screen};

pub const REGION: &str = "us-east-1";
/// How long from being registered to being in service.
const HEALTH_DELAY: Duration = Duration::from_secs(1);
const RESYNC: &str = "2s";
/// Longer than anything here takes, also on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A load balancer, and the class that the tour lists its members in.
#[derive(Debug)]
pub struct Balancer {
    pub name: &'static str,
    pub class: &'static str,
    pub handle: LbHandle,
}

impl Balancer {
    pub fn prefix(&self) -> String {
        format!("/lbManager/elb/{REGION}/{}/", self.name)
    }

    pub fn key(&self, member: &str) -> String {
        format!("{}{}/{member}", self.prefix(), self.class)
    }

    pub fn status_key(&self) -> String {
        format!("/lbManager-status/lb/elb/{REGION}/{}", self.name)
    }
}

/// Everything, up and running; gone when dropped.
#[derive(Debug)]
pub struct Stage {
    manager: LbManager,
    pub web: Balancer,
    pub edge: Balancer,
    pub app: Balancer,
    pub aws: Aws,
    pub etcd: Etcd,
    log: PathBuf,
    _directory: TempDir,
}

impl Stage {
    pub async fn set_up() -> Result<Self> {
        let directory = tempfile::tempdir().map_err(|source| Error::Io {
            action: "create",
            object: std::env::temp_dir().display().to_string(),
            source,
        })?;
        let log = directory.path().join("lbmanager.log");
        let (etcd, aws) = tokio::try_join!(Etcd::start(), Aws::start())?;
        let create = |name, class| Balancer {
            name,
            class,
            handle: load_balancer(&aws, name),
        };
        let (web, edge) = (create("web", "multiple"), create("edge", "single"));
        let app = create("app", "multiple");
        let launch = Launch::new(&etcd, &aws)?.args(["--resync", RESYNC]);
        let manager = launch.log_to(&log).start().await?;
        let stage = Self {
            manager,
            web,
            edge,
            app,
            aws,
            etcd,
            log,
            _directory: directory,
        };
        stage.manager.wait_ready(DEADLINE).await?;
        Ok(stage)
    }

    pub async fn introduce(&self, screen: &Screen) -> Result<()> {
        let version = self.etcd.etcdctl(&["version"]).await?;
        let version = version
            .lines()
            .next()
            .and_then(|line| line.split(' ').nth(2));
        screen.line(&screen.paint(
            Look::Bold,
            "lbmanager: load balancers as a tree of keys in etcd says",
        ));
        screen.line("");
        screen.paragraph(
            0,
            "Two classic load balancers, web and edge, in front of instances. Which instances \
             serve is what keys in etcd say; lbmanager makes it so. You see the commands as you \
             would type them, and what became of them at the load balancer. A describe now and \
             then is lbmanager's look for changes made by hand, every 2 s here.",
        );
        screen.line("");
        let rows = [
            (
                "etcd",
                format!("{} at {}", version.unwrap_or("3"), self.etcd.endpoint()),
            ),
            (
                "AWS",
                format!("simulated at {}, 1 s until in service", self.aws.url()),
            ),
            (
                "lbmanager",
                format!(
                    "run --resync {RESYNC}; metrics at {}",
                    self.metrics_address()
                ),
            ),
        ];
        for (name, what) in rows {
            screen.line(&format!("   {name:<10} {what}"));
        }
        Ok(())
    }

    /// Waits until lbmanager has nothing left to do and nothing to wait for.
    pub async fn at_rest(&self) -> Result<()> {
        let busy = r#"lbmanager_balancers{state="busy"}"#;
        self.manager.wait_for_metric(busy, 0.0, DEADLINE).await
    }

    /// The end of lbmanager's log: where one should look first.
    pub fn show_log(&self, screen: &Screen) {
        screen.line("");
        screen.line("   The end of lbmanager's log:");
        for line in self.manager.last_words().lines() {
            screen.line(&format!("   | {line}"));
        }
    }

    /// Ends lbmanager as systemd would. Whether it ended well.
    pub async fn strike(&mut self) -> Result<bool> {
        self.manager.stop().await
    }

    pub fn log(&self) -> &std::path::Path {
        &self.log
    }

    pub fn metrics_address(&self) -> &str {
        self.manager.url()
    }
}

fn load_balancer(aws: &Aws, name: &str) -> LbHandle {
    // Short, as lbmanager takes from it how long a new member may take to get in service.
    let check = HealthCheck {
        interval: 1,
        healthy_threshold: 2,
        ..HealthCheck::default()
    };
    aws.create(REGION, name)
        .health_delay(HEALTH_DELAY)
        .health_check(check)
}
