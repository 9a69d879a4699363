//! What many answers say, and when to ask next.

/// What many answers say.
pub struct Pulse;
