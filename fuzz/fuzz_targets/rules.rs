//! Rules as raw text, through decoding, reading and every kind of check. What must hold stands in
//! `tests/it/kit/promises.rs`, which the tests share; how it is run, in `docs/performance.md`.

#![no_main]

#[path = "../../tests/it/kit/promises.rs"]
mod promises;

libfuzzer_sys::fuzz_target!(|items: &[u8]| promises::hold(items));
