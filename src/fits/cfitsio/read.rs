//! Images read from a FITS file in memory.

use std::{
    ffi::{c_int, c_void},
    marker::PhantomData,
    ptr,
};

use fitsio_sys::{TFLOAT, ffclos, ffgidm, ffgiszll, ffgpv, ffmahd, ffomem, fitsfile};

use super::{check, ready};

/// The pixels of an HDU (counted from 0) of a FITS file in memory, as float32, in the order of the file.
///
/// With `blank_is_nan` cfitsio replaces undefined pixels by NaN; without it the bits of float pixels are kept.
pub(in crate::fits) fn image(
    file: &mut [u8],
    hdu: usize,
    shape: &[usize],
    blank_is_nan: bool,
) -> Result<Vec<f32>, String> {
    let handle = MemoryFile::open(file)?;
    let mut status = 0;
    let number = c_int::try_from(hdu + 1).map_err(|_| "has too many HDUs".to_owned())?;
    // SAFETY: the handle is open; a null pointer is allowed for the type of the HDU.
    unsafe { ffmahd(handle.fits, number, ptr::null_mut(), &mut status) };
    check(status)?;
    handle.expect_shape(shape)?;
    let pixels: usize = shape.iter().product();
    let mut out = vec![0f32; pixels];
    let mut undefined = if blank_is_nan { f32::NAN } else { 0.0 };
    let mut any_undefined = 0;
    // SAFETY: the handle is open on an image of exactly `shape` (checked above), so `pixels` pixels, counted from 1, exist;
    // `out` has room for as many float32, which is the type TFLOAT; `undefined` is a float32, as TFLOAT requires; it and the
    // two integers outlive the call.
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

/// An open file in memory. It borrows the bytes for as long as cfitsio may read them.
struct MemoryFile<'a> {
    fits: *mut fitsfile,
    /// The address and size of the bytes. cfitsio keeps pointers to both, so they are in a box, which does not move.
    memory: *mut (*mut c_void, usize),
    _bytes: PhantomData<&'a mut [u8]>,
}

impl<'a> MemoryFile<'a> {
    fn open(file: &'a mut [u8]) -> Result<Self, String> {
        ready();
        let mut fits = ptr::null_mut();
        let mut status = 0;
        let memory = Box::into_raw(Box::new((file.as_mut_ptr().cast::<c_void>(), file.len())));
        const READ_ONLY: c_int = 0;
        // SAFETY: the name is a constant without any of cfitsio's syntax; the pointers to address and size point into
        // `memory`, which is freed only after the file is closed, and the bytes live longer ('a). Opened read-only and without
        // a function to reallocate, cfitsio neither writes to the bytes nor frees them.
        unsafe {
            let (address, size) = (&raw mut (*memory).0, &raw mut (*memory).1);
            ffomem(&mut fits, c"memory".as_ptr(), READ_ONLY, address, size, 0, None, &mut status);
        }
        let handle = Self { fits, memory, _bytes: PhantomData };
        check(status)?;
        if fits.is_null() {
            return Err("cfitsio returned no file".into());
        }
        Ok(handle)
    }

    fn expect_shape(&self, shape: &[usize]) -> Result<(), String> {
        let mut status = 0;
        let mut axes = 0;
        let mut lengths = [0i64; 16];
        // SAFETY: the handle is open, and `lengths` has room for 16 numbers, the most that the call is allowed to write.
        unsafe {
            ffgidm(self.fits, &mut axes, &mut status);
            ffgiszll(self.fits, lengths.len() as c_int, lengths.as_mut_ptr(), &mut status);
        }
        check(status)?;
        let found = lengths.iter().take(usize::try_from(axes).unwrap_or(0)).rev().map(|length| *length as usize);
        if axes as usize > lengths.len() || !found.eq(shape.iter().copied()) {
            return Err(format!("has another shape in cfitsio than {shape:?}"));
        }
        Ok(())
    }
}

impl Drop for MemoryFile<'_> {
    fn drop(&mut self) {
        let mut status = 0;
        // SAFETY: the handle is open or (if opening failed) null, and is not used after this; `memory` was made by
        // `Box::into_raw`, and cfitsio does not use it once the file is closed.
        unsafe {
            if !self.fits.is_null() {
                ffclos(self.fits, &mut status);
            }
            drop(Box::from_raw(self.memory));
        }
    }
}
