//! Measurements of the host against itself. Owns what is measured and how; depends on whatever it measures.

pub mod sandbox;
