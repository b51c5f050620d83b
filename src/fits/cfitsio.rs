//! The decoders and encoders of cfitsio, and the only `unsafe` of the crate. It is given bytes in memory, never a file's name.
//!
//! The bundled cfitsio is built reentrant: its tables of open files (10,000 of them), its messages, the coder of HCOMPRESS and
//! its decoder work under one lock. Three things do not, and are seen to here: the library is set up and the table of dither
//! values is filled before any thread may ask for them ([`ready`]); a handle stays on the thread that made it; and a file being
//! written lies in memory of ours (cfitsio's own, `mem://`, loses its address when two threads close and create at once).
#![allow(unsafe_code, reason = "cfitsio is C; every call has its proof beside it")]

use std::{
    cell::RefCell,
    ffi::{CStr, c_char, c_int, c_long, c_void},
    ptr,
    sync::Once,
};

use fitsio_sys::{
    TFLOAT, ffclos, ffcrim, ffgerr, ffgidm, ffgiszll, ffgpv, ffimem, ffmahd, ffomem, ffppx, fits_img_stats_float,
    fits_set_compression_type, fits_set_dither_seed, fits_set_hcomp_scale, fits_set_quantize_level,
    fits_set_quantize_method, fits_set_tile_dim, fitsfile,
};

use super::compress::{Algorithm, Compression, Dither};

unsafe extern "C" {
    /// Registers the drivers; returns at once when that was done.
    fn fits_init_cfitsio() -> c_int;
    /// Fills the table of dither values; returns at once when there is one.
    fn fits_init_randoms() -> c_int;
}

/// Sets the library up, once. cfitsio does so itself when first needed, but asks whether it has to without its lock: a second
/// thread would take the table of dither values as soon as it is allocated, before it is filled.
fn ready() {
    static READY: Once = Once::new();
    // SAFETY: both take no argument and lock what they write; `Once` lets every thread wait for the first and see all it wrote.
    READY.call_once(|| unsafe {
        fits_init_cfitsio();
        fits_init_randoms();
    });
}

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
        ready();
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

/// A tile-compressed image as a FITS file in memory. The caller has made sure that the coders have room: see [`super::compress`].
pub(super) fn compress(pixels: &[f32], shape: &[usize], how: &Compression) -> Result<Vec<u8>, String> {
    assert_eq!(shape.iter().product::<usize>(), pixels.len(), "pixels fill the axes");
    ready();
    let file = Written::create()?;
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
    // A row in a tile; the coder of HCOMPRESS wants two axes, and gets a whole plane.
    let mut tile = vec![1; lengths.len()];
    tile[0] = lengths[0];
    if let (Algorithm::Hcompress { .. }, [_, height, ..]) = (how.algorithm, lengths.as_slice()) {
        tile[1] = *height;
    }
    const FLOAT_IMG: c_int = -32;
    let mut first = vec![1 as c_long; lengths.len()];
    let mut status = 0;
    // SAFETY: the handle is open for writing and on no other thread. `lengths`, `tile` and `first` have `axes` numbers each and
    // outlive the calls. cfitsio copies `pixels.len()` float32, which is what TFLOAT means, out of the array before it changes
    // them: the cast to a mutable pointer is its missing `const`.
    unsafe {
        fits_set_compression_type(file.fits, algorithm, &mut status);
        fits_set_tile_dim(file.fits, axes, tile.as_mut_ptr(), &mut status);
        fits_set_quantize_level(file.fits, how.quantize_level, &mut status);
        fits_set_quantize_method(file.fits, dither, &mut status);
        fits_set_dither_seed(file.fits, seed, &mut status);
        fits_set_hcomp_scale(file.fits, scale, &mut status);
        ffcrim(file.fits, FLOAT_IMG, axes, lengths.as_mut_ptr(), &mut status);
        let array = pixels.as_ptr().cast_mut().cast();
        ffppx(file.fits, TFLOAT as c_int, first.as_mut_ptr(), pixels.len() as i64, array, &mut status);
    }
    check(status)?;
    file.close()
}

const RICE_1: c_int = 11;
const HCOMPRESS_1: c_int = 41;

/// Least and greatest pixel of a plane and the noise that cfitsio finds in it: the least of its three estimates that is not 0.
pub(super) fn noise(plane: &[f32], width: usize) -> Result<(f32, f32, f64), String> {
    let (mut low, mut high, mut second, mut third, mut fifth) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let mut status = 0;
    let rows = plane.len() / width;
    // SAFETY: the array has `width * rows` float32 or more, and is only read (its missing `const` again); the five numbers
    // outlive the call, and null pointers are allowed for what is not asked for.
    unsafe {
        fits_img_stats_float(
            plane.as_ptr().cast_mut(),
            width as c_long,
            rows as c_long,
            0,
            0.0,
            ptr::null_mut(),
            &mut low,
            &mut high,
            ptr::null_mut(),
            ptr::null_mut(),
            ptr::null_mut(),
            &mut second,
            &mut third,
            &mut fifth,
            &mut status,
        );
    }
    check(status)?;
    let least = [second, fifth].into_iter().filter(|noise| *noise != 0.0).fold(third, f64::min);
    Ok((low, high, least))
}

thread_local! {
    /// The file that this thread writes.
    static FILE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Makes room for a file that grows. A panic (when memory ends) aborts, as it must not pass through C.
unsafe extern "C" fn grow(_: *mut c_void, size: usize) -> *mut c_void {
    FILE.with_borrow_mut(|file| {
        file.resize(size, 0);
        file.as_mut_ptr().cast()
    })
}

/// A file that is written into this thread's memory.
struct Written {
    fits: *mut fitsfile,
    /// As in [`Handle`]: where the bytes are and how many, for cfitsio to keep up to date.
    memory: *mut (*mut c_void, usize),
}

impl Written {
    fn create() -> Result<Self, String> {
        const START: usize = 20 * 2880;
        let start = FILE.with_borrow_mut(|file| {
            file.clear();
            file.resize(START, 0);
            file.as_mut_ptr().cast::<c_void>()
        });
        let mut fits = ptr::null_mut();
        let mut status = 0;
        let memory = Box::into_raw(Box::new((start, START)));
        // SAFETY: the pointers to address and size are into `memory`, which is freed only after the file was closed. The
        // address is that of the vector of this thread, which has as many bytes as said, all of them zero; only `grow` touches
        // the vector until then, and cfitsio takes the address that it gives. It keeps the bytes when it closes the file.
        unsafe {
            let (address, size) = (&raw mut (*memory).0, &raw mut (*memory).1);
            ffimem(&mut fits, address, size, START, Some(grow), &mut status);
        }
        let file = Self { fits, memory };
        check(status)?;
        if fits.is_null() {
            return Err("cfitsio opened nothing".into());
        }
        Ok(file)
    }

    /// The bytes, once all of them are written.
    fn close(mut self) -> Result<Vec<u8>, String> {
        let mut status = 0;
        // SAFETY: the handle is open, and null from here on.
        unsafe { ffclos(std::mem::replace(&mut self.fits, ptr::null_mut()), &mut status) };
        check(status)?;
        Ok(FILE.take())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let mut status = 0;
        // SAFETY: as in `Handle`.
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
    Err(format!("{} (cfitsio status {status})", said.to_string_lossy()))
}

const _: () = assert!(size_of::<c_long>() == 8, "the bindings are those of a 64-bit system");
