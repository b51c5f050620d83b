//! The encoders of cfitsio, and the only `unsafe` code of the crate. They work on bytes in memory, never on file names: those are a
//! language, in which `a.fits[1][col x]`, `!a.fits`, `ftp://...` or `-` select, filter, overwrite, download or read a pipe.
//!
//! The bundled cfitsio is compiled reentrant: one lock guards its table of open files (10,000 of them), its messages, and the coder
//! of HCOMPRESS. Three things it does not guard, and they are handled here: the library is set up, and its table of dither values
//! filled, before any thread can use them ([`ready`]); a handle stays on the thread that made it; and a file is written into our
//! own memory (that of cfitsio, `mem://`, loses its address when two threads close and create at once).
#![allow(unsafe_code, reason = "cfitsio is C; every call has its proof beside it")]

#[cfg(test)]
pub(super) mod oracle;
mod statistics;
mod write;

use std::{
    ffi::{CStr, c_char, c_int, c_long, c_void},
    ptr,
    sync::Once,
};

use fitsio_sys::{ffclos, ffgerr, fitsfile};

pub(super) use self::{statistics::statistics, write::compress};

unsafe extern "C" {
    /// Registers the drivers; returns at once if that was done.
    fn fits_init_cfitsio() -> c_int;
    /// Fills the table of dither values; returns at once if that was done.
    fn fits_init_randoms() -> c_int;
}

/// Sets the library up, once. cfitsio sets itself up on first use, but tests without its lock whether it has to: a second thread
/// would use the table of dither values as soon as it is allocated, before it is filled.
fn ready() {
    static READY: Once = Once::new();
    // SAFETY: both functions have no arguments and lock what they write; `Once` makes every thread wait for the first call and
    // see all that it wrote.
    READY.call_once(|| unsafe {
        fits_init_cfitsio();
        fits_init_randoms();
    });
}

/// The text of a cfitsio status.
fn check(status: c_int) -> Result<(), String> {
    if status == 0 {
        return Ok(());
    }
    let mut text = [0 as c_char; 64];
    // SAFETY: cfitsio writes at most 31 characters and a zero.
    let message = unsafe {
        ffgerr(status, text.as_mut_ptr());
        CStr::from_ptr(text.as_ptr())
    };
    Err(format!("{} (cfitsio status {status})", message.to_string_lossy()))
}

/// An open file in memory.
struct MemoryHandle {
    fits: *mut fitsfile,
    /// The address and size of the bytes. cfitsio keeps pointers to both, so they are in a box, which does not move.
    memory: *mut (*mut c_void, usize),
}

impl MemoryHandle {
    /// Opens a file of `size` bytes at an address by a call of cfitsio, which gets pointers to the handle, the address, the size, and
    /// the status.
    fn open(
        address: *mut c_void,
        size: usize,
        call: impl FnOnce(*mut *mut fitsfile, *mut *mut c_void, *mut usize, *mut c_int),
    ) -> Result<Self, String> {
        let mut file = Self { fits: ptr::null_mut(), memory: Box::into_raw(Box::new((address, size))) };
        let mut status = 0;
        // SAFETY: `memory` was just made and is freed only after the file is closed.
        let (address, size) = unsafe { (&raw mut (*file.memory).0, &raw mut (*file.memory).1) };
        call(&raw mut file.fits, address, size, &raw mut status);
        check(status)?;
        if file.fits.is_null() {
            return Err("cfitsio returned no file".into());
        }
        Ok(file)
    }
}

impl Drop for MemoryHandle {
    fn drop(&mut self) {
        let mut status = 0;
        // SAFETY: the handle is open or null, and is not used after this; `memory` was made by `Box::into_raw`, and cfitsio does
        // not use it once the file is closed.
        unsafe {
            if !self.fits.is_null() {
                ffclos(self.fits, &mut status);
            }
            drop(Box::from_raw(self.memory));
        }
    }
}

const _: () = assert!(size_of::<c_long>() == 8, "the bindings are those of a 64-bit system");
