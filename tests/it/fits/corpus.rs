//! Damaged and hostile files give rows or rejects: never a crash, never more memory than allowed.

use std::{fs, io::Write, path::Path};

use arrow::array::AsArray;
use flate2::{Compression, write::GzEncoder};
use lucarne::{
    batch::list_values,
    fits::{self, Limits},
    source::fits::{Fits, Policy},
};
use proptest::prelude::*;

use super::{SourceOutput, cube, read, text};

fn settings(path: &Path) -> Fits {
    let mut settings = Fits::new([text(path)]);
    settings.bands = Some(["g", "r", "i"].into());
    settings.size = Some(30);
    settings
}

/// Reads a file of these bytes, which has to be one reject. Returns its reason.
fn rejected(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let SourceOutput { rows, rejects } = read(settings(&path));
    assert_eq!((rows.num_rows(), rejects.len()), (0, 1), "{rejects:?}");
    rejects[0].reason.clone()
}

/// The cube with another value of a key.
fn with_card(key: &str, value: &str) -> Vec<u8> {
    let mut bytes = cube(30, 0.0);
    let start = bytes.chunks(80).position(|card| card.starts_with(format!("{key:<8}").as_bytes())).unwrap() * 80;
    bytes[start..start + 80].copy_from_slice(format!("{key:<8}= {value:>20}{:50}", "").as_bytes());
    bytes
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_undamaged_cube_is_a_row() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.fits");
    fs::write(&path, cube(30, 0.0)).unwrap();
    assert_eq!(read(settings(&path)).rows.num_rows(), 1);
}

#[test]
fn a_cube_cut_off_at_any_block_is_a_reject() {
    let complete = cube(30, 0.0);
    for end in (0..complete.len()).step_by(2880) {
        let reason = rejected("a.fits", &complete[..end]);
        let expected = match end {
            0 => "is empty, expected a FITS file".to_owned(),
            _ => format!("HDU 0 is cut off: 10800 bytes of data expected, {} are there", end - 2880),
        };
        assert_eq!(reason, expected);
    }
    assert_eq!(rejected("a.fits", &complete[..1000]), "HDU 0 is cut off in its header: no `END` before byte 1000");
}

#[test]
fn reads_a_last_block_without_padding() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.fits");
    fs::write(&path, &cube(30, 0.0)[..2880 + 10800]).unwrap();
    assert_eq!(read(settings(&path)).rows.num_rows(), 1);
}

#[test]
fn impossible_keys_are_named_in_the_reason() {
    for (key, value, reason) in [
        ("NAXIS1", "999999999999", "HDU 0 is cut off: 359999999999640 bytes of data expected, 11520 are there"),
        (
            "NAXIS1",
            "9223372036854775807",
            "HDU 0 has the shape [3, 30, 9223372036854775807], more than any file can hold",
        ),
        ("NAXIS1", "-30", "HDU 0 key `NAXIS1` is -30, expected 0 or more"),
        ("NAXIS1", "30.5", "HDU 0 key `NAXIS1` is `30.5`, expected an integer"),
        ("NAXIS", "-1", "HDU 0 key `NAXIS` is -1, expected 0 to 999"),
        ("NAXIS", "1000", "HDU 0 key `NAXIS` is 1000, expected 0 to 999"),
        ("NAXIS", "4", "HDU 0 key `NAXIS4` is missing, expected an integer"),
        ("NAXIS", "0", "HDU 1 is not an HDU: 11520 bytes that do not begin with `XTENSION`"),
        ("BITPIX", "-31", "HDU 0 key `BITPIX` is -31, expected 8, 16, 32, 64, -32 or -64"),
        ("BITPIX", "-64", "HDU 0 is cut off: 21600 bytes of data expected, 11520 are there"),
        ("SIMPLE", "F", "HDU 0 key `SIMPLE` is not `T`: not a standard FITS file"),
        ("NAXIS3", "0", "HDU 1 is not an HDU: 11520 bytes that do not begin with `XTENSION`"),
        ("BANDS", "'gr'", "key `BANDS` is `gr`, expected the names of 3 planes"),
    ] {
        let found = rejected("a.fits", &with_card(key, value));
        assert_eq!(found, reason, "{key} = {value}");
    }
}

#[test]
fn rejects_an_image_above_the_limit_before_reading_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse.fits");
    // A sparse file of 1.3 Gpixel.
    let mut header = with_card("NAXIS1", "15000000");
    header.truncate(2880);
    fs::write(&path, &header).unwrap();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(2880 + 4 * 3 * 30 * 15_000_000).unwrap();
    let reason = read(settings(&path)).rejects[0].reason.clone();
    assert_eq!(reason, "HDU 0 has the shape [3, 30, 15000000], more than the allowed 67108864 pixels");
}

#[test]
fn a_gzip_bomb_stops_at_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.fits.gz");
    let mut bytes = with_card("NAXIS1", "15000000");
    bytes.resize(20 << 20, 0);
    fs::write(&path, gzipped(&bytes)).unwrap();
    let mut settings = settings(&path);
    settings.max_gunzipped_mib = 4;
    assert_eq!(read(settings).rejects[0].reason, "decompresses to more than the allowed 4194304 bytes");
}

