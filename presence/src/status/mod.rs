//! What the managers report, as the values of the keys of
//! [`keys::status`](crate::keys::status) have it: lbmanager writes them, and
//! launcher waits for what they say. Pure.

mod claim;
mod cluster_hex;
mod managers;
mod marker;
pub mod record;
mod release;

pub use claim::Claim;
pub use managers::Managers;
pub use marker::{Frozen, Marker};
pub use record::Record;
pub use release::Release;
