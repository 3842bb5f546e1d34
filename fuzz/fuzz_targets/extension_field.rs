#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cascade_fuzz::extension_field::run(data));
