#![no_main]

use std::sync::OnceLock;

use lucarne::fuzz::FuzzTarget;

static TARGET: OnceLock<&FuzzTarget> = OnceLock::new();

libfuzzer_sys::fuzz_target!(
    init: { let _ = TARGET.set(FuzzTarget::begin("sky_image", env!("CARGO_MANIFEST_DIR"))); },
    |bytes: &[u8]| (TARGET.get().expect("set above").run)(bytes)
);
