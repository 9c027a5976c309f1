//! Asks a shared library which ONNX Runtime it is, before anything relies on it.

use std::ffi::CStr;
use std::path::Path;

use libloading::{Library, Symbol};
use ort::sys::{ORT_API_VERSION, OrtApiBase};

/// The version of the library at `path`, such as `1.31.1`, or why it can't be used.
///
/// The library stays loaded for the life of the process: its threads and exit handlers do not survive unloading.
#[allow(unsafe_code)]
pub(super) fn version(path: &Path) -> Result<String, String> {
    // SAFETY: loading runs the initialisers of the library, which is what the user asked for by naming or installing it; the
    // file has been checked to be whole.
    let library = unsafe { Library::new(path) }.map_err(|error| error.to_string())?;
    let library: &'static Library = Box::leak(Box::new(library));
    // SAFETY: every release of ONNX Runtime exports this function with this signature, and no other library is known to
    // export the name.
    let base: Symbol<'_, unsafe extern "C" fn() -> *const OrtApiBase> =
        unsafe { library.get(b"OrtGetApiBase\0") }
            .map_err(|_| "it is another library: it lacks `OrtGetApiBase`".to_string())?;
    // SAFETY: the function takes nothing and returns a table that lives as long as the library, or null.
    let base = unsafe { base().as_ref() }.ok_or("it gives no interface")?;
    // SAFETY: the first two entries of the table have been the same since the first release; the string is a constant.
    let version = unsafe { CStr::from_ptr((base.GetVersionString)()) }.to_string_lossy().into_owned();
    // SAFETY: as above. A version that is not offered gives null.
    if unsafe { (base.GetApi)(ORT_API_VERSION) }.is_null() {
        return Err(format!("it is version {version}, and 1.{ORT_API_VERSION} or later is needed"));
    }
    Ok(version)
}
