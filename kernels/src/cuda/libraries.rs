//! CUDA's libraries, looked up when a GPU is first asked for.

use std::ffi::{CStr, CString, c_char, c_int};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::sys;

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
    Cublas = 1,
    CublasLt = 2,
    Curand = 3,
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

    /// Loads each of these files, all out of one folder. False if no folder has them.
    fn load(&self, files: &[(Library, &CStr)]) -> bool {
        self.0.iter().any(|folder| {
            let folder = folder.as_deref().map_or(std::ptr::null(), CStr::as_ptr);
            files.iter().all(|(library, file)| {
                // SAFETY: paths that end in 0 and outlive the call, or NULL; `load` below lets no second call run beside.
                unsafe { textflight_cuda_load(*library as usize, folder, file.as_ptr()) != 0 }
            })
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
        if !folders.load(&[(Library::Driver, c"libcuda.so.1")]) {
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

/// The newest release of CUDA that the driver takes: 12_080 for 12.8. Zero where it does not say.
pub fn driver_version() -> u32 {
    let mut version = 0;
    // SAFETY: it writes an integer, and may be called before everything else.
    let status = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    if status == sys::CUresult::CUDA_SUCCESS { version.unsigned_abs() } else { 0 }
}

/// cuBLAS and cuBLASLt of CUDA 13 or 12, whichever there is and the driver takes, and cuRAND, which both have alike.
fn load_products(folders: &Folders, driver: u32) -> Result<(), Fault> {
    let of_13 = [(Library::CublasLt, c"libcublasLt.so.13"), (Library::Cublas, c"libcublas.so.13")];
    let of_12 = [(Library::CublasLt, c"libcublasLt.so.12"), (Library::Cublas, c"libcublas.so.12")];
    let new = driver >= 13_000;
    if !(new && folders.load(&of_13) || folders.load(&of_12)) {
        return Err(missing(if new { "libcublas.so.13 or libcublas.so.12" } else { "libcublas.so.12" }, driver));
    }
    if !folders.load(&[(Library::Curand, c"libcurand.so.10")]) {
        return Err(missing("libcurand.so.10", driver));
    }
    Ok(())
}

fn missing(file: &str, driver: u32) -> Fault {
    Fault::Unavailable(format!(
        "{file} was not found: install CUDA's libraries, or name their folder with --cuda-libraries (the driver is for CUDA \
         {}.{}; PyPI's nvidia-cublas and nvidia-curand have them in nvidia/cu13/lib, those of CUDA 12, nvidia-cublas-cu12 \
         and nvidia-curand-cu12, in nvidia/cublas/lib and nvidia/curand/lib)",
        driver / 1000,
        driver % 1000 / 10
    ))
}
