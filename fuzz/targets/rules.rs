#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| segmill_fuzz::project::rule(input));
