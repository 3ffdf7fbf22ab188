//! CUDA's libraries, looked up when a GPU is first asked for.

use std::ffi::{CStr, CString, c_char, c_int};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use cudarc::driver::sys;

use super::functions::check_driver;
use crate::Fault;

unsafe extern "C" {
    /// See `libraries.c`.
    fn textflight_cuda_load(number: usize, folder: *const c_char, file: *const c_char) -> c_int;
}

/// By their numbers in `build.rs`.
#[derive(Clone, Copy)]
enum Library {
    Driver = 0,
    CublasLt = 1,
}

/// Where libraries are looked for: a folder that was named, then where the system has them.
struct Folders(Vec<Option<CString>>);

impl Folders {
    fn new(named: Option<&Path>) -> Result<Self, Fault> {
        let named = named.map(|folder| CString::new(folder.as_os_str().as_encoded_bytes()));
        let named =
            named.transpose().map_err(|e| Fault::Unavailable(format!("the folder of CUDA's libraries: {e}")))?;
        Ok(Self(named.map(Some).into_iter().chain([None]).collect()))
    }

    /// Loads a library out of the first folder that has one of its files, of which the first is taken. False if none has.
    fn load(&self, library: Library, files: &[&CStr]) -> bool {
        self.0.iter().any(|folder| {
            let folder = folder.as_deref().map_or(std::ptr::null(), CStr::as_ptr);
            // SAFETY: paths that end in 0 and outlive the call, or NULL; `load` below lets no second call run beside.
            files.iter().any(|file| unsafe { textflight_cuda_load(library as usize, folder, file.as_ptr()) != 0 })
        })
    }
}

/// Loads the driver and CUDA's libraries, from `folder` first, unless that was done.
///
/// # Errors
/// [`Fault::Unavailable`] with what is missing, or too old, and what to do.
pub fn load(folder: Option<&Path>) -> Result<(), Fault> {
    static LOADED: Mutex<bool> = Mutex::new(false);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if !*loaded {
        let folders = Folders::new(folder)?;
        if !folders.load(Library::Driver, &[c"libcuda.so.1"]) {
            let text = "no NVIDIA driver was found on this machine (libcuda.so.1)".to_owned();
            return Err(Fault::Unavailable(text));
        }
        let driver = driver_version();
        check_driver(driver).map_err(Fault::Unavailable)?;
        load_products(&folders, driver)?;
        *loaded = true;
    }
    Ok(())
}

/// The newest release of CUDA that the driver takes: 12080 for 12.8. Zero where it does not say.
pub fn driver_version() -> u32 {
    let mut version = 0;
    // SAFETY: it writes an integer, and may be called before everything else.
    let status = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    if status == sys::CUresult::CUDA_SUCCESS { version.unsigned_abs() } else { 0 }
}

/// cuBLASLt of CUDA 13 or 12, whichever there is and the driver takes.
fn load_products(folders: &Folders, driver: u32) -> Result<(), Fault> {
    let of_13 = driver >= 13_000;
    let files = [c"libcublasLt.so.13", c"libcublasLt.so.12"];
    if folders.load(Library::CublasLt, if of_13 { &files } else { &files[1..] }) {
        return Ok(());
    }
    let file = if of_13 { "libcublasLt.so.13 or libcublasLt.so.12" } else { "libcublasLt.so.12" };
    Err(Fault::Unavailable(format!(
        "{file} was not found: install CUDA's libraries, or name their folder with --cuda-libraries (the driver is for CUDA \
         {}.{}; PyPI's nvidia-cublas has them in nvidia/cu13/lib, nvidia-cublas-cu12, for CUDA 12, in nvidia/cublas/lib)",
        driver / 1000,
        driver % 1000 / 10
    )))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;

    /// The emulator reads its settings once a process.
    #[test]
    fn a_driver_that_is_too_old_is_refused() {
        let mut alone = Command::new(std::env::current_exe().unwrap());
        alone.args(["--exact", "cuda::libraries::tests::with_an_old_driver", "--ignored"]);
        let done = alone.env("TEXTFLIGHT_EMULATOR_DRIVER", "11080").output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains("1 passed"), "{said}");
    }

    #[test]
    #[ignore = "in a process of its own: see above"]
    fn with_an_old_driver() {
        let Some(folder) = std::env::var_os("TEXTFLIGHT_CUDA_LIBRARIES").map(PathBuf::from) else { return };
        let text = load(Some(&folder)).unwrap_err().to_string();
        assert!(text.contains("driver is for CUDA 11.8") && text.contains("install driver"), "{text}");
        assert_eq!(driver_version(), 11_080);
    }
}
