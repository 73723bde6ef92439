#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| segmill_fuzz::extract::read("csv", input));
