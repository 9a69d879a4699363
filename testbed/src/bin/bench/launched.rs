//! P7 to P9: what it costs to have a container looked after.

use std::time::Duration;

use testbed::contained::{self, ASK};
use testbed::docker::{Docker, Image};
use testbed::etcd::Etcd;
use testbed::launcher::{Launch, Launcher};
use testbed::process::{Program, Running};
use testbed::{Error, Result, http};
use tokio::time::{Instant, sleep};

use crate::measure::{median, middle};
use crate::report::{Figure, Report, Row, Target};

const DEADLINE: Duration = Duration::from_mins(1);
const STARTS: usize = 15;
const CONTAINERS: usize = 3;
/// A process that has just started has more than it needs, and less than it will.
const SETTLED: Duration = Duration::from_secs(20);
const WINDOW: Duration = Duration::from_secs(20);
/// Often, so that what is measured is the probes.
const INTERVAL: Duration = Duration::from_millis(200);
const POLL: Duration = Duration::from_millis(10);
const MEMORY: f64 = 0.25;
const START: f64 = 1.1;
const PROBE: f64 = 1.0 / 30.0;

pub async fn measure(report: &mut Report) -> Result<()> {
    let bench = Bench {
        etcd: Etcd::start().await?,
        docker: Docker::start_linked().await?,
    };
    let image = bench.docker.contained(&[]).await?;
    bench.memory(report, &image).await?;
    bench.start(report, &image).await?;
    bench.probes(report, &image).await
}

struct Bench {
    etcd: Etcd,
    docker: Docker,
}

impl Bench {
    fn launch(&self, name: &str, image: &Image, interval: Duration) -> Result<Launch> {
        let definition = format!(
            "{{image: {}, port: 80, health_check: {{http: {{path: /, interval: {}ms}}}},\n \
             publish: [/lbManager/elb/us-east-1/{name}/multiple/i-00000001]}}",
            image.tag(),
            interval.as_millis(),
        );
        let launch = Launch::new(name)?.docker(&self.docker).etcd(&self.etcd);
        launch.defined(&definition)
    }

    async fn ready(&self, name: &str, image: &Image, interval: Duration) -> Result<Launcher> {
        let launcher = self.launch(name, image, interval)?.start().await?;
        launcher.wait_ready(DEADLINE).await?;
        Ok(launcher)
    }

    async fn memory(&self, report: &mut Report, image: &Image) -> Result<()> {
        let (mut ours, mut peers) = (Vec::new(), Vec::new());
        for number in 0..CONTAINERS {
            let name = format!("memory-{number}");
            ours.push(self.ready(&name, image, Duration::from_secs(1)).await?);
            peers.push(self.attached(image).await?);
        }
        // Not to wait for something: so that each is as it is in the long run.
        sleep(SETTLED).await;
        let sizes = |all: Vec<&Running>, of: fn(testbed::process::Memory) -> u64| {
            let sizes = all.into_iter().map(|one| one.memory().map(of));
            sizes.collect::<Result<Vec<u64>>>().map(middle)
        };
        let peer = sizes(peers.iter().collect(), |memory| memory.rss)?;
        let processes = || ours.iter().map(Launcher::process).collect();
        report.add(Row {
            id: "P7",
            what: "launcher, for each container that it looks after: RSS".to_owned(),
            ours: Figure::bytes(sizes(processes(), |memory| memory.rss)?),
            peer: Some((Figure::bytes(peer), "docker run, attached")),
            target: Target::Ratio(MEMORY),
            runs: CONTAINERS,
            how: format!(
                "RSS {} s after READY, probed over HTTP each second and published in etcd, beside \
                 that of the client of an attached container; medians.",
                SETTLED.as_secs()
            ),
        });
        report.add(Row {
            id: "P7",
            what: "its private memory".to_owned(),
            ours: Figure::bytes(sizes(processes(), |memory| memory.private)?),
            peer: None,
            target: Target::None,
            runs: CONTAINERS,
            how: "What it shares with nobody, at the same time.".to_owned(),
        });
        for mut launcher in ours {
            launcher.stop(DEADLINE).await?;
        }
        for mut client in peers {
            client.kill().await?;
        }
        self.remove_all(image).await
    }

    /// `docker run`, which stays with its container.
    async fn attached(&self, image: &Image) -> Result<Running> {
        let client = testbed::process::installed("docker", "apt-get install docker.io")?;
        let client = client.envs(self.docker.env());
        let client: Program = client.args(["run", "--rm", image.tag()]);
        client.start().await
    }

