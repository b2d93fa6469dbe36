//! libFuzzer's way into one of the targets of [`groupfold_tests::targets`]: the one that `GROUPFOLD_FUZZ_TARGET` names.
//! `tests/fuzz/run` builds it for coverage, with the stable toolchain, and runs it.
#![no_main]

use std::sync::OnceLock;

use groupfold_tests::targets::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

fn target() -> &'static Target {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let name = std::env::var("GROUPFOLD_FUZZ_TARGET").unwrap_or_default();
        let found = TARGETS.iter().find(|target| target.name == name);
        found.unwrap_or_else(|| panic!("GROUPFOLD_FUZZ_TARGET is {name:?}, none of {:?}", TARGETS.map(|t| t.name)))
    })
}

/// What is made of the fixtures goes where `GROUPFOLD_FUZZ_SEEDS` says, before the corpora are read.
fn write_seeds() {
    let Some(folder) = std::env::var_os("GROUPFOLD_FUZZ_SEEDS") else { return };
    for (index, seed) in target().inputs().iter().enumerate() {
        let path = std::path::Path::new(&folder).join(format!("seed-{index}"));
        std::fs::write(path, seed).expect("seeds can be written");
    }
}

fuzz_target!(init: write_seeds(), |bytes: &[u8]| {
    if let Err(why) = (target().read)(bytes) {
        panic!("{}: {why}", target().name);
    }
});
