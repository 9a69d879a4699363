//! The managers of the hosts, as each claims its host ID in etcd.
//!
//! | module | kind | what it is |
//! | --- | --- | --- |
//! | [`claim`] | pure | what an existing claim means |
//! | [`keeper`] | driver | claims this host's ID, and keeps the claim on a lease |
//! | [`shares`] | pure | who else serves the regions of this host |

pub mod claim;
pub mod keeper;
pub mod shares;

pub use claim::Taken;
pub use presence::status::{Claim, Managers};
pub use shares::{Share, Shares};
