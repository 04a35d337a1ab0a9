//! Whether a verdict is right, on runs made by hand: nothing is run here.

mod finding;
mod judging;
