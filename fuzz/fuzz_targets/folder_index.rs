#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cascade_fuzz::folder_index::run(data));
