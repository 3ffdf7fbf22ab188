//! CUDA's libraries, looked up when a GPU is first asked for.

use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::Fault;

unsafe extern "C" {
    /// See `libraries.c`.
    fn textflight_cuda_load(folder: *const c_char) -> *const c_char;
}

/// Loads the driver and CUDA's libraries, from `folder` first, unless that was done.
///
/// # Errors
/// [`Fault::Unavailable`] with the file that is missing and what to do.
pub fn load(folder: Option<&Path>) -> Result<(), Fault> {
    static LOADED: Mutex<bool> = Mutex::new(false);
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if *loaded {
        return Ok(());
    }
    let folder = folder.map(|folder| CString::new(folder.as_os_str().as_encoded_bytes()));
    let folder = folder.transpose().map_err(|e| Fault::Unavailable(format!("the folder of CUDA's libraries: {e}")))?;
    // SAFETY: a path that ends in 0 and outlives the call, or NULL; the lock keeps a second call away.
    let missing = unsafe { textflight_cuda_load(folder.as_deref().map_or(std::ptr::null(), CStr::as_ptr)) };
    if missing.is_null() {
        *loaded = true;
        return Ok(());
    }
    // SAFETY: a constant of the table, which ends in 0.
    let file = unsafe { CStr::from_ptr(missing) }.to_string_lossy();
    Err(Fault::Unavailable(if file.starts_with("libcuda.") {
        format!("no NVIDIA driver was found on this machine ({file})")
    } else {
        format!(
            "{file} was not found: install CUDA's libraries, or name their folder with --cuda-libraries (PyPI's \
             nvidia-cublas and nvidia-curand have them in nvidia/cu13/lib)"
        )
    }))
}
