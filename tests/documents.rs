//! The documents are true: what they show is run, what they quote is parsed, what they name is there.

mod commands;
mod consoles;
mod contract;
mod pages;
mod quotes;
