//! The family of kernels that an operator can ask for.

use std::str::FromStr;

use super::kernels::{Family, Place};
use crate::{Error, Result};

/// What the processor's kernels keep to, in the whole process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KernelChoice {
    /// The widest family that the processor has.
    #[default]
    Auto,
    /// This one, as if the processor had no other.
    Exactly(Family),
}

impl FromStr for KernelChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |family: &Family| family.option() == text;
        match Family::ALL.into_iter().find(named) {
            Some(family) if Family::available().any(|has| has == family) => Ok(Self::Exactly(family)),
            Some(family) => Err(format!("this processor has no {family}: {} will do", options(Family::available()))),
            None if text == "auto" => Ok(Self::Auto),
            None => Err(format!("expected {}", options(Family::ALL.into_iter()))),
        }
    }
}

/// `auto, avx2 or portable`
fn options(families: impl Iterator<Item = Family>) -> String {
    let names: Vec<_> = std::iter::once("auto").chain(families.map(Family::option)).collect();
    match names.split_last() {
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

impl KernelChoice {
    /// Settles what computes, before anything does: another choice in the same process is an error.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a family is named and a model runs on a GPU, when the processor does not have it, or the
    /// process computes with another already.
    pub fn settle(self, places: &[Place]) -> Result<()> {
        let gpu = places.iter().find(|place| !matches!(place, Place::Cpu));
        let family = match (self, gpu) {
            (Self::Exactly(family), None) => family,
            (Self::Exactly(family), Some(gpu)) => {
                let (option, name) = (family.option(), gpu.name());
                let wrong =
                    format!("--kernels {option} is for the CPU, and the model runs on {name}: leave it at auto");
                return Err(Error::Invalid(wrong));
            }
            (Self::Auto, _) => Family::detected(),
        };
        family.choose().map_err(|cause| Error::Invalid(format!("--kernels {}: {cause}", family.option())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_families() {
        assert_eq!("auto".parse(), Ok(KernelChoice::Auto));
        for family in Family::ALL {
            match family.option().parse::<KernelChoice>() {
                Ok(choice) => {
                    assert_eq!(choice, KernelChoice::Exactly(family));
                    assert!(Family::available().any(|has| has == family));
                }
                Err(error) => {
                    assert!(Family::available().all(|has| has != family));
                    assert!(error.starts_with("this processor has no ") && error.ends_with(" or portable will do"));
                }
            }
        }
        for wrong in ["", "AVX2", "sse", "avx512 "] {
            assert_eq!(
                wrong.parse::<KernelChoice>(),
                Err("expected auto, avx512, avx-vnni, avx2 or portable".to_owned())
            );
        }
    }

    #[test]
    fn a_process_has_one_family() {
        assert_eq!(KernelChoice::Auto.settle(&[Place::Cpu]).map_err(|e| e.to_string()), Ok(()));
        assert_eq!(KernelChoice::Exactly(Family::detected()).settle(&[]).map_err(|e| e.to_string()), Ok(()));
        for other in Family::available().skip(1) {
            let error = KernelChoice::Exactly(other).settle(&[Place::Cpu]).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("--kernels {}: this process computes with ", other.option())),
                "{error}"
            );
        }
    }
}
