//! What asking costs: the processor time of one attempt, as a line of JSON. Asks the server at the
//! address in the first argument, so often as the second one says.

use std::time::Duration;

use launcher::assemble::{Ask, Probes, Request, Wanted};
use launcher::definition::{Time, Timing};
use launcher::health::Checker;
use launcher::instance::InstanceName;
use launcher::life::Health;
use launcher::runtime::fake::FakeRuntime;
use launcher::runtime::{ContainerRuntime as _, ContainerSpec, Identity, Image};
use nix::time::{ClockId, clock_gettime};
use tokio::sync::watch;

type Error = Box<dyn std::error::Error>;

const INTERVAL: Duration = Duration::from_millis(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let (Some(address), Some(times)) = (arguments.next(), arguments.next()) else {
        return Err("usage: measure_probes HOST:PORT TIMES".into());
    };
    let times: u32 = times.parse()?;
    let (host, port) = address.split_once(':').ok_or("HOST:PORT is expected")?;
    let tcp = Ask::Tcp {
        host: host.to_owned(),
        port: port.parse()?,
    };
    for (name, ask) in [("http", http(&address)), ("tcp", tcp)] {
        let cost = cost(ask, times).await?;
        println!(r#"{{"probe": "{name}", "cpu_us": {}}}"#, cost.as_micros());
    }
    Ok(())
}

fn http(address: &str) -> Ask {
    Ask::Http(Request {
        url: format!("http://{address}/"),
        statuses: presence::probe::Statuses::default(),
        body: Wanted::Anything,
        follow_redirects: false,
    })
}

async fn cost(ask: Ask, times: u32) -> Result<Duration, Error> {
    let interval = Time(INTERVAL);
    let probes = Probes {
        health: ask,
        timing: Timing {
            interval,
            ..Timing::default()
        },
        pages: Vec::new(),
    };
    let runtime = FakeRuntime::new();
    let id = String::new();
    let has_healthcheck = false;
    runtime.add_image(
        "web",
        Image {
            id,
            has_healthcheck,
        },
    );
    let identity = Identity {
        service: "web".parse()?,
        instance: InstanceName::Newest,
        host_id: "host".parse()?,
    };
    let spec = ContainerSpec::new(identity, "1-00000000".parse()?, "web");
    let ours = runtime.create(&spec).await?;
    let (said, mut health) = watch::channel(Health::Unknown);
    let mut asking = Box::pin(Checker::new(probes, runtime, ours).run(said));
    tokio::select! {
        never = &mut asking => match never {},
        up = health.wait_for(|health| *health == Health::Up) => drop(up?),
    }
    let before = cpu()?;
    tokio::select! {
        never = &mut asking => match never {},
        () = tokio::time::sleep(INTERVAL * times) => {}
    }
    Ok(cpu()?.saturating_sub(before) / times)
}

fn cpu() -> nix::Result<Duration> {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from)
}
