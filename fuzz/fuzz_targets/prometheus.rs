#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cordon_fuzz::prometheus::run(input));
