//! Sources on the bench of the delivery core: scripted plugins, a store in memory, a clock that the test moves.

mod scene;
mod schedules;
mod troubles;
mod ways;
