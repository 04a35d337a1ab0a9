//! End-to-end tests: the real binary, real sockets on loopback, real files. One module per capability.

#![cfg(test)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "the tests live in real time; the core they test does not read it")]
#![expect(clippy::print_stdout, reason = "tests tell what they skip")]

mod bad_input;
mod corpus;
mod delivery;
mod durability;
mod hostile;
mod intake;
mod support;
