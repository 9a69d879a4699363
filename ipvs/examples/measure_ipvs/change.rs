//! From a put to the entry in the kernel.

use std::time::{Duration, Instant};

use ipvs::{Command, DestinationKey, Ipvs, ServiceKey};
use testbed::etcd::{Etcd, Session};
use testbed::process::{Running, installed};

use crate::table::{CONFIG, Table, foreign, member_key, server, service};
use crate::{LBMANAGER, Result, runtime, start, tell};

const SERVICES: u32 = 1000;
const DESTINATIONS: u32 = 5;
const RUNS: u32 = 100;
/// Before each change, for what the one before still has others do.
const PACE: Duration = Duration::from_millis(100);
/// How often the kernel is asked for the real servers of a service, alike for
/// both.
const POLL: Duration = Duration::from_micros(200);
const DEADLINE: Duration = Duration::from_secs(30);
const ETCDCTL: &str = "etcdctl";
/// The key that etcdctl watches.
const WATCHED: &str = "/bench/member";

/// The same change by lbmanager, of a service that the tree lists, and by
/// `etcdctl watch -- ipvsadm -a`, of one that it does not, in turns.
pub fn measure() -> Result<()> {
    runtime()?.block_on(async {
        let folder = tempfile::tempdir()?;
        let table = Table::new(SERVICES, DESTINATIONS);
        let etcd = Etcd::start().await?;
        etcd.put_many(table.keys().map(|key| (key, ""))).await?;
        let _manager = start::manager(&etcd, &folder.path().join("log")).await?;
        start::complete(&table, Instant::now()).await?;
        start::statuses(&etcd, &table).await?;
        let mut change = Change {
            session: etcd.session().await?,
            ipvs: Ipvs::open()?,
        };
        let _watch = change.watch(&etcd).await?;
        for run in 0..RUNS {
            let took = change.by_lbmanager(run).await?;
            tell("change", LBMANAGER, took);
            let took = change.by_etcdctl().await?;
            tell("change", ETCDCTL, took);
        }
        Ok(())
    })
}

struct Change {
    session: Session,
    ipvs: Ipvs,
}

impl Change {
    /// One member more of the service of this number.
    async fn by_lbmanager(&mut self, number: u32) -> Result<Duration> {
        let service = service(number);
        let server = server(SERVICES * DESTINATIONS + number);
        self.one(&member_key(&service, &server), &service, server)
            .await
    }

    async fn by_etcdctl(&mut self) -> Result<Duration> {
        let (service, server) = foreign();
        let took = self.one(WATCHED, &service, server).await?;
        self.execute(&[Command::DeleteDestination {
            service,
            destination: server,
        }])?;
        Ok(took)
    }

    async fn one(
        &mut self,
        key: &str,
        service: &ServiceKey,
        server: DestinationKey,
    ) -> Result<Duration> {
        tokio::time::sleep(PACE).await;
        if self.has(service, server)? {
            return Err(format!("{server} was in the kernel before the put of {key}").into());
        }
        let begin = Instant::now();
        self.session.put(key, "").await?;
        while begin.elapsed() < DEADLINE {
            let is_there = self.has(service, server)?;
            let took = begin.elapsed();
            if is_there {
                return Ok(took);
            }
            // Finer than tokio's, whose other threads go on.
            std::thread::sleep(POLL);
        }
        Err(format!("{server} was not in the kernel in time after a put of {key}").into())
    }

    fn has(&mut self, service: &ServiceKey, server: DestinationKey) -> Result<bool> {
        let found = self.ipvs.destinations(service)?;
        Ok(found.iter().any(|found| found.key == server))
    }

    /// Starts `etcdctl watch`, and waits until it has carried out a change.
    async fn watch(&mut self, etcd: &Etcd) -> Result<Running> {
        let (service, destination) = foreign();
        self.execute(&[Command::AddService {
            service,
            config: CONFIG,
        }])?;
        let etcdctl = installed(ETCDCTL, "make bench")?
            .env("ETCDCTL_API", "3")
            .env("ETCDCTL_ENDPOINTS", etcd.endpoint())
            .args(["watch", WATCHED, "--", "ipvsadm", "-a"])
            .args(["-t", &service.to_string(), "-r", &destination.to_string()])
            .args(["-m", "-w", "1"]);
        let running = etcdctl.start().await?;
        // Before it watches, a put is lost.
        let begin = Instant::now();
        while !self.has(&service, destination)? && begin.elapsed() < DEADLINE {
            self.session.put(WATCHED, "").await?;
            tokio::time::sleep(PACE).await;
        }
        // Another put may have been seen.
        tokio::time::sleep(PACE).await;
        self.execute(&[Command::DeleteDestination {
            service,
            destination,
        }])?;
        Ok(running)
    }

    fn execute(&mut self, commands: &[Command]) -> Result<()> {
        let outcomes = self.ipvs.execute(commands).into_iter();
        Ok(outcomes.collect::<std::result::Result<(), _>>()?)
    }
}
