//! What cfitsio reads and writes, for comparison in tests.

use std::{
    ffi::{c_int, c_long},
    marker::PhantomData,
    ptr,
};

use fitsio_sys::{
    TBYTE, TDOUBLE, TFLOAT, TINT, TSHORT, TUSHORT, ffcrim, ffgidm, ffgiszll, ffgpv, ffgsv, ffmahd, ffomem, ffppx,
    fits_set_compression_type, fits_set_dither_seed, fits_set_hcomp_scale, fits_set_hcomp_smooth,
    fits_set_quantize_level, fits_set_quantize_method, fits_set_tile_dim,
};

use super::{MemoryHandle, check, ready, write::GrowingFile};

/// The pixels of an HDU (counted from 0) of a FITS file in memory, as float32, in the order of the file.
///
/// With `blank_is_nan` cfitsio replaces undefined pixels by NaN; without it the bits of float pixels are kept.
pub(in crate::fits) fn image(
    file: &mut [u8],
    hdu: usize,
    shape: &[usize],
    blank_is_nan: bool,
) -> Result<Vec<f32>, String> {
    let file = MemoryFile::open(file)?;
    let mut status = 0;
    let number = c_int::try_from(hdu + 1).map_err(|_| "has too many HDUs".to_owned())?;
    // SAFETY: the handle is open; a null pointer is allowed for the type of the HDU.
    unsafe { ffmahd(file.handle.fits, number, ptr::null_mut(), &mut status) };
    check(status)?;
    file.expect_shape(shape)?;
    let pixels: usize = shape.iter().product();
    let mut out = vec![0f32; pixels];
    let mut undefined = if blank_is_nan { f32::NAN } else { 0.0 };
    let mut any_undefined = 0;
    let lengths: Vec<c_long> = shape.iter().rev().map(|length| *length as c_long).collect();
    let ones = vec![1; shape.len()];
    // SAFETY: the handle is open on an image of exactly `shape` (checked above), so `pixels` pixels, counted from 1, exist; the
    // corners and steps have a number for each axis, and the calls do not write to them; `out` has room for as many float32,
    // which is the type TFLOAT; `undefined` is a float32, as TFLOAT requires; it and the two integers outlive the call.
    unsafe {
        let (undefined, out) = ((&raw mut undefined).cast(), out.as_mut_ptr().cast());
        if shape.len() <= 3 {
            ffgpv(file.handle.fits, TFLOAT as c_int, 1, pixels as i64, undefined, out, &mut any_undefined, &mut status);
        } else {
            // The other call reads compressed images of three axes at most.
            let (one, last) = (ones.as_ptr().cast_mut(), lengths.as_ptr().cast_mut());
            ffgsv(file.handle.fits, TFLOAT as c_int, one, last, one, undefined, out, &mut any_undefined, &mut status);
        }
    }
    check(status)?;
    Ok(out)
}

/// An open file in memory. It borrows the bytes for as long as cfitsio may read them.
struct MemoryFile<'a> {
    handle: MemoryHandle,
    _bytes: PhantomData<&'a mut [u8]>,
}

impl<'a> MemoryFile<'a> {
    fn open(file: &'a mut [u8]) -> Result<Self, String> {
        ready();
        const READ_ONLY: c_int = 0;
        // SAFETY: the name is a constant without any of cfitsio's syntax; the bytes live longer than the file ('a). Opened
        // read-only and without a function to reallocate, cfitsio neither writes to the bytes nor frees them.
        let handle = MemoryHandle::open(file.as_mut_ptr().cast(), file.len(), |fits, address, size, status| unsafe {
            ffomem(fits, c"memory".as_ptr(), READ_ONLY, address, size, 0, None, status);
        })?;
        Ok(Self { handle, _bytes: PhantomData })
    }

    fn expect_shape(&self, shape: &[usize]) -> Result<(), String> {
        let mut status = 0;
        let mut axes = 0;
        let mut lengths = [0i64; 16];
        // SAFETY: the handle is open, and `lengths` has room for 16 numbers, the most that the call is allowed to write.
        unsafe {
            ffgidm(self.handle.fits, &mut axes, &mut status);
            ffgiszll(self.handle.fits, lengths.len() as c_int, lengths.as_mut_ptr(), &mut status);
        }
        check(status)?;
        let found = lengths.iter().take(usize::try_from(axes).unwrap_or(0)).rev().map(|length| *length as usize);
        if axes as usize > lengths.len() || !found.eq(shape.iter().copied()) {
            return Err(format!("has another shape in cfitsio than {shape:?}"));
        }
        Ok(())
    }
}

