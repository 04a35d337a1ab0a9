//! Mapping: what of a message becomes what of an output. [`observe`] finds it out for a plugin whose source nobody has: it puts other values
//! into one field after the other and looks at what changes ([`differ`]). [`how`] says in which way an output follows a field, [`observation`] is all that
//! was seen, over all samples, and [`draft`] writes it as the draft of a mapping document.
//!
//! Stands on `failures` (samples, chambers, fields); knows nothing of files, sockets or a running host.

pub mod differ;
pub mod draft;
pub mod how;
pub mod observation;
pub mod observe;
#[cfg(test)]
mod tests;
