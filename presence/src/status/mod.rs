//! What the managers report, as the values of the keys of
//! [`keys::status`](crate::keys::status) have it: lbmanager writes them, and
//! launcher waits for what they say. Pure.

mod claim;
mod managers;
pub mod record;

pub use claim::Claim;
pub use managers::Managers;
pub use record::Record;
