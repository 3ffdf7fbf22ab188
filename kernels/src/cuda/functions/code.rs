//! What is in the fatbin of our kernels: compiled code for some architectures, and PTX that a driver compiles for others.

use cudarc::driver::DriverError;

use super::module::image;

/// One of the fatbin's pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// For this architecture (75 is `sm_75`), and for later ones of its first digits.
    Compiled(u32),
    /// For this architecture and every later one, in a version of the language (90 is 9.0).
    Ptx(u32, u32),
}

/// What a device runs of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Code that was compiled for such an architecture.
    Compiled(u32),
    /// What the driver compiles out of PTX for such an architecture, when a process first loads it.
    Ptx(u32),
}

/// A fatbin begins with this, a version and the length of its header; then comes how many bytes there are behind it.
const MAGIC: u32 = 0xba55_ed50;
const HEADER: usize = 16;
/// A piece begins with its kind, a version, the length of its header and that of what is behind it. Its architecture is in
/// the header as well.
const PTX: u16 = 1;
const COMPILED: u16 = 2;
const ARCHITECTURE: usize = 28;

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

/// The pieces of a fatbin. None if it is not one, or is cut off.
pub fn pieces(fatbin: &[u8]) -> Option<Vec<Piece>> {
    if u32_at(fatbin, 0)? != MAGIC {
        return None;
    }
    let length = HEADER + u64_at(fatbin, 8)?;
    let (mut rest, mut pieces) = (fatbin.get(HEADER..length)?, Vec::new());
    while !rest.is_empty() {
        let (header, payload) = (u32_at(rest, 4)? as usize, u64_at(rest, 8)?);
        let architecture = u32_at(rest, ARCHITECTURE)?;
        let body = rest.get(header..header.checked_add(payload)?)?;
        match u16_at(rest, 0)? {
            PTX => pieces.push(Piece::Ptx(architecture, version(body)?)),
            COMPILED => pieces.push(Piece::Compiled(architecture)),
            _ => {} // something else that the toolkit puts there
        }
        rest = &rest[header + payload..];
    }
    Some(pieces)
}

/// What follows `.version` in PTX: 90 of `9.0`.
fn version(ptx: &[u8]) -> Option<u32> {
    let word = b".version ";
    let at = ptx.windows(word.len()).position(|bytes| bytes == word)? + word.len();
    let text = std::str::from_utf8(ptx.get(at..at + 8)?).ok()?;
    let (major, minor) = text.split_whitespace().next()?.split_once('.')?;
    Some(10 * major.parse::<u32>().ok()? + minor.parse::<u32>().ok()?)
}

/// The release of CUDA that has such a version of PTX, as the driver gives its own: 12080 is 12.8.
const fn release(ptx: u32) -> u32 {
    let (major, minor) = (ptx / 10, ptx % 10);
    // 12.6 has no version of its own.
    let minor = if major == 8 && minor > 5 { minor + 1 } else { minor };
    (major + 4) * 1000 + minor * 10
}

/// Our kernels'.
pub fn embedded() -> Vec<Piece> {
    pieces(image()).unwrap_or_default()
}

/// The release of CUDA that compiled them.
fn compiler(pieces: &[Piece]) -> u32 {
    let of = |piece: &Piece| match piece {
        Piece::Ptx(_, version) => release(*version),
        Piece::Compiled(_) => 0,
    };
    pieces.iter().map(of).max().unwrap_or(0)
}

/// What a device of a compute capability (75 is 7.5) runs of the kernels. None if there is nothing for it.
pub fn for_device(pieces: &[Piece], capability: u32) -> Option<Runs> {
    let compiled = pieces.iter().filter_map(|piece| match piece {
        Piece::Compiled(a) if a / 10 == capability / 10 && *a <= capability => Some(*a),
        _ => None,
    });
    let ptx = pieces.iter().filter_map(|piece| match piece {
        Piece::Ptx(a, _) if *a <= capability => Some(*a),
        _ => None,
    });
    compiled.max().map(Runs::Compiled).or_else(|| ptx.max().map(Runs::Ptx))
}

/// The same of the embedded kernels: what `check` reports.
pub fn embedded_for(capability: (i32, i32)) -> Option<Runs> {
    for_device(&embedded(), (10 * capability.0 + capability.1).unsigned_abs())
}

/// The first driver of a release of CUDA, where it is known.
fn first_driver(major: u32) -> String {
    match major {
        12 => "525".to_owned(),
        13 => "580".to_owned(),
        _ => format!("one for CUDA {major}"),
    }
}

