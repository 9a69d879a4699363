//! A state directory that cannot be written.

use std::time::Duration;

use crate::support::host::{Host, SHARED};
use crate::{A, B, C, OTHER, VIP, key, serving};

fn other(member: &str) -> String {
    Host::key(SHARED, OTHER, "multiple", member)
}

fn error(host: &Host, service: &str) -> Option<String> {
    let status = host.status(&Host::id(SHARED, service))?;
    status.error.map(|error| error.what)
}

#[tokio::test(start_paused = true)]
async fn only_new_services_wait_for_the_state_directory() {
    let mut host = serving(&[A, B]).await;
    for is_restarted in [false, true] {
        host.set_writable(false);
        if is_restarted {
            host.kill().await;
            host.start();
        }
        host.put(&other(A), "").await;
        host.until("the status reports it", |host| {
            error(host, OTHER).is_some_and(|error| error.contains("cannot write the state file"))
        })
        .await;
        assert_eq!(host.kernel.weights(OTHER), None);
        assert_eq!(error(&host, VIP), None);

        // The others are managed as usual.
        host.put(&key(C), "").await;
        host.until_weights(VIP, &[(A, 1), (B, 1), (C, 1)]).await;
        host.del(&key(C)).await;
        host.until_weights(VIP, &[(A, 1), (B, 1)]).await;
        host.put(&key(A), r#"{"weight": 3}"#).await;
        host.until_weights(VIP, &[(A, 3), (B, 1)]).await;
        host.put(&key(A), r#"{"weight": 1}"#).await;
        host.until_weights(VIP, &[(A, 1), (B, 1)]).await;

        host.set_writable(true);
        host.until_weights(OTHER, &[(A, 1)]).await;
        host.until("the error is gone", |host| error(host, OTHER).is_none())
            .await;
        host.del(&other(A)).await;
        host.until("the service is gone", |host| {
            host.kernel.weights(OTHER).is_none()
        })
        .await;
        host.pass(Duration::from_secs(30)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_ends_needs_no_state_directory() {
    let mut host = serving(&[A]).await;
    host.set_writable(false);
    host.del(&key(A)).await;
    host.until("the service is gone", |host| {
        host.kernel.weights(VIP).is_none()
    })
    .await;
    host.set_writable(true);
    host.pass(Duration::from_mins(2)).await;
    // It is not this manager's after that.
    host.stop().await;
    host.kernel.forget_commands();
    host.start();
    host.pass(Duration::from_mins(10)).await;
    assert_eq!(host.kernel.commands(), []);
}
