//! Starts and stops the real things for tests, demo and benchmarks.
//!
//! Everything here listens on loopback only, unless a test gives an address of a network that it
//! made, and is gone when its handle is dropped, also when the test panics or its process is
//! killed. What needs a program that is not installed fails with an error that says how to install
//! it; nothing is skipped. All of it needs a tokio runtime.
//!
//! | rig | one line |
//! | --- | --- |
//! | [`etcd::Etcd`] | `let etcd = Etcd::start().await?; etcd.put("k", "v").await?;` |
//! | [`etcd::EtcdBuilder`] | `Etcd::builder().tls(&certificates).auth("secret").start().await?` |
//! | [`etcd::EtcdCluster`] | `let mut c = EtcdCluster::start(3).await?; let l = c.leader().await?; c.kill(l).await?;` |
//! | [`proxy::Proxy`] | `let p = Proxy::start(&etcd.endpoint()).await?; p.set(Mode::BlackHole).await?;` |
//! | [`certs::Certificates`] | `let certificates = Certificates::new(directory.path())?;` |
//! | [`aws::Aws`] | `let aws = Aws::start().await?; let web = aws.create("eu-west-1", "web").instances(["i-1"]);` |
//! | [`aws::Faults`] | `aws.faults().add(Fault::new(Effect::Throttle).writes().times(3));` |
//! | [`aws::Calls`] | `assert_eq!(aws.calls().of("DescribeLoadBalancers").len(), 1);` |
//! | [`aws::Timeline`] | `assert!(web.timeline().min_in_service_between(begin, end) > 0);` |
//! | [`aws::Imds`] | `let imds = Imds::start().await?; imds.role("lb", Duration::from_secs(60));` |
//! | [`docker::Docker`] | `let docker = Docker::start_or_use().await?; docker.run(&["version"]).await?;` |
//! | [`docker::Registry`] | `let registry = Registry::start(docker.gateway().unwrap()).await?; registry.set(Gives::Status(503));` |
//! | [`contained::Steer`] | `"answer/503".parse::<Steer>()?.at(address).await?;` |
//! | [`moto::Moto`] | `let moto = Moto::start().await?; moto.create_load_balancer("eu-west-1", "web").await?;` |
//! | [`lbmanager::Launch`] | `let manager = Launch::new(&etcd, &aws)?.args(["--resync", "2s"]).start().await?;` |
//! | [`launcher::Launch`] | `let web = Launch::new("web")?.docker(&docker).defined("image: web").start().await?;` |
//! | [`guest::run`] | `let table = guest::run("ipvsadm", ["-Ln"]).await?;` |
//! | [`guest::Guest`] | `let done = Guest::new()?.folder(results).run(program, ["--help"]).await?;` |
//! | [`guest::suite::Suite`] | `fn main() -> ExitCode { Suite::new(kernel_tests![a, b]).main() }` |
//! | [`host`] | `Suite::new(kernel_tests![a]).host()`; inside `host::Unit::new("lbmanager.service").restart().await?` |
//! | [`netns::Namespace`] | `let host = Namespace::builder("web").address("10.9.0.2/24").join(&lan).await?;` |
//! | [`site::Site`] | `let site = Site::set_up(2).await?; let load = site.load(60).await?;` |
//! | [`notify::NotifySocket`] | `let s = NotifySocket::bind()?; s.wait_for(\|state\| state == "READY=1", deadline).await?;` |
//! | [`process::Program`] | `let mut p = Program::new(workspace_binary("lbmanager")?).arg("run").start().await?;` |
//! | [`process::workspace_example`] | `let told = guest.run(workspace_example("ipvs", "measure_ipvs")?, ["5"]).await?;` |
//! | [`soak::rounds`] | `for _ in 0..soak::rounds()? { one_round().await; }` |
//! | [`terminal::Terminal`] | `Terminal::at(directory).enter(&documents::session(&page)).await?;` |
//! | [`units::UnitHost`] | `let host = UnitHost::new(&["/usr/bin/lbmanager"])?; host.verify(unit)?;` |
//! | [`web::Web`] | `let web = Web::start().await?; web.set(Act::Hang);` |
//! | [`wait::until`] | `wait::until("two members", deadline, \|\| async { two(&etcd).await }).await?` |
//!
//! A rig that listens or reads has a task for that, and one for each connection or pipe; a call of
//! the AWS simulator is a task as well. All end with the rig.

pub mod aws;
pub mod certs;
mod child;
pub mod contained;
pub mod docker;
pub mod documents;
pub mod error;
pub mod etcd;
pub mod guest;
pub mod host;
pub mod http;
pub mod launcher;
pub mod lbmanager;
pub mod moto;
pub mod netns;
pub mod notify;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod site;
pub mod soak;
pub mod terminal;
pub mod units;
pub mod wait;
pub mod web;

pub use error::{Error, Result};
