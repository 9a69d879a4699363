mod batch;

use super::outcome::{CommandError, Refusal};
use super::{Error, Settings};
use crate::{Command, DestinationConfig, Errno, Forward, ServiceKey};

#[test]
fn what_the_kernel_says_depends_on_what_it_was_told() {
    let service = ServiceKey::tcp("10.0.0.1:80".parse().unwrap());
    let destination = "10.0.1.7:80"
        .parse::<std::net::SocketAddr>()
        .unwrap()
        .into();
    let config = DestinationConfig::new(Forward::Masq, 1);
    let add = Command::AddDestination {
        service,
        destination,
        config,
    };
    let delete = Command::DeleteDestination {
        service,
        destination,
    };
    assert_eq!(Refusal::of(&add, Errno::EEXIST), Refusal::Exists);
    assert_eq!(Refusal::of(&add, Errno::ESRCH), Refusal::NoSuchService);
    assert_eq!(
        Refusal::of(&delete, Errno::ENOENT),
        Refusal::NoSuchDestination
    );
    // The family itself is gone: the module was unloaded.
    assert_eq!(
        Refusal::of(&add, Errno::ENOENT),
        Refusal::Other(Errno::ENOENT)
    );
}

#[test]
fn errors_say_what_to_do() {
    assert!(Error::NoModule.to_string().contains("modprobe ip_vs"));
    assert!(Error::NotPermitted.to_string().contains("CAP_NET_ADMIN"));
}

#[test]
fn an_outcome_is_small() {
    assert!(size_of::<Result<(), CommandError>>() <= 16);
}

/// It is opened by one thread, and may be handed to another.
#[test]
fn it_can_be_sent() {
    fn is_send<T: Send>() {}
    is_send::<super::Ipvs>();
}

#[test]
fn answers_to_a_batch_fit() {
    let settings = Settings::default();
    assert!(settings.batch * settings.reply_size < settings.receive_buffer);
}
