//! The demo: the main job from nothing, against a scripted CRM, told as it happens.
//!
//! Uses the host as `app` composes it; adds only the outside world.

pub mod audit;
pub mod crm;
mod operator;
mod shop;
mod story;
mod way;
mod world;

pub use story::{Report, Story, tell};
pub use world::World;
