//! Families of processors: how wide the vectors are that all kernels compute with.

use std::fmt;
use std::sync::OnceLock;

/// Instructions that a processor has as a whole, the fewest first. What one of a family has beyond them (AVX-512's VNNI and
/// BF16) is asked for by the kernels that use it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// What the build's own target has, in plain Rust.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// The same with products of bytes in 32 bits. Some processors with AVX-512 do not have it.
    AvxVnni,
    /// AVX-512 F, VL, DQ and BW, and with them those of AVX2.
    Avx512,
}

/// What all kernels of this process keep to. Two of one text's scores must not come from different ones.
static IN_USE: OnceLock<Family> = OnceLock::new();

impl Family {
    /// Each of them, the widest first.
    pub const ALL: [Self; 4] = [Self::Avx512, Self::AvxVnni, Self::Avx2, Self::Portable];

    /// `avx512`, as an option names it.
    pub const fn option(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512 => "avx512",
        }
    }

    /// The widest that this processor has.
    pub fn detected() -> Self {
        Self::available().next().unwrap_or(Self::Portable)
    }

    /// Those that this processor has, the widest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|family| family.is_available())
    }

    #[cfg(target_arch = "x86_64")]
    fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            Self::AvxVnni => Self::Avx2.is_available() && is_x86_feature_detected!("avxvnni"),
            Self::Avx512 => {
                Self::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
            }
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    const fn is_available(self) -> bool {
        matches!(self, Self::Portable)
    }

    /// That of this process: the one that was chosen before anything was computed, or else the widest. Looked up once: a
    /// kernel's loop asks for every tile.
    pub fn in_use() -> Self {
        *IN_USE.get_or_init(initial)
    }

    /// Has all kernels of this process keep to this family, as if the processor had no other.
    ///
    /// # Errors
    /// When the processor does not have it, or the process has begun with another.
    pub fn choose(self) -> Result<(), String> {
        let available: Vec<_> = Self::available().collect();
        self.settle(&available, &IN_USE)
    }

    fn settle(self, available: &[Self], in_use: &OnceLock<Self>) -> Result<(), String> {
        if !available.contains(&self) {
            let has: Vec<_> = available.iter().map(ToString::to_string).collect();
            return Err(format!("this processor has no {self}; it has {}", has.join(", ")));
        }
        match *in_use.get_or_init(|| self) {
            first if first == self => Ok(()),
            first => Err(format!("this process computes with {first}, and cannot with {self} as well")),
        }
    }
}

/// Where nobody chooses.
#[cfg(not(test))]
fn initial() -> Family {
    Family::detected()
}

/// The tests of this crate run again for each family: `TEXTFLIGHT_KERNELS` says for which, and nothing says it for all.
#[cfg(test)]
fn initial() -> Family {
    let Ok(option) = std::env::var("TEXTFLIGHT_KERNELS") else { return Family::detected() };
    let named = Family::available().find(|family| family.option() == option);
    named.unwrap_or_else(|| panic!("TEXTFLIGHT_KERNELS={option}: this processor has no such family"))
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Avx2 => "AVX2",
            Self::AvxVnni => "AVX-VNNI",
            Self::Avx512 => "AVX-512",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_first_choice_holds() {
        let cell = OnceLock::new();
        assert_eq!(Family::Avx2.settle(&Family::ALL, &cell), Ok(()));
        assert_eq!(Family::Avx2.settle(&Family::ALL, &cell), Ok(()));
        let error = Family::Portable.settle(&Family::ALL, &cell).unwrap_err();
        assert_eq!(error, "this process computes with AVX2, and cannot with portable as well");
    }

    #[test]
    fn what_the_processor_lacks_is_refused_with_what_it_has() {
        let cell = OnceLock::new();
        let error = Family::Avx512.settle(&[Family::Avx2, Family::Portable], &cell).unwrap_err();
        assert_eq!(error, "this processor has no AVX-512; it has AVX2, portable");
        // As Zen 4 is.
        let error = Family::AvxVnni.settle(&[Family::Avx512, Family::Avx2, Family::Portable], &cell).unwrap_err();
        assert_eq!(error, "this processor has no AVX-VNNI; it has AVX-512, AVX2, portable");
        assert_eq!((cell.get(), Family::available().last()), (None, Some(Family::Portable)));
    }

    /// Runs the tests of this crate once more for each family that this run is not of.
    #[test]
    fn the_other_families_pass_the_same_tests() {
        if std::env::var_os("TEXTFLIGHT_KERNELS").is_some() {
            return;
        }
        for family in Family::available().filter(|family| *family != Family::in_use()) {
            let mut tests = Command::new(std::env::current_exe().unwrap());
            let done = tests.env("TEXTFLIGHT_KERNELS", family.option()).args(["--skip", "cuda::"]).output().unwrap();
            assert!(done.status.success(), "{family}: {}", String::from_utf8_lossy(&done.stdout));
        }
    }
}
