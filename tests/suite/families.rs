//! The mathematics on a processor of each family. One process has one family, so the tests run again in others.

use std::process::Command;

use textflight::classifier::kernels::Family;

use crate::support::without_settings;

#[test]
fn all_families_equal_transformers_and_keep_their_bits() {
    if std::env::var_os("TEXTFLIGHT_KERNELS").is_some() {
        return;
    }
    for family in Family::available().filter(|family| *family != Family::detected()) {
        let mut tests = without_settings(Command::new(std::env::current_exe().unwrap()));
        let done = tests.env("TEXTFLIGHT_KERNELS", family.option()).args(["golden::", "twin::"]).output().unwrap();
        let told = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && !told.contains(" 0 passed"), "{family}: {told}");
    }
}
