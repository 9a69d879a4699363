//! Which regions of ipvs a host serves.

use clap::Args;
use presence::model::{HostId, Kind, Region};
use presence::process::exit::Failure;

/// Flags of whoever looks at the local kernel.
#[derive(Debug, Clone, Args)]
pub(super) struct RegionArgs {
    /// A region of ipvs that this host serves beside its own, which is named
    /// by its host ID; may be repeated, and the one named first counts where
    /// two disagree
    #[arg(long, value_name = "REGION", value_parser = parse)]
    ipvs_region: Vec<Region>,
}

impl RegionArgs {
    /// The host's own first, then the others as they were named.
    pub fn regions(&self, host: &HostId) -> Result<Vec<Region>, Failure> {
        let mut regions = vec![parse(host.as_str()).map_err(Failure::usage)?];
        for region in &self.ipvs_region {
            if !regions.contains(region) {
                regions.push(region.clone());
            }
        }
        Ok(regions)
    }
}

fn parse(text: &str) -> Result<Region, String> {
    Region::parse(Kind::Ipvs, text).map_err(|error| error.to_string())
}