#[test]
fn reads_gzipped_files_and_rejects_truncated_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.fits.gz");
    let packed = gzipped(&cube(30, 0.0));
    fs::write(&path, &packed).unwrap();
    let output = read(settings(&path));
    assert_eq!(output.rows.column_by_name("object_id").unwrap().as_string::<i32>().value(0), "a");
    assert!(rejected("a.fits.gz", &packed[..packed.len() / 2]).starts_with("cannot be decompressed as gzip"));
}

#[test]
fn rejects_folders_and_files_that_are_not_fits() {
    assert_eq!(rejected("empty.fits", b""), "is empty, expected a FITS file");
    assert_eq!(rejected("text.fits", b"hello"), "begins with `hello`, expected `SIMPLE  =`: not a FITS file");
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("folder.fits")).unwrap();
    fs::write(folder.path().join("x.fits"), cube(30, 0.0)).unwrap();
    let output = read(settings(folder.path()));
    assert_eq!(output.rejects[0].reason, "is a folder, expected a regular file");
    assert_eq!(output.rows.num_rows(), 1);
}

#[cfg(unix)]
#[test]
fn rejects_pipes_without_blocking_and_dead_links() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.fits");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if !made.is_ok_and(|status| status.success()) {
        crate::skip::skip("pipes among FITS files: `mkfifo` is missing");
        return;
    }
    std::os::unix::fs::symlink("/nowhere", folder.path().join("link.fits")).unwrap();
    let output = read(settings(folder.path()));
    assert!(output.rejects[0].reason.starts_with("cannot be read: No such file"), "{:?}", output.rejects[0]);
    assert_eq!(output.rejects[1].reason, "is a pipe, socket or device, expected a regular file");
}

#[cfg(unix)]
#[test]
fn rejects_unreadable_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret.fits");
    fs::write(&path, cube(30, 0.0)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        crate::skip::skip("unreadable FITS files: this user may read any file");
        return;
    }
    assert!(read(settings(&path)).rejects[0].reason.starts_with("cannot be read: Permission denied"));
}

#[test]
fn syntax_of_cfitsio_in_file_names_has_no_effect() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["a.fits(copy.fits)", "b[1].fits", "!x.fits", "c.fits+1", "mem:.fits", "-.fits", "d.fits[0][1:2,1:2]"];
    for (number, name) in (0u16..).zip(names) {
        fs::write(folder.path().join(name), cube(30, f32::from(number))).unwrap();
        let output = read(settings(&folder.path().join(name)));
        assert_eq!(output.rows.num_rows(), 1, "{name}: {:?}", output.rejects);
        assert_eq!(list_values(&output.rows, "image").unwrap().0[0], f32::from(number), "{name}");
        let origin = output.rows.column_by_name("origin").unwrap().as_string::<i32>().value(0).to_owned();
        assert_eq!(origin, format!("{}[0]", text(&folder.path().join(name))));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), names.len(), "nothing was written");
}

#[cfg(target_os = "linux")]
#[test]
fn reads_files_whose_names_are_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"gal\xff.fits");
    fs::write(folder.path().join(name), cube(30, 0.0)).unwrap();
    for paths in [text(folder.path()), text(&folder.path().join("*.fits"))] {
        let output = read(settings(Path::new(&paths)));
        assert_eq!(output.rows.column_by_name("object_id").unwrap().as_string::<i32>().value(0), "gal\u{fffd}");
    }
}

/// Decodes all images of the bytes. Returns the number of pixels.
fn decode(bytes: Vec<u8>) -> Result<usize, String> {
    let limits = Limits { pixels: 1 << 20, gunzipped_bytes: 1 << 22 };
    let file = fits::FitsFile::from_bytes("memory", bytes, &limits).map_err(|error| error.to_string())?;
    let mut pixels = 0;
    for hdu in file.hdus() {
        if let Ok(image) = file.image(hdu.index) {
            let mut out = vec![0.0; image.pixels()];
            image.copy(0, &mut out);
            pixels += out.len();
        }
    }
    Ok(pixels)
}

