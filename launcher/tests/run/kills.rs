//! SIGTERM and SIGKILL at moments of the whole life, and the life after.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use testbed::docker::{Gives, Registry};
use testbed::process::Signal;
use testbed::soak;
use tokio::net::TcpStream;

use crate::instance::{Instance, key, name, publish};
use crate::{DEADLINE, Rig};

/// So many lives at once: most of them wait.
const AT_ONCE: usize = 6;
/// In a round of those at any time.
const TIMES: usize = 50;
/// No life that is ended at any time takes longer.
const LIFE: Duration = Duration::from_secs(4);

/// When a life is ended.
#[derive(Debug, Clone, Copy)]
enum At {
    /// When it says this in its log, which has every phase.
    Said(&'static str),
    /// When systemd is told this, or what begins so.
    Told(&'static str),
    /// When its key is there, or not there any more.
    Key(bool),
    /// So long after what came before.
    Time(Duration),
}

/// How it is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Term,
    Kill,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    /// Whether it was ready, and then told to end, before.
    stopping: bool,
    at: At,
    by: By,
}

/// Says which case it was if that fails.
struct Said(Case);

impl Drop for Said {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("this failed: {:?}", self.0);
        }
    }
}

/// On the way up, each is met by both signals.
const UP: [At; 7] = [
    At::Told("EXTEND_TIMEOUT_USEC"),
    At::Said("making the container"),
    At::Said("starting the container"),
    At::Said("waiting until healthy"),
    At::Said("waiting until it is served"),
    At::Key(true),
    At::Told("READY=1"),
];

/// On the way out only SIGKILL is news.
const OUT: [At; 6] = [
    At::Told("STOPPING=1"),
    At::Said("withdrawing"),
    At::Key(false),
    At::Said("draining"),
    At::Said("stopping the container"),
    At::Said("removing the container"),
];

fn cases() -> Vec<Case> {
    let up = UP.into_iter().flat_map(|at| {
        [By::Term, By::Kill].map(|by| Case {
            stopping: false,
            at,
            by,
        })
    });
    let out = OUT.map(|at| Case {
        stopping: true,
        at,
        by: By::Kill,
    });
    up.chain(out).collect()
}

pub async fn at_every_moment(rig: &Rig) {
    all(rig, cases()).await;
}

pub async fn at_any_time(rig: &Rig) {
    for _ in 0..soak::rounds().unwrap() {
        let any = || {
            let stopping = fastrand::bool();
            Case {
                stopping,
                at: At::Time(LIFE.mul_f64(fastrand::f64() / if stopping { 3.0 } else { 1.0 })),
                by: if fastrand::bool() { By::Term } else { By::Kill },
            }
        };
        all(rig, std::iter::repeat_with(any).take(TIMES).collect()).await;
        all(rig, cases()).await;
    }
}

async fn all(rig: &Rig, cases: Vec<Case>) {
    let lives = stream::iter(cases).map(|case| live(rig, case));
    lives.buffer_unordered(AT_ONCE).collect::<()>().await;
}

async fn live(rig: &Rig, case: Case) {
    let _said = Said(case);
    let name = name();
    let launch = rig.launch(&name, &format!("{}\n{LIVES}", publish(&name)));
    let neighbour = Neighbour::make(rig, &format!("{name}.1-00000000"), &[]).await;
    let web = rig.started(launch).await;
    let client = if case.stopping {
        web.wait_ready(DEADLINE).await.unwrap();
        let client = TcpStream::connect(web.address().await).await.unwrap();
        web.process().signal(Signal::SIGTERM).unwrap();
        Some(client)
    } else {
        None
    };
    reach(&web, case.at).await;
    end(rig, web, case).await;
    drop(client);
    neighbour.check_untouched(rig).await;
}

/// It takes its time to end.
const LIVES: &str = "command: [term/300]\ndrain: 500ms\n\
    health_check: {http: {path: /, interval: 100ms, timeout: 500ms}}";

async fn reach(web: &Instance<'_>, at: At) {
    match at {
        At::Said(words) => {
            let said = |line: &str| line.contains(words);
            web.process().wait_for_line(said, DEADLINE).await.unwrap();
        }
        At::Told(words) => {
            let told = web
                .notify()
                .wait_for(|state| state.starts_with(words), DEADLINE);
            told.await
                .unwrap_or_else(|error| panic!("{error}\n{}", web.log()));
        }
        At::Key(there) => web.wait_for_key(|value| value.is_some() == there).await,
        At::Time(time) => tokio::time::sleep(time).await,
    }
}

async fn end(rig: &Rig, mut web: Instance<'_>, case: Case) {
    // Told to end twice, it ends at once.
    if (case.by, case.stopping) == (By::Term, false) {
        return web.end().await;
    }
    if !web.process().has_ended() {
        web.kill().await.unwrap();
    }
    let service = web.launch().service().to_owned();
    let serving = serving(rig, &service).await.filter(|_| !case.stopping);
    goes_on(web, serving).await;
}

/// Its container, if that serves.
async fn serving(rig: &Rig, service: &str) -> Option<String> {
    let filter = format!("label=launcher.service={service}");
    let args = ["ps", "--quiet", "--no-trunc", "--filter", &filter];
    let found = rig.docker.run(&args).await.unwrap();
    found.lines().next().map(str::to_owned)
}

/// The next life serves in the container that served, and leaves nothing.
async fn goes_on(mut web: Instance<'_>, serving: Option<String>) {
    web.again().await;
    web.wait_ready(DEADLINE).await.unwrap();
    let id = web.inspect("{{.Id}}").await;
    assert!(serving.is_none_or(|serving| serving == id), "{}", web.log());
    assert_eq!(web.status().await, 200);
    let service = web.launch().service().to_owned();
    let keys = web.keys().await;
    assert_eq!(keys.keys().collect::<Vec<_>>(), [&key(&service)]);
    web.end().await;
}

