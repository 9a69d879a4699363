//! One instance of a service that no other test has.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};

use testbed::contained::Steer;
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
        let launch = Launch::new(name).unwrap().docker(&self.docker);
        launch.etcd(&self.etcd).defined(&definition).unwrap()
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
