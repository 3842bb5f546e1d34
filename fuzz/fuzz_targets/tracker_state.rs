#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cascade_fuzz::tracker_state::run(data));
