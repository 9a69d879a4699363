//! One instance of a service that no other test has.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use testbed::contained::Steer;
use testbed::etcd::Client;
use testbed::launcher::{Launch, Launcher};
use testbed::{http, wait};

use crate::{DEADLINE, Rig};

/// An instance, and the process that runs it.
pub struct Instance<'a> {
    rig: &'a Rig,
    launch: Launch,
    process: Launcher,
}

/// A name that no other test has.
pub fn name() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("web-{}", NUMBER.fetch_add(1, Ordering::Relaxed))
}

impl Rig {
    /// How the service of that name is run, with these lines below its image and port, from a file.
    pub fn launch(&self, name: &str, definition: &str) -> Launch {
        let definition = self.definition(definition);
        self.plain(name).defined(&definition).unwrap()
    }

    /// The same with the definition in etcd.
    pub async fn launch_from_etcd(&self, name: &str, definition: &str) -> Launch {
        self.put(name, &self.definition(definition)).await;
        self.plain(name)
    }

    /// A document as it is, in etcd.
    pub async fn put(&self, name: &str, document: &str) {
        let key = format!("/launcher/services/{name}");
        self.etcd.put(&key, document).await.unwrap();
    }

    /// With whatever definition there is in etcd.
    pub fn plain(&self, name: &str) -> Launch {
        self.plain_by(name, &self.etcd)
    }

    /// The same by way of another URL of etcd.
    pub fn plain_by(&self, name: &str, etcd: &Client) -> Launch {
        let launch = Launch::new(name).unwrap().docker(&self.docker);
        launch.etcd(etcd)
    }

    pub fn definition(&self, definition: &str) -> String {
        format!("image: {}\nport: 80\n{definition}", self.image.tag())
    }

    /// An instance that is starting.
    pub async fn start(&self, definition: &str) -> Instance<'_> {
        self.started(self.launch(&name(), definition)).await
    }

    pub async fn started(&self, launch: Launch) -> Instance<'_> {
        Instance {
            rig: self,
            process: launch.start().await.unwrap(),
            launch,
        }
    }

    /// One that is ready.
    pub async fn ready(&self, definition: &str) -> Instance<'_> {
        let instance = self.start(definition).await;
        instance.wait_ready(DEADLINE).await.unwrap();
        instance
    }

    /// The names of all containers of a service, running or not.
    pub async fn containers(&self, service: &str) -> Vec<String> {
        let filter = format!("label=launcher.service={service}");
        let args = ["ps", "--all", "--format", "{{.Names}}", "--filter", &filter];
        let listed = self.docker.run(&args).await.unwrap();
        listed.lines().map(str::to_owned).collect()
    }
}

/// What is published below a name of a load balancer.
pub fn key(service: &str) -> String {
    format!("/lbManager/elb/us-east-1/{service}/multiple/i-00000001")
}

/// A definition's line that publishes it there.
pub fn publish(service: &str) -> String {
    format!("publish: [{}]", key(service))
}

