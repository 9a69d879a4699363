mod batch;
mod error;
mod failure;
mod family;
mod link;
mod outcome;
mod read;
mod settings;
mod socket;
#[cfg(test)]
mod tests;
mod write;

pub use error::Error;
pub use outcome::{CommandError, Lost, Outcome, Refusal};
pub use settings::Settings;

use failure::Failure;
use link::Link;

use crate::wire::Writer;

/// How often a question is asked again whose answer was interrupted.
const ATTEMPTS: usize = 5;

/// The IPVS of the network namespace of the thread that opened it.
///
/// Every call blocks, so it wants a thread of its own where others must not
/// wait. When an answer does not come, or not the one that was asked for, the
/// socket is given up, and the next call opens another: do not move it to a
/// thread of another network namespace.
///
/// ```no_run
/// use ipvs::{Command, DestinationConfig, Family, Forward, Ipvs, Scheduler, ServiceConfig,
///            ServiceKey};
///
/// let mut ipvs = Ipvs::open()?;
/// let service = ServiceKey::tcp("10.0.0.1:80".parse()?);
/// let destination = "10.0.1.7:8080".parse::<std::net::SocketAddr>()?.into();
/// let commands = [
///     Command::AddService {
///         service,
///         config: ServiceConfig::new(Family::V4, Scheduler::WLC),
///     },
///     Command::AddDestination {
///         service,
///         destination,
///         config: DestinationConfig::new(Forward::Masq, 1),
///     },
/// ];
/// for (command, outcome) in commands.iter().zip(ipvs.execute(&commands)) {
///     if let Err(error) = outcome {
///         eprintln!("cannot {command}: {error}");
///     }
/// }
/// for entry in ipvs.table()? {
///     println!("{}: {} destinations", entry.service.key, entry.destinations.len());
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Ipvs {
    settings: Settings,
    link: Option<Link>,
    writer: Writer,
}

impl Ipvs {
    /// Opens it. An error says whether the module is missing or the
    /// permission.
    pub fn open() -> Result<Self, Error> {
        Self::open_with(Settings::default())
    }

    /// Opens it with other settings.
    pub fn open_with(settings: Settings) -> Result<Self, Error> {
        let mut ipvs = Self {
            settings,
            link: None,
            writer: Writer::default(),
        };
        ipvs.reopen()?;
        Ok(ipvs)
    }

    fn reopen(&mut self) -> Result<(), Error> {
        if self.link.is_none() {
            self.link = Some(Link::open(&self.settings, &mut self.writer)?);
        }
        Ok(())
    }
}