/// A tile-compressed image that cfitsio writes.
#[derive(Debug, Clone)]
pub(in crate::fits) struct TiledImage {
    /// 8, 16, 20 (unsigned 16), 32, -32 or -64.
    pub(in crate::fits) bitpix: c_int,
    /// The axes of the image and of a tile, slowest first.
    pub(in crate::fits) shape: Vec<usize>,
    pub(in crate::fits) tile: Vec<usize>,
    /// 11 Rice, 21 and 22 GZIP, 31 PLIO, 41 HCOMPRESS, -1 none.
    pub(in crate::fits) algorithm: c_int,
    /// The quantisation of floats, -1 (none), 1 or 2 for the dither, and its seed.
    pub(in crate::fits) level: f32,
    pub(in crate::fits) dither: c_int,
    pub(in crate::fits) seed: c_int,
    /// The scale of HCOMPRESS, and whether it is smoothed.
    pub(in crate::fits) scale: f32,
    pub(in crate::fits) smooth: bool,
}

/// The bytes of a FITS file whose second HDU is this image. Pixels have to be numbers of the type.
pub(in crate::fits) fn write(image: &TiledImage, pixels: &[f64]) -> Result<Vec<u8>, String> {
    assert_eq!(image.shape.iter().product::<usize>(), pixels.len(), "pixels fill the axes");
    let native = |bytes: &dyn Fn(f64) -> Vec<u8>| pixels.iter().flat_map(|pixel| bytes(*pixel)).collect();
    let (datatype, mut bytes): (c_int, Vec<u8>) = match image.bitpix {
        8 => (TBYTE as c_int, native(&|pixel| vec![pixel as u8])),
        16 => (TSHORT as c_int, native(&|pixel| (pixel as i16).to_ne_bytes().to_vec())),
        20 => (TUSHORT as c_int, native(&|pixel| (pixel as u16).to_ne_bytes().to_vec())),
        32 => (TINT as c_int, native(&|pixel| (pixel as i32).to_ne_bytes().to_vec())),
        -32 => (TFLOAT as c_int, native(&|pixel| (pixel as f32).to_ne_bytes().to_vec())),
        _ => (TDOUBLE as c_int, native(&|pixel| pixel.to_ne_bytes().to_vec())),
    };
    let longs = |axes: &[usize]| axes.iter().rev().map(|length| *length as c_long).collect::<Vec<_>>();
    let (mut lengths, mut tile, mut first) = (longs(&image.shape), longs(&image.tile), vec![1; image.shape.len()]);
    let axes = lengths.len() as c_int;
    ready();
    let file = GrowingFile::create()?;
    let mut status = 0;
    // SAFETY: the handle is open for writing and on no other thread. `lengths`, `tile` and `first` have `axes` numbers each,
    // `bytes` has as many numbers of the type as the image has pixels, and all outlive the calls.
    unsafe {
        fits_set_compression_type(file.0.fits, image.algorithm, &mut status);
        fits_set_tile_dim(file.0.fits, axes, tile.as_mut_ptr(), &mut status);
        fits_set_quantize_level(file.0.fits, image.level, &mut status);
        fits_set_quantize_method(file.0.fits, image.dither, &mut status);
        fits_set_dither_seed(file.0.fits, image.seed, &mut status);
        fits_set_hcomp_scale(file.0.fits, image.scale, &mut status);
        fits_set_hcomp_smooth(file.0.fits, image.smooth.into(), &mut status);
        ffcrim(file.0.fits, image.bitpix, axes, lengths.as_mut_ptr(), &mut status);
        let (first, array) = (first.as_mut_ptr(), bytes.as_mut_ptr().cast());
        ffppx(file.0.fits, datatype, first, pixels.len() as i64, array, &mut status);
    }
    check(status)?;
    file.close()
}
