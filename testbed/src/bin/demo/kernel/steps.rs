//! A virtual service, and requests through it while its real servers change.

use testbed::site::{Load, Site, VIRTUAL};
use testbed::{Error, Result, wait};

use super::stage::{REGION, Stage};
use super::table::{Table, Weighed};
use crate::scene::{self, Tally, Tour, Words};
use crate::screen::Screen;
use crate::stage::DEADLINE;

type Scene<'a> = scene::Scene<'a, Stage>;

const ONE: u8 = 1;
const TWO: u8 = 2;
const THREE: u8 = 3;
const LIST: &[&str] = &["-Ln"];
const PAGES: usize = 4;
/// The client keeps its connections until it is told to let them go.
const FOR_EVER: u32 = u32::MAX;

/// Plays them all.
pub async fn all(stage: &Stage, screen: &Screen, tally: &mut Tally) {
    let mut tour = Tour {
        stage,
        screen,
        tally,
    };
    tour.play(PUT, put).await;
    tour.play(REPLACE, replace).await;
}

const PUT: Words = (
    "A key is a real server",
    "Writing a key puts it into the table of every host that serves the region; the first of them \
     makes the virtual service.",
);

async fn put(scene: &mut Scene<'_>) -> Result<()> {
    scene.put(ONE).await?;
    scene.put(TWO).await?;
    scene.wait_for(&[ONE, TWO]).await?;
    scene.show().await?;
    let pages = scene.ask().await?;
    let both = [ONE, TWO].iter().all(|n| pages.contains(&Site::name(*n)));
    scene.check("the kernel has both, and both answer", both);
    Ok(())
}

const REPLACE: Words = (
    "One comes, one goes, and no request fails",
    "The client asks all the time, over new connections and over four that it keeps. Whoever \
     leaves gets weight 0, so no new connections, and finishes those that it has: `drain`, 30 s \
     at most.",
);

async fn replace(scene: &mut Scene<'_>) -> Result<()> {
    scene.remark("the client begins");
    let load = scene.stage.site.load(FOR_EVER).await?;
    let serves = |at: Weighed| at.weight == 1 && at.active > 0;
    scene.until("web-1 to have connections", serves).await?;
    scene.put(THREE).await?;
    scene.wait_for(&[ONE, TWO, THREE]).await?;
    scene.delete(ONE).await?;
    let drains = |at: Weighed| at.weight == 0 && at.active > 0;
    scene.until("web-1 to drain", drains).await?;
    scene.show().await?;
    let pages = scene.ask().await?;
    let is_kept = scene.weighed().await?.is_some_and(drains);
    let others = !pages.contains(&Site::name(ONE));
    scene.check("new requests go to the others", others);
    scene.check("web-1 has the connections that the client keeps", is_kept);
    scene.remark("the client lets them go");
    load.let_go()?;
    scene.wait_for(&[TWO, THREE]).await?;
    scene.show().await?;
    scene.check("web-1 is out of the table", true);
    judge(scene, load).await
}

async fn judge(scene: &mut Scene<'_>, load: Load) -> Result<()> {
    let told = load.end().await?;
    let by = told.by.iter();
    let by: Vec<String> = by.map(|(name, count)| format!("{name} {count}")).collect();
    let requests = told.answered + told.failed;
    let failed = match told.failed {
        0 => "none".to_owned(),
        some => some.to_string(),
    };
    let what = format!("of {requests} requests {failed} failed ({})", by.join(", "));
    scene.check(&what, told.failed == 0 && told.by.len() == 3);
    scene.answer(&told.failures.join("\n"));
    Ok(())
}

fn key(number: u8) -> String {
    let server = Site::server(number);
    format!("/lbManager/ipvs/{REGION}/{VIRTUAL}/multiple/{server}")
}

impl Scene<'_> {
    async fn put(&self, number: u8) -> Result<()> {
        let key = key(number);
        self.command(&["etcdctl", "put", &key, "''"]);
        self.stage.etcd.put(&key, "").await
    }

    async fn delete(&self, number: u8) -> Result<()> {
        let key = key(number);
        self.command(&["etcdctl", "del", &key]);
        self.stage.etcd.del(&key).await.map(drop)
    }

    async fn show(&self) -> Result<()> {
        self.command(&[&["ipvsadm"], LIST].concat());
        self.answer(&self.stage.table(LIST).await?.0);
        self.screen.line("");
        Ok(())
    }

    /// The client asks for some pages, each time over a new connection: who answered.
    async fn ask(&self) -> Result<Vec<String>> {
        self.remark(&format!("the client, {PAGES} times"));
        let address = VIRTUAL.trim_end_matches(":80");
        self.command(&["curl", "-s", address]);
        let mut pages = Vec::new();
        for _ in 0..PAGES {
            let client = self.stage.site.client();
            let page = client.run("curl", ["-s", address]).await?;
            pages.push(page.trim().to_owned());
        }
        self.answer(&pages.join("  "));
        self.screen.line("");
        Ok(pages)
    }

    /// Waits until exactly these are in the table, each with weight 1.
    async fn wait_for(&self, servers: &[u8]) -> Result<()> {
        let what = format!("only {servers:?} to be in the kernel's table");
        let is_so = |table: &Table| {
            [ONE, TWO, THREE].iter().all(|number| {
                let weighed = table.weighed(&Site::server(*number));
                weighed.map(|at| at.weight) == servers.contains(number).then_some(1)
            })
        };
        self.until_table(&what, is_so).await
    }

    /// Waits until web-1 is as `wanted` says.
    async fn until(&self, what: &str, wanted: impl Fn(Weighed) -> bool) -> Result<()> {
        let of_one = |table: &Table| table.weighed(&Site::server(ONE)).is_some_and(&wanted);
        self.until_table(what, of_one).await
    }

    /// The numbers of web-1 in the table.
    async fn weighed(&self) -> Result<Option<Weighed>> {
        let table = self.stage.table(LIST).await?;
        Ok(table.weighed(&Site::server(ONE)))
    }

    async fn until_table(&self, what: &str, wanted: impl Fn(&Table) -> bool) -> Result<()> {
        let reached = wait::until(what, DEADLINE, || async {
            let table = self.stage.table(LIST).await;
            let table = table.map_err(|error| error.chain())?;
            if wanted(&table) { Ok(()) } else { Err(table.0) }
        });
        reached.await.map_err(Error::from)
    }
}
