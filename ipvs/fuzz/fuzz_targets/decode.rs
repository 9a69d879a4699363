//! Whatever bytes the kernel would send, decoding them returns.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ipvs::wire::decode_everything(bytes));