impl Instance<'_> {
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Another process of it.
    pub async fn again(&mut self) {
        self.process = self.launch.start().await.unwrap();
    }

    /// Its one container.
    pub async fn container(&self) -> String {
        match &self.rig.containers(self.launch.service()).await[..] {
            [one] => one.clone(),
            other => panic!("{other:?}\n{}", self.log()),
        }
    }

    /// What Docker's client says of its container.
    pub async fn inspect(&self, format: &str) -> String {
        let container = self.container().await;
        let args = ["inspect", "--format", format, &container];
        self.rig.docker.run(&args).await.unwrap().trim().to_owned()
    }

    pub async fn address(&self) -> String {
        self.inspect("{{.NetworkSettings.IPAddress}}:80").await
    }

    /// Tells the program in its container.
    pub async fn steer(&self, words: &str) {
        let steer: Steer = words.parse().unwrap();
        let address = self.address().await;
        let told = wait::until("the program to listen", DEADLINE, || async {
            let told = steer.at(&address).await;
            told.map_err(|error| error.chain())
        });
        told.await.unwrap();
    }

    /// What a client sees.
    pub async fn status(&self) -> u16 {
        let url = format!("http://{}/", self.address().await);
        http::get(&url).await.unwrap().status.as_u16()
    }

    /// Everything below its load balancer.
    pub async fn keys(&self) -> BTreeMap<String, String> {
        let prefix = format!("/lbManager/elb/us-east-1/{}/", self.launch.service());
        self.rig.etcd.get_prefix(&prefix).await.unwrap()
    }

    /// Waits until the key holds this.
    pub async fn wait_for_key(&self, holds: impl Fn(Option<&str>) -> bool) {
        let key = key(self.launch.service());
        let seen = wait::until("the key to change", DEADLINE, || async {
            let found = self.rig.etcd.get(&key).await.unwrap();
            if holds(found.as_deref()) {
                return Ok(());
            }
            Err(format!("{found:?}\n{}", self.log()))
        });
        seen.await.unwrap();
    }

    /// Ends it with SIGTERM; nothing of it is left.
    pub async fn end(mut self) {
        let status = self.process.stop(DEADLINE).await.unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.log());
        self.check_left().await;
    }

    /// It ends by itself, with this code.
    pub async fn ends_with(&mut self, code: i32) {
        let status: ExitStatus = self.process.wait(DEADLINE).await.unwrap();
        assert_eq!(status.code(), Some(code), "{}", self.log());
        self.check_left().await;
    }

    /// It ends by itself, and all of these words are said: on stderr, and in the last STATUS.
    pub async fn fails(&mut self, code: i32, words: &[&str]) {
        self.ends_with(code).await;
        let (log, status) = (self.log(), self.notify().status().unwrap_or_default());
        let last = log.lines().rfind(|line| line.starts_with("launcher: "));
        let last = last.unwrap_or_else(|| panic!("no last words in:\n{log}"));
        for words in words {
            assert!(last.contains(words), "{words:?} is not in:\n{last}");
            assert!(
                status.contains(words),
                "{words:?} is not in STATUS={status}"
            );
        }
        assert!(!self.was_ready(), "{log}");
    }

    /// Whether it ever said so; it never does twice.
    pub fn was_ready(&self) -> bool {
        let told = self.notify().received().into_iter();
        let ready = told.filter(|told| told.state == "READY=1").count();
        assert!(ready < 2, "{ready} times");
        ready == 1
    }

    /// Waits until the last STATUS is one of those that are meant.
    pub async fn wait_for_latest(&self, words: &str) {
        let seen = wait::until("STATUS to change", DEADLINE, || async {
            let status = self.notify().status().unwrap_or_default();
            let found = status.contains(words).then_some(());
            found.ok_or_else(|| format!("{status}\n{}", self.log()))
        });
        seen.await.unwrap();
    }

    /// When its key was written last, and on which lease: something else if it ever went.
    pub async fn stamp(&self) -> String {
        let key = key(self.launch.service());
        let args = ["get", "--write-out=json", &key];
        let answer = self.rig.etcd.etcdctl(&args).await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let entry = &answer["kvs"][0];
        format!("{} on {}", entry["mod_revision"], entry["lease"])
    }

    /// How much of a processor it takes, in parts of a thousand, while this goes on.
    pub async fn busy_during(&self, work: impl Future<Output = ()>) -> u128 {
        let (before, began) = (self.process().cpu_time().unwrap(), Instant::now());
        work.await;
        let used = self.process().cpu_time().unwrap().as_micros() - before.as_micros();
        let busy = used * 1000 / began.elapsed().as_micros();
        println!("{}: {busy} ‰ of a processor", self.launch.service());
        busy
    }

    pub async fn check_left(&self) {
        let service = self.launch.service();
        let containers = self.rig.containers(service).await;
        assert!(containers.is_empty(), "{containers:?}\n{}", self.log());
        assert_eq!(self.keys().await, BTreeMap::new(), "{}", self.log());
        let instances = format!("/launcher/instances/{service}/");
        let instances = self.rig.etcd.get_prefix(&instances).await.unwrap();
        assert_eq!(instances, BTreeMap::new(), "{}", self.log());
    }
}

impl Deref for Instance<'_> {
    type Target = Launcher;

    fn deref(&self) -> &Launcher {
        &self.process
    }
}

impl DerefMut for Instance<'_> {
    fn deref_mut(&mut self) -> &mut Launcher {
        &mut self.process
    }
}
