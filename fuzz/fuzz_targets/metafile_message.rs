#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| cascade_fuzz::metafile_message::run(data));
