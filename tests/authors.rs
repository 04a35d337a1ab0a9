//! Writing plugins: the newcomer's way from an empty folder to a message delivered, in every language whose tools the machine has.

mod bad_input;
mod javascript;
mod newcomer;
mod python;
mod rust;
