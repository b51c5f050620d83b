//! Tile-compressed images written to memory.

use std::{
    cell::RefCell,
    ffi::{c_int, c_long, c_void},
    ptr,
};

use fitsio_sys::{
    TFLOAT, ffclos, ffcrim, ffimem, ffppx, fits_set_compression_type, fits_set_dither_seed, fits_set_hcomp_scale,
    fits_set_quantize_level, fits_set_quantize_method, fits_set_tile_dim,
};

use super::{MemoryHandle, check, ready};
use crate::fits::compress::{Algorithm, Compression, Dither};

const RICE_1: c_int = 11;
const HCOMPRESS_1: c_int = 41;

/// A tile-compressed image as the bytes of a FITS file. The caller has checked that the coders have room: see
/// [`crate::fits::compress`].
pub(in crate::fits) fn compress(pixels: &[f32], shape: &[usize], how: &Compression) -> Result<Vec<u8>, String> {
    assert_eq!(shape.iter().product::<usize>(), pixels.len(), "pixels fill the axes");
    ready();
    let file = GrowingFile::create()?;
    let mut lengths: Vec<c_long> = shape.iter().rev().map(|length| *length as c_long).collect();
    let axes = c_int::try_from(lengths.len()).map_err(|_| "has too many axes".to_owned())?;
    let (algorithm, scale) = match how.algorithm {
        Algorithm::Rice => (RICE_1, 0.0),
        Algorithm::Hcompress { scale } => (HCOMPRESS_1, scale),
    };
    let (dither, seed) = match how.dither {
        Dither::None => (-1, 1),
        Dither::Subtractive1 { seed } => (1, c_int::from(seed)),
        Dither::Subtractive2 { seed } => (2, c_int::from(seed)),
    };
    // A tile is a row; the coder of HCOMPRESS requires two axes, so its tile is a plane.
    let mut tile = vec![1; lengths.len()];
    tile[0] = lengths[0];
    if let (Algorithm::Hcompress { .. }, [_, height, ..]) = (how.algorithm, lengths.as_slice()) {
        tile[1] = *height;
    }
    const FLOAT_IMG: c_int = -32;
    let mut first = vec![1 as c_long; lengths.len()];
    let mut status = 0;
    // SAFETY: the handle is open for writing and on no other thread. `lengths`, `tile` and `first` have `axes` numbers each and
    // outlive the calls. cfitsio copies `pixels.len()` float32, which is the type TFLOAT, out of the array before it changes
    // them: the cast to a mutable pointer replaces a missing `const`.
    unsafe {
        fits_set_compression_type(file.0.fits, algorithm, &mut status);
        fits_set_tile_dim(file.0.fits, axes, tile.as_mut_ptr(), &mut status);
        fits_set_quantize_level(file.0.fits, how.quantize_level, &mut status);
        fits_set_quantize_method(file.0.fits, dither, &mut status);
        fits_set_dither_seed(file.0.fits, seed, &mut status);
        fits_set_hcomp_scale(file.0.fits, scale, &mut status);
        ffcrim(file.0.fits, FLOAT_IMG, axes, lengths.as_mut_ptr(), &mut status);
        let array = pixels.as_ptr().cast_mut().cast();
        ffppx(file.0.fits, TFLOAT as c_int, first.as_mut_ptr(), pixels.len() as i64, array, &mut status);
    }
    check(status)?;
    file.close()
}

thread_local! {
    /// The file that this thread writes.
    static FILE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Enlarges the file of this thread. A panic (out of memory) aborts, because it must not unwind through C.
unsafe extern "C" fn grow(_: *mut c_void, size: usize) -> *mut c_void {
    FILE.with_borrow_mut(|file| {
        file.resize(size, 0);
        file.as_mut_ptr().cast()
    })
}

/// A file that is written into the memory of this thread.
pub(super) struct GrowingFile(pub(super) MemoryHandle);

impl GrowingFile {
    pub(super) fn create() -> Result<Self, String> {
        const START: usize = 20 * 2880;
        let start = FILE.with_borrow_mut(|file| {
            file.clear();
            file.resize(START, 0);
            file.as_mut_ptr().cast::<c_void>()
        });
        // SAFETY: the address is that of the vector of this thread, which has as many bytes as stated, all of them zero; until the
        // file is closed only `grow` changes the vector, and cfitsio takes the address that `grow` returns. cfitsio does not free
        // the bytes when it closes the file.
        MemoryHandle::open(start, START, |fits, address, size, status| unsafe {
            ffimem(fits, address, size, START, Some(grow), status);
        })
        .map(Self)
    }

    /// The bytes, after all of them are written.
    pub(super) fn close(mut self) -> Result<Vec<u8>, String> {
        let mut status = 0;
        // SAFETY: the handle is open, and null after this.
        unsafe { ffclos(std::mem::replace(&mut self.0.fits, ptr::null_mut()), &mut status) };
        check(status)?;
        Ok(FILE.take())
    }
}
