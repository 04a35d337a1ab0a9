//! The generated side of the WIT package, one module per frozen version. Thin: each translates and delegates to `capability`.

pub mod v0_1_0;