/// Its program was told to end, takes its time, and answers as if nothing were.
pub async fn what_was_told_to_end_is_not_adopted(rig: &Rig) {
    let name = name();
    let takes_time = LIVES.replace("term/300", "term/5000");
    let launch = rig.launch(&name, &format!("{}\n{takes_time}", publish(&name)));
    let mut web = rig.started(launch).await;
    web.wait_ready(DEADLINE).await.unwrap();
    let id = web.inspect("{{.Id}}").await;
    web.process().signal(Signal::SIGTERM).unwrap();
    // A second after it was told.
    web.wait_for_status("9 s left", DEADLINE).await.unwrap();
    web.kill().await.unwrap();
    assert_eq!(web.status().await, 200, "it goes on for a while");
    web.again().await;
    web.wait_ready(DEADLINE).await.unwrap();
    assert_ne!(web.inspect("{{.Id}}").await, id);
    web.end().await;
}

pub async fn while_it_is_pulled(rig: &Rig) {
    for by in [By::Term, By::Kill] {
        let gateway = rig.docker.gateway().unwrap();
        let registry = Registry::start(gateway).await.unwrap();
        registry.set(Gives::NoLayer);
        let name = name();
        let launch = rig.launch(&name, "");
        let definition = format!(
            "image: {}\nport: 80\n{}\n{LIVES}",
            registry.image(),
            publish(&name)
        );
        launch.define(&definition).unwrap();
        let mut web = rig.started(launch).await;
        reach(&web, At::Told("STATUS=pulling")).await;
        if by == By::Term {
            web.end().await;
            continue;
        }
        web.kill().await.unwrap();
        let (from, to) = (rig.image.tag(), registry.image());
        rig.docker.run(&["tag", from, &to]).await.unwrap();
        goes_on(web, None).await;
        rig.docker.run(&["rmi", &to]).await.unwrap();
    }
}

/// A container that is nobody's business but its own.
struct Neighbour {
    name: String,
    before: String,
}

impl Neighbour {
    async fn make(rig: &Rig, name: &str, labels: &[(&str, &str)]) -> Self {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("--label={label}={value}"))
            .collect();
        let mut args = vec!["run", "--detach", "--name", name];
        args.extend(labels.iter().map(String::as_str));
        args.push(rig.image.tag());
        rig.docker.run(&args).await.unwrap();
        Self {
            name: name.to_owned(),
            before: how(rig, name).await,
        }
    }

    /// It is removed then.
    async fn check_untouched(self, rig: &Rig) {
        assert_eq!(how(rig, &self.name).await, self.before, "{}", self.name);
        let args = ["rm", "--force", &self.name];
        rig.docker.run(&args).await.unwrap();
    }
}

async fn how(rig: &Rig, name: &str) -> String {
    let format = "{{.Id}} {{.State.Status}} {{.State.StartedAt}} {{.RestartCount}}";
    let args = ["inspect", "--format", format, name];
    rig.docker.run(&args).await.unwrap()
}

/// Names and labels that are nearly ours: all of them run through two lives and a SIGKILL.
pub async fn among_neighbours(rig: &Rig) {
    let name = name();
    let launch = rig.launch(&name, &format!("{}\n{LIVES}", publish(&name)));
    let mut web = rig.started(launch).await;
    web.wait_ready(DEADLINE).await.unwrap();
    let ours = web.container().await;
    let (_, revision) = ours.split_once('.').unwrap();
    let labels = |service, instance, host| {
        [
            ("launcher.service", service),
            ("launcher.instance", instance),
            ("launcher.host-id", host),
            ("launcher.revision", revision),
        ]
    };
    let alike = format!("{name}x");
    let nearly: [(String, &[(&str, &str)]); 8] = [
        (name.clone(), &[]),
        (format!("{name}."), &[]),
        (format!("{ours}0"), &labels(&name, "newest", "testbed")),
        (format!("x{ours}"), &labels(&name, "newest", "testbed")),
        (format!("{name}.1-{}", &revision[revision.len() - 8..]), &[]),
        (
            format!("{alike}.{revision}"),
            &labels(&alike, "newest", "testbed"),
        ),
        (
            format!("{name}.2-00000000"),
            &labels(&name, revision, "testbed"),
        ),
        (
            format!("{name}.3-00000000"),
            &labels(&name, "newest", "other"),
        ),
    ];
    let made = stream::iter(&nearly).then(|(name, labels)| Neighbour::make(rig, name, labels));
    let neighbours: Vec<Neighbour> = made.collect().await;
    let before = how(rig, &ours).await;
    web.kill().await.unwrap();
    web.again().await;
    web.wait_ready(DEADLINE).await.unwrap();
    assert_eq!(how(rig, &ours).await, before);
    let status = web.stop(DEADLINE).await.unwrap();
    assert_eq!(status.code(), Some(0), "{}", web.log());
    for neighbour in neighbours {
        neighbour.check_untouched(rig).await;
    }
    web.check_left().await;
}

/// Another's container has exactly the name that ours would have.
pub async fn its_name_is_taken(rig: &Rig) {
    let mut web = rig.ready("").await;
    let ours = web.container().await;
    web.stop(DEADLINE).await.unwrap();
    let neighbour = Neighbour::make(rig, &ours, &[("launcher.service", "other")]).await;
    web.again().await;
    web.ends_with(125).await;
    let words = format!("not this instance's has the name {ours}");
    assert!(web.log().contains(&words), "{}", web.log());
    neighbour.check_untouched(rig).await;
}
