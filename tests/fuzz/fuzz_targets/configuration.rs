//! `cargo fuzz run configuration --fuzz-dir tests/fuzz`; without the fuzzer it runs the inputs that are named as arguments.
#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| lockgate_fuzz::configuration(data));

#[cfg(not(fuzzing))]
fn main() {
    lockgate_fuzz::run_files(lockgate_fuzz::configuration);
}
