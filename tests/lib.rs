//! Nothing but a place for the tests to hang on: they are in `main.rs` and the modules it names.