    async fn start(&self, report: &mut Report, image: &Image) -> Result<()> {
        let (mut ours, mut peers) = (Vec::new(), Vec::new());
        for number in 0..STARTS {
            let launch = self.launch(&format!("start-{number}"), image, Duration::from_secs(1))?;
            let begin = Instant::now();
            let mut launcher = launch.start().await?;
            launcher.wait_ready(DEADLINE).await?;
            ours.push(begin.elapsed());
            launcher.stop(DEADLINE).await?;
            peers.push(self.run_and_poll(image).await?);
        }
        report.add(Row {
            id: "P8",
            what: "launcher run to READY, of a container that is healthy at once".to_owned(),
            ours: Figure::time(median(&ours)),
            peer: Some((
                Figure::time(median(&peers)),
                "docker run -d, GET each 10 ms",
            )),
            target: Target::Ratio(START),
            runs: STARTS,
            how:
                "From before the process is started until systemd hears READY=1, the key being in \
                  etcd; beside a detached container, until it answers; in turn, medians."
                    .to_owned(),
        });
        Ok(())
    }

    async fn run_and_poll(&self, image: &Image) -> Result<Duration> {
        let begin = Instant::now();
        let container = self.docker.container(&[image.tag()]).await?;
        let url = format!("http://{}/", self.address(container.id()).await?);
        while !http::get(&url)
            .await
            .is_ok_and(|answer| answer.status.is_success())
        {
            if begin.elapsed() > DEADLINE {
                return Err(Error::Misuse(format!("{url} does not answer")));
            }
            sleep(POLL).await;
        }
        Ok(begin.elapsed())
    }

    async fn probes(&self, report: &mut Report, image: &Image) -> Result<()> {
        let mut launcher = self.ready("probes", image, INTERVAL).await?;
        let name = self.docker.run(&["ps", "--quiet", "--latest"]).await?;
        let ours = self
            .cost_of_probes(name.trim(), || launcher.process().cpu_time())
            .await?;
        launcher.stop(DEADLINE).await?;

        let check = format!(
            r#"HEALTHCHECK --interval={}ms CMD ["/usr/bin/contained", "{ASK}"]"#,
            INTERVAL.as_millis()
        );
        let checked = self.docker.contained(&[&check]).await?;
        let container = self.docker.container(&[checked.tag()]).await?;
        let peer = self
            .cost_of_probes(container.id(), || self.docker.cpu_time())
            .await?;
        report.add(Row {
            id: "P9",
            what: "CPU for each probe over HTTP".to_owned(),
            ours: Figure::time(ours),
            peer: Some((Figure::time(peer), "HEALTHCHECK by Docker's exec")),
            target: Target::Ratio(PROBE),
            runs: 1,
            how: format!(
                "User and system time of launcher over {} s, divided by the requests that the \
                 container counted meanwhile; beside that of dockerd, containerd, the shims and \
                 the commands, which ask the same page with a small program instead of curl. What \
                 answers counts for the peer, whose container is below its daemon.",
                WINDOW.as_secs()
            ),
        });
        Ok(())
    }

    /// CPU time for each request that the container got.
    async fn cost_of_probes(
        &self,
        container: &str,
        cpu_time: impl Fn() -> Result<Duration>,
    ) -> Result<Duration> {
        let address = self.address(container).await?;
        let (cpu, asked) = (cpu_time()?, contained::requests(&address).await?);
        // Not to wait for something: the length of the measurement.
        sleep(WINDOW).await;
        let (cpu, asked) = (
            cpu_time()?.saturating_sub(cpu),
            contained::requests(&address).await? - asked,
        );
        Ok(cpu / asked.max(1))
    }

    async fn address(&self, container: &str) -> Result<String> {
        let format = "{{.NetworkSettings.IPAddress}}:80";
        let inspect = ["inspect", "--format", format, container];
        Ok(self.docker.run(&inspect).await?.trim().to_owned())
    }

    async fn remove_all(&self, image: &Image) -> Result<()> {
        let filter = format!("ancestor={}", image.tag());
        let listed = self
            .docker
            .run(&["ps", "--all", "--quiet", "--filter", &filter])
            .await?;
        for id in listed.lines() {
            self.docker.run(&["rm", "--force", id]).await?;
        }
        Ok(())
    }
}
