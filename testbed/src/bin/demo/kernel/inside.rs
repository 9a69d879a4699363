//! This program in the guest.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use testbed::Result;

use super::stage::Stage;
use super::steps;
use crate::scene::Tally;
use crate::screen::Screen;

/// The first argument of this program where it is in the guest. The folder with the tally follows,
/// and whether there are colours.
const INSIDE: &str = "inside";
const COLOURS: &str = "colours";

/// The arguments for the guest.
pub fn arguments(folder: &Path, screen: &Screen) -> Vec<String> {
    let mut arguments = vec![INSIDE.to_owned(), folder.display().to_string()];
    arguments.extend(screen.has_colours().then(|| COLOURS.to_owned()));
    arguments
}

/// How this program ends, if it is in the guest.
pub async fn main() -> Option<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    if arguments.next()? != INSIDE {
        return None;
    }
    let folder = PathBuf::from(arguments.next()?);
    let screen = Screen::with_colours(arguments.any(|argument| argument == COLOURS));
    Some(match play(&folder, &screen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.chain());
            ExitCode::FAILURE
        }
    })
}

async fn play(folder: &Path, screen: &Screen) -> Result<()> {
    let mut tally = Tally::read(folder)?;
    let before = tally.failed;
    Stage::introduce(screen);
    let mut stage = Stage::set_up().await?;
    steps::all(&stage, screen, &mut tally).await;
    if tally.failed > before {
        stage.show_log(screen);
    }
    if !stage.strike().await? {
        screen.failure("lbmanager did not end as it should when told to");
        stage.show_log(screen);
        tally.failed += 1;
    }
    tally.write(folder)
}
