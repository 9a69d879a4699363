//! Whatever text the kernel would write, parsing it returns.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = ipvs::proc::parse(text);
});
