//! The managers of the hosts, as each claims its host ID in etcd.
//!
//! | module | kind | what it is |
//! | --- | --- | --- |
//! | [`claim`] | pure | what a claim says, and what an existing one means |
//! | [`keeper`] | driver | claims this host's ID, and keeps the claim on a lease |
//! | [`managers`] | pure | all claims, as the mirror keeps them |
//! | [`shares`] | pure | who else serves the regions of this host |

pub mod claim;
pub mod keeper;
pub mod managers;
pub mod shares;

pub use claim::{Claim, Taken};
pub use managers::Managers;
pub use shares::{Share, Shares};
