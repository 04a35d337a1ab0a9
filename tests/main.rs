//! End-to-end tests: the real binary, real sockets on loopback, real files. One module per capability.

#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "the tests live in real time; the core they test does not read it")]

mod approval;
mod authors;
mod bad_input;
mod batches;
mod bench;
mod canary;
mod channels;
mod conformance;
mod console;
mod console_messages;
mod corpus;
mod credentials;
mod delivery;
mod demo;
mod dev;
mod documents;
mod durability;
mod events;
mod examples;
mod failures;
mod gates;
mod hostile;
mod intake;
mod kill;
mod ledger;
mod rehearsal;
mod retire;
mod scenarios;
mod setup;
mod shadow;
mod sources;
mod support;
mod switching;
mod tls;