/// Small files of every kind of image, tile-compressed ones included.
fn samples() -> Vec<Vec<u8>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/fits");
    let mut names: Vec<_> = fs::read_dir(golden).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|ending| ending == "fits"));
    names.sort();
    assert!(names.len() >= 8, "samples are missing");
    names.iter().map(|path| fs::read(path).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_never_crash(bytes in proptest::collection::vec(any::<u8>(), 0..9000), fits in any::<bool>()) {
        let mut bytes = bytes;
        if fits && bytes.len() > 30 {
            bytes[..30].copy_from_slice(b"SIMPLE  =                    T");
        }
        let _ = decode(bytes);
    }

    #[test]
    fn random_cards_never_crash(
        cards in proptest::collection::vec(
            ("(BITPIX|NAXIS[1-4]?|PCOUNT|GCOUNT|BSCALE|BZERO|BLANK|GROUPS|BUNIT|OBJECT|CONTINUE|END)",
             "( *-?[0-9]{1,20}| *[TF]|'[ -~]{0,90}| *-?[0-9.]{1,9}[ED]?[-+0-9]{0,4})"), 0..40),
        data in 0usize..4,
    ) {
        let mut bytes = format!("{:<80}", "SIMPLE  =                    T").into_bytes();
        for (key, value) in cards {
            let card = format!("{key:<8}= {value}");
            bytes.extend_from_slice(format!("{:<80}", card.chars().take(80).collect::<String>()).as_bytes());
        }
        bytes.extend_from_slice(format!("{:<80}", "END").as_bytes());
        bytes.resize(bytes.len().next_multiple_of(2880), b' ');
        bytes.resize(bytes.len() + data * 2880, 1);
        let _ = decode(bytes);
    }

    #[test]
    fn damaged_files_never_crash(
        which in any::<prop::sample::Index>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        tail in any::<bool>(),
    ) {
        let samples = samples();
        let mut bytes = samples[which.index(samples.len())].clone();
        // The streams of tiles are at the end, after the headers.
        let start = if tail { bytes.len() / 2 } else { 0 };
        for (at, value) in damage {
            let at = start + at.index(bytes.len() - start);
            bytes[at] = value;
        }
        let _ = decode(bytes);
    }

    #[test]
    fn numbers_in_headers_never_crash(
        which in any::<prop::sample::Index>(),
        card in any::<prop::sample::Index>(),
        value in prop_oneof![Just("-1".to_owned()), Just("0".to_owned()), Just("2147483648".to_owned()), "-?[0-9]{1,19}"],
    ) {
        let samples = samples();
        let mut bytes = samples[which.index(samples.len())].clone();
        let numeric: Vec<usize> = (0..bytes.len() / 80)
            .map(|card| card * 80)
            .filter(|at| &bytes[at + 8..at + 10] == b"= " && (bytes[at + 29].is_ascii_digit()))
            .collect();
        let at = numeric[card.index(numeric.len())];
        bytes[at + 10..at + 30].copy_from_slice(format!("{value:>20}").as_bytes());
        let _ = decode(bytes);
    }
}

#[test]
fn rejects_rows_that_differ_from_the_first() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.fits"), cube(30, 0.0)).unwrap();
    fs::write(folder.path().join("b.fits"), cube(20, 0.0)).unwrap();
    fs::write(folder.path().join("c.fits"), with_card("BUNIT", "'adu'")).unwrap();
    fs::write(folder.path().join("d.fits"), with_card("EXTEND", "T / PIXSCALE")).unwrap();
    let mut settings = Fits::new([text(folder.path())]);
    settings.nan = Policy::Fill;
    let output = read(settings);
    let reasons: Vec<&str> = output.rejects.iter().map(|reject| reject.reason.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "is 20 by 20 pixels, expected 30 by 30 as in the first file: set `size` to crop or pad it",
            "has the unit `adu`, expected a unit of flux: set `unit` or `zero_point`",
        ]
    );
    assert_eq!(output.rows.num_rows(), 2);
}

#[test]
fn tiles_that_share_their_bytes_do_not_multiply_memory_or_time() {
    let (tiles, heap) = (20_000u32, 1u32 << 20);
    let mut bytes = Vec::new();
    let header = |bytes: &mut Vec<u8>, cards: &[(&str, String)]| {
        for (key, value) in cards {
            bytes.extend_from_slice(format!("{:<80}", format!("{key:<8}= {value:>20}")).as_bytes());
        }
        bytes.extend_from_slice(format!("{:<80}", "END").as_bytes());
        bytes.resize(bytes.len().next_multiple_of(2880), b' ');
    };
    let number = |value: u32| value.to_string();
    header(&mut bytes, &[("SIMPLE", "T".into()), ("BITPIX", number(8)), ("NAXIS", number(0))]);
    header(
        &mut bytes,
        &[
            ("XTENSION", "'BINTABLE'".into()),
            ("BITPIX", number(8)),
            ("NAXIS", number(2)),
            ("NAXIS1", number(8)),
            ("NAXIS2", number(tiles)),
            ("PCOUNT", number(heap)),
            ("GCOUNT", number(1)),
            ("TFIELDS", number(1)),
            ("TTYPE1", "'COMPRESSED_DATA'".into()),
            ("TFORM1", "'1PB     '".into()),
            ("ZIMAGE", "T".into()),
            ("ZCMPTYPE", "'RICE_1  '".into()),
            ("ZBITPIX", number(16)),
            ("ZNAXIS", number(2)),
            ("ZNAXIS1", number(1)),
            ("ZNAXIS2", number(tiles)),
        ],
    );
    for _ in 0..tiles {
        bytes.extend_from_slice(&heap.to_be_bytes());
        bytes.extend_from_slice(&0u32.to_be_bytes());
    }
    bytes.resize((bytes.len() + heap as usize).next_multiple_of(2880), 7);
    let file = fits::FitsFile::from_bytes("memory", bytes, &Limits::default()).unwrap();
    let reason = file.image(1).unwrap_err().reason();
    let expected = "tile 1, column `COMPRESSED_DATA`: has 1048576 bytes, more than 1 pixels take: at most 1040";
    assert_eq!(reason, expected);
}
