//! Virtual services of other identities: another prefix or host ID of the
//! same machine.

use std::time::Duration;

use crate::support::host::{HOST, Host, SHARED};
use crate::support::status;
use crate::{A, B, C, OTHER, VIP, key};

fn own(member: &str) -> String {
    Host::key(HOST, OTHER, "multiple", member)
}

/// A host with a service of its own region, and a shared one, that is stopped.
async fn stopped() -> Host {
    let mut host = Host::new();
    host.start();
    for key in [own(A), key(A), key(B)] {
        host.put(&key, "").await;
    }
    host.until_weights(OTHER, &[(A, 1)]).await;
    host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
    host.pass(Duration::from_secs(30)).await;
    host.stop().await;
    host.kernel.forget_commands();
    host
}

fn is_held(host: &Host) -> bool {
    let status = host.status(&Host::id(HOST, OTHER));
    status.is_some_and(|status| status.withheld.contains_key(A))
}

#[tokio::test(start_paused = true)]
async fn a_renamed_host_leaves_the_services_of_its_old_region_alone() {
    let mut host = stopped().await;
    host.name = "host-2";
    host.start();
    host.put(&key(C), "").await;
    host.until_weights(VIP, &[(A, 1), (B, 1), (C, 1)]).await;
    host.until("the other service is held", is_held).await;
    let status = host.status(&Host::id(HOST, OTHER)).unwrap();
    let why = &status.withheld[A].why;
    assert!(why.contains("prefix /lbManager, host ID host-1"), "{why}");
    host.kernel.forget_commands();
    host.pass(Duration::from_hours(1)).await;
    assert_eq!(host.kernel.commands(), []);

    // Also after a restart.
    host.stop().await;
    host.start();
    host.pass(Duration::from_hours(1)).await;
    assert_eq!(host.kernel.commands(), []);
    assert!(is_held(&host));

    // With its old name everything continues.
    host.stop().await;
    host.name = HOST;
    host.start();
    host.put(&own(B), "").await;
    host.until_weights(OTHER, &[(A, 1), (B, 1)]).await;
    for member in [A, B] {
        host.del(&own(member)).await;
    }
    host.until("the service is gone", |host| {
        host.kernel.weights(OTHER).is_none()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_release_ends_the_services_of_other_identities() {
    let mut host = stopped().await;
    // A release from before is none for this.
    host.release(&status().release_all()).await;
    host.name = "host-2";
    host.start();
    host.until("the other service is held", is_held).await;
    host.pass(Duration::from_mins(10)).await;
    host.until_weights(OTHER, &[(A, 1)]).await;
    host.release(&status().release_all()).await;
    host.until("the service is gone", |host| {
        host.kernel.weights(OTHER).is_none()
    })
    .await;
    host.until("its status is gone", |host| {
        host.status(&Host::id(HOST, OTHER)).is_none()
    })
    .await;
    host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_service_of_another_identity_that_somebody_removed_is_forgotten() {
    let mut host = stopped().await;
    host.name = "host-2";
    host.start();
    host.until("the other service is held", is_held).await;
    host.kernel.clear();
    host.until("its status is gone", |host| {
        host.status(&Host::id(HOST, OTHER)).is_none()
    })
    .await;
    host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
    assert!(host.status(&Host::id(SHARED, VIP)).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_mistyped_prefix_changes_nothing_in_the_kernel() {
    let mut host = stopped().await;
    host.prefix = "/lbmanager";
    host.start();
    host.pass(Duration::from_hours(1)).await;
    assert_eq!(host.kernel.commands(), []);
    let status = host.status(&Host::id(HOST, OTHER)).unwrap();
    let problems = status.problems.join("");
    assert!(
        problems.contains("created for prefix /lbManager,"),
        "{problems}"
    );

    // With the right one everything continues, without a release.
    host.stop().await;
    host.prefix = "/lbManager";
    host.start();
    host.del(&key(A)).await;
    host.until_weights(VIP, &[(B, 1)]).await;
    host.del(&own(A)).await;
    host.until("the service is gone", |host| {
        host.kernel.weights(OTHER).is_none()
    })
    .await;
}
