//! One machine, one host ID.

use std::time::Duration;

use crate::support::status;
use lbmanager::manager::ManagerError;
use lbmanager::peers::Claim;
use presence::keys::status::ManagerRole;
use presence::model::Kind;
use presence::store::{Store, Transaction};

use crate::support::host::{HOST, Host};
use crate::{A, B, VIP, own};

/// Less than a manager waits for a claim to end, and more than one lives.
const A_LEASE: Duration = Duration::from_secs(11);

fn key() -> String {
    status().manager(&HOST.parse().unwrap(), ManagerRole::Ipvs)
}

fn holder(host: &Host) -> Option<String> {
    let entry = host.store.peek(&key())?;
    Some(Claim::parse(&entry.value)?.machine_id)
}

fn other_machine(host: &Host) -> Host {
    let mut other = Host::new();
    other.store = host.store.clone();
    other.machine = "machine-2";
    other
}

async fn serving() -> Host {
    let mut host = Host::new();
    host.put(&own(A), "").await;
    host.start();
    host.until_weights(VIP, &[(A, 1)]).await;
    host
}

fn assert_taken(error: &ManagerError) {
    assert!(matches!(error, ManagerError::Taken(_)), "{error}");
    assert!(error.to_string().contains("--host-id"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_claim_says_what_its_manager_does() {
    let host = serving().await;
    let claim = Claim::parse(&host.store.peek(&key()).unwrap().value).unwrap();
    assert_eq!(claim.backends, ["ipvs"]);
    assert_eq!(claim.regions, [HOST, "edge"]);
    assert!(host.store.peek(&key()).unwrap().lease.is_some());
    host.pass(Duration::from_hours(1)).await;
    assert_eq!(holder(&host).as_deref(), Some("machine-1"));
}

#[tokio::test(start_paused = true)]
async fn a_second_machine_ends_and_has_done_nothing() {
    let host = serving().await;
    let mut second = other_machine(&host);
    second.start();
    assert_taken(&second.end().await);
    assert!(second.kernel.commands().is_empty());
    assert_eq!(holder(&host).as_deref(), Some("machine-1"));
    assert!(host.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_replaced_is_followed_by_the_other() {
    let mut host = serving().await;
    host.kill().await;
    let mut second = other_machine(&host);
    second.start();
    second.until_weights(VIP, &[(A, 1)]).await;
    assert_eq!(holder(&second).as_deref(), Some("machine-2"));
}

#[tokio::test(start_paused = true)]
async fn who_is_started_again_does_not_wait() {
    for is_killed in [true, false] {
        let mut host = serving().await;
        if is_killed {
            host.kill().await;
        } else {
            host.stop().await;
        }
        host.put(&own(B), "").await;
        host.start();
        host.pass(Duration::from_secs(1)).await;
        assert_eq!(host.kernel.weights(VIP).unwrap().len(), 2);
        host.pass(A_LEASE).await;
        assert_eq!(holder(&host).as_deref(), Some("machine-1"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_deleted_is_made_again() {
    let host = serving().await;
    host.del(&key()).await;
    host.pass(Duration::from_secs(1)).await;
    assert_eq!(holder(&host).as_deref(), Some("machine-1"));
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_it_is_made_again() {
    let host = serving().await;
    host.store.set_unavailable(true);
    host.pass(Duration::from_mins(1)).await;
    host.store.set_unavailable(false);
    host.until("the claim is back", |host| holder(host).is_some())
        .await;
    assert!(host.is_running());
}

/// It was away for so long that another machine could claim the host ID.
#[tokio::test(start_paused = true)]
async fn whose_claim_another_machine_has_ends() {
    let mut host = serving().await;
    let claim = Claim::new("machine-2".to_owned(), [Kind::Ipvs], &[]);
    let put = Transaction::put(key(), claim.to_json());
    host.store.commit(put).await.unwrap();
    assert_taken(&host.end().await);
    // Nobody is taken out for it.
    assert_eq!(host.kernel.weights(VIP).unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn of_two_processes_of_a_machine_the_first_follows_the_second() {
    let host = serving().await;
    let mut second = other_machine(&host);
    second.machine = host.machine;
    second.start();
    second.pass(Duration::from_mins(1)).await;
    let lease = |host: &Host| host.store.peek(&key()).map(|entry| entry.lease);
    let of_second = lease(&host).unwrap();
    assert!(host.is_running() && second.is_running());
    second.kill().await;
    host.pass(A_LEASE).await;
    assert!(lease(&host).is_some_and(|lease| lease != of_second));
}
