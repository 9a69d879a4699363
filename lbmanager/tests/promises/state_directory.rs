//! The state directory disappears or cannot be written, outside of a guest.

use crate::real::{A, B, C, Rig};
use crate::world::{apply_a_delete, assert_never_frozen, release_all};

#[tokio::test]
async fn a_state_directory_that_is_removed_while_the_manager_runs_changes_nothing() {
    let mut rig = Rig::serving("web", &[A, B, C]).await;
    std::fs::remove_dir_all(rig.state.path()).unwrap();
    rig.del("web", C).await;
    rig.until_registered("web", &[A, B]).await;
    apply_a_delete(&rig, "web", &[A, B]).await;
    // As an operator leaves it, with or without the directory.
    rig.kill().await;
    rig.run().await;
    rig.del("web", B).await;
    rig.until_registered("web", &[A]).await;
    assert_never_frozen(&rig).await;
}

#[tokio::test]
async fn a_second_process_on_one_state_directory_exits_78_and_the_first_goes_on() {
    let rig = Rig::serving("web", &[A, B]).await;
    let ended = rig.launch.clone().arg("--host-id=second").ended().await;
    assert_eq!(ended.code, Some(78), "{ended:?}");
    apply_a_delete(&rig, "web", &[A, B]).await;
}

#[tokio::test]
async fn a_state_directory_with_rubbish_in_it_removes_nothing() {
    let mut rig = Rig::serving("web", &[A, B]).await;
    rig.stop().await;
    for entry in std::fs::read_dir(rig.state.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::write(&path, b"{\"rubbish").unwrap();
        }
    }
    rig.run().await;
    // It may refuse to start, and name the file; it must not remove anything.
    let up = async {
        apply_a_delete(&rig, "web", &[A, B]).await;
        release_all(&rig).await;
    };
    tokio::select! {
        () = up => {}
        () = ended(&rig) => {}
    }
    rig.assert_kept("web", &[A, B]);
}

async fn ended(rig: &Rig) {
    while !rig.manager().has_ended() {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
