//! A crash after any command to the kernel.

use std::time::Duration;

use presence::store::{Store, Transaction};

use crate::support::host::{Host, SHARED};
use crate::{A, B, C, VIP, foreign};

/// A change, and how the service is in the end.
struct Scenario {
    name: &'static str,
    class: &'static str,
    change: fn(&str) -> Transaction,
    end: Option<&'static [(&'static str, u32)]>,
}

fn in_class(class: &str, member: &str) -> String {
    Host::key(SHARED, VIP, class, member)
}

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "one more",
        class: "multiple",
        change: |class| Transaction::put(in_class(class, C), ""),
        end: Some(&[(A, 1), (B, 1), (C, 1)]),
    },
    Scenario {
        name: "one less",
        class: "multiple",
        change: |class| Transaction::delete(in_class(class, A)),
        end: Some(&[(B, 1)]),
    },
    Scenario {
        name: "all replaced",
        class: "multiple",
        change: |class| {
            Transaction::delete(in_class(class, A))
                .and_delete(in_class(class, B))
                .and_put(in_class(class, C), "", None)
        },
        end: Some(&[(C, 1)]),
    },
    Scenario {
        name: "other weights",
        class: "multiple",
        change: |class| {
            Transaction::put(in_class(class, A), r#"{"weight": 3}"#).and_put(
                in_class(class, B),
                r#"{"weight": 5}"#,
                None,
            )
        },
        end: Some(&[(A, 3), (B, 5)]),
    },
    Scenario {
        name: "another single member",
        class: "single",
        change: |class| Transaction::put(in_class(class, C), ""),
        end: Some(&[(C, 1)]),
    },
    Scenario {
        name: "another scheduler, and one less",
        class: "multiple",
        change: |class| {
            let config = format!("/lbManager/ipvs/{SHARED}/{VIP}/config");
            Transaction::put(config, r#"{"scheduler": "mh"}"#).and_delete(in_class(class, B))
        },
        end: Some(&[(A, 1)]),
    },
];

impl Scenario {
    /// Runs it with a crash after so many commands. `false`: it has fewer.
    async fn run(&self, commands: usize) -> bool {
        let mut host = Host::new();
        for command in foreign() {
            host.kernel.tamper(command);
        }
        host.start();
        for member in [A, B] {
            host.put(&in_class(self.class, member), "").await;
        }
        host.until("it serves", |host| host.kernel.weights(VIP).is_some())
            .await;
        host.pass(Duration::from_secs(30)).await;
        host.die_after(commands);
        host.store.commit((self.change)(self.class)).await.unwrap();
        host.pass(Duration::from_secs(2)).await;
        let died = host.kill().await;
        host.start();
        if let Some(end) = self.end {
            host.until_weights(VIP, end).await;
        }
        host.pass(Duration::from_mins(10)).await;
        if let Some(end) = self.end {
            host.until_weights(VIP, end).await;
        }
        host.until_weights("192.0.2.1:443", &[("192.0.2.9:443", 7)])
            .await;
        let gaps = host.kernel.gaps();
        assert!(gaps.is_empty(), "{} after {commands}: {gaps:?}", self.name);
        died
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_any_command_ends_as_the_tree_says() {
    for scenario in SCENARIOS {
        let mut points = 0;
        while scenario.run(points).await {
            points += 1;
        }
        assert!(points > 0, "{} has no command", scenario.name);
    }
}
