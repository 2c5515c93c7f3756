#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sendlog_fuzz::entry_points::groups(data));