fn named(release: u32) -> String {
    format!("{}.{}", release / 1000, release % 1000 / 10)
}

/// Whether a driver of this version (12080 is for CUDA 12.8) takes code of the embedded kernels' compiler: it does from the
/// first of the same major version on.
///
/// # Errors
/// What is wrong, and what would help.
pub fn check_driver(driver: u32) -> Result<(), String> {
    check(&embedded(), driver)
}

fn check(pieces: &[Piece], driver: u32) -> Result<(), String> {
    let compiler = compiler(pieces);
    let major = compiler / 1000;
    if driver / 1000 >= major {
        return Ok(());
    }
    let help = if major > 12 { ", or take a build whose kernels are compiled by CUDA 12: they need 525" } else { "" };
    Err(format!(
        "this machine's NVIDIA driver is for CUDA {}, and the kernels of this build are compiled by CUDA {}: install driver {} \
         or a later one{help}",
        named(driver),
        named(compiler),
        first_driver(major),
    ))
}

/// What an error of the driver at loading the kernels means.
pub fn refused(error: DriverError, capability: (i32, i32), driver: u32) -> String {
    let (major, minor) = capability;
    let has = embedded().into_iter().map(|piece| match piece {
        Piece::Compiled(a) => format!("sm_{a}"),
        Piece::Ptx(a, version) => format!("PTX {} of compute_{a}", named(release(version))),
    });
    let has = has.collect::<Vec<_>>().join(", ");
    format!(
        "the driver, for CUDA {}, cannot load the kernels for compute capability {major}.{minor} ({:?}): this build has {has}",
        named(driver),
        error.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_kernels_are_a_fatbin_of_the_architectures_that_the_build_names() {
        let architectures = env!("TEXTFLIGHT_CUDA_ARCHITECTURES").split(' ').map(|a| a.parse().unwrap());
        let expected: Vec<u32> = architectures.collect();
        let found = pieces(image()).unwrap();
        let compiled = |piece: &Piece| match piece {
            Piece::Compiled(architecture) => Some(*architecture),
            Piece::Ptx(..) => None,
        };
        let mut compiled: Vec<u32> = found.iter().filter_map(compiled).collect();
        compiled.sort_unstable();
        assert_eq!(compiled, expected);
        // Behind them PTX of the last one, for whatever comes later.
        let ptx = |piece: &Piece| matches!(piece, Piece::Ptx(architecture, _) if Some(architecture) == expected.last());
        assert!(found.iter().any(ptx), "{found:?}");
        assert!(for_device(&found, *expected.last().unwrap()).is_some());
        assert_eq!(for_device(&found, 999), expected.last().map(|a| Runs::Ptx(*a)));
    }

    #[test]
    fn a_device_runs_the_newest_code_that_it_can() {
        let pieces = [Piece::Compiled(75), Piece::Compiled(80), Piece::Compiled(86), Piece::Ptx(86, 88)];
        let runs = |capability| for_device(&pieces, capability);
        assert_eq!(runs(75), Some(Runs::Compiled(75)));
        assert_eq!(runs(80), Some(Runs::Compiled(80)));
        assert_eq!(runs(87), Some(Runs::Compiled(86)));
        assert_eq!(runs(89), Some(Runs::Compiled(86)));
        assert_eq!(runs(90), Some(Runs::Ptx(86)));
        assert_eq!(runs(70), None);
    }

    #[test]
    fn a_driver_that_is_older_than_the_compiler_is_told() {
        let of = |ptx| [Piece::Compiled(80), Piece::Ptx(80, ptx)];
        assert_eq!([80, 85, 87, 88, 90, 91].map(release), [12_000, 12_050, 12_080, 12_090, 13_000, 13_010]);
        assert_eq!(check(&of(88), 12_000), Ok(()));
        assert_eq!(check(&of(88), 13_000), Ok(()));
        let old = check(&of(88), 11_080).unwrap_err();
        assert!(old.contains("for CUDA 11.8") && old.contains("driver 525") && !old.contains("take a build"), "{old}");
        let old = check(&of(90), 12_040).unwrap_err();
        assert!(old.contains("for CUDA 12.4") && old.contains("driver 580") && old.contains("take a build"), "{old}");
    }

    #[test]
    fn what_is_no_fatbin_has_no_pieces() {
        let whole = image();
        assert_eq!(pieces(b"\x7fELF, and more than a header"), None);
        for cut in [0, 10, 20, 60, whole.len() - 1] {
            assert_eq!(pieces(&whole[..cut]), None, "{cut}");
        }
    }
}
