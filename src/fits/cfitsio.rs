//! The decoders of cfitsio, and the only `unsafe` of the crate. It is given bytes in memory, never a file's name.
#![allow(unsafe_code, reason = "cfitsio is C; every call has its proof beside it")]

use std::{
    ffi::{CStr, c_char, c_int, c_long, c_void},
    ptr,
};

use fitsio_sys::{TFLOAT, ffclos, ffgerr, ffgidm, ffgiszll, ffgpv, ffmahd, ffomem, fitsfile};

/// The pixels of a unit (counted from 0) of a FITS file in memory, as float32, in the order of the file.
///
/// `blank_is_nan` lets cfitsio put NaN for undefined pixels; without it the bits of float pixels stay as they are.
pub(super) fn image(file: &mut [u8], unit: usize, shape: &[usize], blank_is_nan: bool) -> Result<Vec<f32>, String> {
    let handle = Handle::open(file)?;
    let mut status = 0;
    let number = c_int::try_from(unit + 1).map_err(|_| "has too many units".to_owned())?;
    // SAFETY: the handle is open; a null pointer for the type of the unit is allowed.
    unsafe { ffmahd(handle.fits, number, ptr::null_mut(), &mut status) };
    check(status)?;
    handle.expect_shape(shape)?;
    let pixels: usize = shape.iter().product();
    let mut out = vec![0f32; pixels];
    let mut undefined = if blank_is_nan { f32::NAN } else { 0.0 };
    let mut any_undefined = 0;
    // SAFETY: the handle is open on an image of exactly `shape` (checked above), so that `pixels` of them, counted
    // from 1, exist; `out` has room for as many float32, which is what TFLOAT means; `undefined` is a float32 as TFLOAT
    // wants it, and it and the two integers outlive the call.
    unsafe {
        ffgpv(
            handle.fits,
            TFLOAT as c_int,
            1,
            pixels as i64,
            (&raw mut undefined).cast(),
            out.as_mut_ptr().cast(),
            &mut any_undefined,
            &mut status,
        );
    }
    check(status)?;
    Ok(out)
}

/// An open file in memory; it borrows the bytes for as long as cfitsio may look at them.
struct Handle<'a> {
    fits: *mut fitsfile,
    /// What cfitsio was given pointers to: where the bytes are and how many. It comes of a box, and stays where it is.
    memory: *mut (*mut c_void, usize),
    _bytes: std::marker::PhantomData<&'a mut [u8]>,
}

impl<'a> Handle<'a> {
    fn open(file: &'a mut [u8]) -> Result<Self, String> {
        let mut fits = ptr::null_mut();
        let mut status = 0;
        let memory = Box::into_raw(Box::new((file.as_mut_ptr().cast::<c_void>(), file.len())));
        const READ_ONLY: c_int = 0;
        // SAFETY: the name is a constant without any of cfitsio's syntax; the pointers to address and size are into
        // `memory`, which is freed only after the file was closed, and the bytes live longer ('a). Read-only and without
        // a function to reallocate, cfitsio neither writes to the bytes nor frees them.
        unsafe {
            let (address, size) = (&raw mut (*memory).0, &raw mut (*memory).1);
            ffomem(&mut fits, c"memory".as_ptr(), READ_ONLY, address, size, 0, None, &mut status);
        }
        let handle = Self { fits, memory, _bytes: std::marker::PhantomData };
        check(status)?;
        if fits.is_null() {
            return Err("cfitsio opened nothing".into());
        }
        Ok(handle)
    }

    fn expect_shape(&self, shape: &[usize]) -> Result<(), String> {
        let mut status = 0;
        let mut axes = 0;
        let mut lengths = [0i64; 16];
        // SAFETY: the handle is open, and `lengths` has room for the 16 numbers that the call is told of at most.
        unsafe {
            ffgidm(self.fits, &mut axes, &mut status);
            ffgiszll(self.fits, lengths.len() as c_int, lengths.as_mut_ptr(), &mut status);
        }
        check(status)?;
        let found = lengths.iter().take(usize::try_from(axes).unwrap_or(0)).rev().map(|length| *length as usize);
        if axes as usize > lengths.len() || !found.eq(shape.iter().copied()) {
            return Err(format!("is no image of the shape {shape:?} to cfitsio"));
        }
        Ok(())
    }
}

impl Drop for Handle<'_> {
    fn drop(&mut self) {
        let mut status = 0;
        // SAFETY: the handle is open or (when opening failed) null, and nothing uses it after this; `memory` comes of a
        // box, and cfitsio has no use for it once the file is closed.
        unsafe {
            if !self.fits.is_null() {
                ffclos(self.fits, &mut status);
            }
            drop(Box::from_raw(self.memory));
        }
    }
}

fn check(status: c_int) -> Result<(), String> {
    if status == 0 {
        return Ok(());
    }
    let mut text = [0 as c_char; 64];
    // SAFETY: cfitsio writes at most 31 letters and a zero.
    let said = unsafe {
        ffgerr(status, text.as_mut_ptr());
        CStr::from_ptr(text.as_ptr())
    };
    Err(format!("cannot be decoded: {} (cfitsio status {status})", said.to_string_lossy()))
}

const _: () = assert!(size_of::<c_long>() == 8, "the bindings are those of a 64-bit system");
