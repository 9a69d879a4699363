//! Answers that do not arrive.

use ipvs::{Command, CommandError, Lost, Refusal, Settings};

use crate::world::{World, add, saved, tcp};

/// A receive buffer as small as the kernel has them, into which more answers
/// are taken to fit than do.
fn tiny() -> Settings {
    Settings {
        receive_buffer: 1,
        reply_size: 1,
        ..Settings::default()
    }
}

fn gone(n: u32) -> Command {
    let service = tcp(&format!("10.9.{}.{}:80", n / 250, n % 250));
    Command::DeleteService { service }
}

pub async fn what_is_not_known_is_said_and_it_goes_on() {
    let mut world = World::with(tiny());
    let mut commands: Vec<_> = (0..200).map(gone).collect();
    let adds = (0..200).map(|n| add(tcp(&format!("10.0.0.{n}:80"))));
    commands.extend(adds);
    let outcomes = world.ipvs.execute(&commands);
    assert_eq!(outcomes.len(), commands.len());
    assert_eq!(
        outcomes[0],
        Err(CommandError::Refused(Refusal::NoSuchService))
    );
    let unknown = Err(CommandError::Unknown(Lost::Overrun));
    assert!(outcomes[200..].iter().all(|outcome| *outcome == unknown));
    let refused = outcomes
        .iter()
        .filter(|o| matches!(o, Err(CommandError::Refused(_))))
        .count();
    println!("{refused} answers of 200 fitted");
    assert!(
        outcomes[refused..]
            .iter()
            .all(|outcome| *outcome == unknown)
    );
    // All the same they were done, and the next question is answered.
    assert_eq!(world.ipvs.services().unwrap().len(), 200);
    world.execute(&[Command::DeleteService {
        service: tcp("10.0.0.7:80"),
    }]);
    assert_eq!(saved().len(), 199);
}

/// Batches after one whose answers were lost are carried out, and known.
pub async fn later_batches_are_known() {
    let batch = 100;
    let mut world = World::with(Settings { batch, ..tiny() });
    let mut commands: Vec<_> = (0..100).map(gone).collect();
    commands.extend((0..250).map(|n| add(tcp(&format!("10.0.0.{n}:80")))));
    let outcomes = world.ipvs.execute(&commands);
    assert!(outcomes[100..].iter().all(Result::is_ok));
    let unknown = Err(CommandError::Unknown(Lost::Overrun));
    assert!(outcomes[..100].contains(&unknown));
}

/// Where the kernel takes little at once, more is sent in more pieces.
pub async fn a_small_send_buffer_is_enough() {
    let send_buffer = 1;
    let mut world = World::with(Settings {
        send_buffer,
        ..Settings::default()
    });
    let adds = (0..1000).map(|n| add(tcp(&format!("10.0.{}.{}:80", n / 250, n % 250))));
    world.execute(&adds.collect::<Vec<_>>());
    assert_eq!(world.ipvs.services().unwrap().len(), 1000);
}

/// As many answers as ever come at once fit by default.
pub async fn none_is_lost_by_default() {
    let mut world = World::new();
    let commands: Vec<_> = (0..5000).map(gone).collect();
    let refused = Err(CommandError::Refused(Refusal::NoSuchService));
    let outcomes = world.ipvs.execute(&commands);
    assert!(outcomes.iter().all(|outcome| *outcome == refused));
}
