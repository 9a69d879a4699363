use std::time::Duration;

use testbed::aws::{Effect, Fault, Health};
use testbed::process::Signal;
use testbed::proxy::Mode;
use tokio::time::sleep;

use crate::Soak;

const EFFECTS: [Effect; 8] = [
    Effect::Throttle,
    Effect::InternalFailure,
    Effect::ServiceUnavailable,
    Effect::Drop,
    Effect::ApplyThenFail,
    Effect::ApplyThenDrop,
    Effect::Delay(Duration::from_secs(3)),
    Effect::Hang,
];

impl Soak {
    /// Something goes wrong with AWS, or somebody meddles there.
    pub fn disturb_aws(&mut self) {
        let (lb, member) = (self.some_balancer(), self.somebody());
        let handle = self.rig.lb(lb);
        match self.random.u8(..6) {
            0 => handle.tamper_register(&member),
            1 => handle.tamper_deregister(&member),
            2 => handle.set_health(&member, Health::Never),
            3 => handle.set_health(&member, Health::After(Duration::ZERO)),
            4 => {
                self.note("AWS goes on".to_owned());
                self.rig.aws.faults().clear();
                return;
            }
            _ => {
                let effect = EFFECTS[self.random.usize(..EFFECTS.len())];
                let times = self.random.u32(1..4);
                self.note(format!("{effect:?} of {lb}, {times} times"));
                let fault = Fault::new(effect).load_balancer(lb).times(times);
                self.rig.aws.faults().add(fault);
                return;
            }
        }
        self.note(format!("somebody meddles with {member} of {lb}"));
    }

    /// etcd is away for a moment, in some way.
    pub async fn disturb_etcd(&mut self) {
        let away = Duration::from_millis(self.random.u64(..3000));
        let way = self.random.u8(..5);
        self.note(format!("etcd is away for {away:?}, in way {way}"));
        match way {
            0 => {
                self.rig.etcd.pause().unwrap();
                sleep(away).await;
                self.rig.etcd.resume().unwrap();
            }
            1 => {
                self.rig.etcd.kill().await.unwrap();
                sleep(away).await;
                self.rig.etcd.restart().await.unwrap();
            }
            2 => {
                self.proxy.set(Mode::BlackHole).await.unwrap();
                sleep(away).await;
                self.proxy.set(Mode::Forward).await.unwrap();
            }
            3 => self.proxy.cut(),
            _ => self.lose_history().await,
        }
    }

    /// Changes that nobody sees are compacted.
    async fn lose_history(&mut self) {
        self.proxy.set(Mode::Refuse).await.unwrap();
        for _ in 0..self.random.u8(1..4) {
            self.change().await;
        }
        self.rig.etcd.compact_now().await.unwrap();
        self.proxy.set(Mode::Forward).await.unwrap();
    }

    /// The manager ends and starts again, or stops for a moment.
    pub async fn disturb_manager(&mut self) {
        let way = self.random.u8(..3);
        self.note(format!("the manager ends in way {way}"));
        match way {
            0 => {
                self.rig.kill().await;
                self.change().await;
                self.rig.run().await;
            }
            1 => {
                self.rig.stop().await;
                self.change().await;
                self.rig.run().await;
            }
            _ => {
                self.rig.manager().signal(Signal::SIGSTOP).unwrap();
                self.change().await;
                sleep(Duration::from_millis(self.random.u64(..2000))).await;
                self.rig.manager().signal(Signal::SIGCONT).unwrap();
            }
        }
    }
}
