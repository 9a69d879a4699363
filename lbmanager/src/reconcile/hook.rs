//! A place to stop after each step, so that tests can enumerate crashes
//! instead of hoping for them.

/// A point between two steps of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The ledger says what is about to be done.
    Announced,
    /// Members were put in.
    Registered,
    /// Members were taken out.
    Deregistered,
    /// The status says what was done.
    Reported,
    /// The record was deleted: nothing is left to manage.
    Forgotten,
}

/// The process is to end here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("ended after {0:?}")]
pub struct Crash(pub Point);

/// Is told of each point that a pass reaches.
pub trait Hook: Clone + Send + Sync + 'static {
    /// This point was reached. `Err`: go no further.
    fn reached(&self, point: Point) -> Result<(), Crash>;
}

/// Goes on at every point.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHook;

impl Hook for NoHook {
    fn reached(&self, _: Point) -> Result<(), Crash> {
        Ok(())
    }
}
