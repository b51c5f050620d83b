//! Sections beside the whole image, bit for bit.

use super::{FitsFile, Hdu, Limits, Section, Writer, bytes::Bytes, section::SectionReader};
use crate::random::Stream;

/// The bits of a section of all pixels of an image.
fn sliced(all: &[f32], [_, height, width]: [usize; 3], section: &Section) -> Vec<u32> {
    let row = |row: usize| &all[(section.plane * height + row) * width..][section.columns.clone()];
    section.rows.clone().flat_map(row).map(|pixel| pixel.to_bits()).collect()
}

/// The bits of a section, read into rows with a gap, which has to stay as it is.
fn read(reader: &mut SectionReader, section: &Section) -> Vec<u32> {
    let (width, gap) = (section.columns.len(), 3);
    let mut out = vec![-77.5; section.rows.len() * (width + gap)];
    reader.read(section, &mut out, width + gap).expect("a section");
    assert!(out.chunks(width + gap).all(|row| row[width..].iter().all(|pixel| *pixel == -77.5)), "the gap");
    out.chunks(width + gap).flat_map(|row| &row[..width]).map(|pixel| pixel.to_bits()).collect()
}

/// All starts and ends along a short axis; of a longer one those near its ends, and those of tiles of five pixels.
fn ranges(length: usize) -> Vec<std::ops::Range<usize>> {
    let is_edge = |at: &usize| length <= 8 || *at <= 2 || at + 2 >= length || (length <= 20 && at.is_multiple_of(5));
    let edges: Vec<usize> = (0..=length).filter(is_edge).collect();
    let ends = |start: usize| edges.iter().filter(move |end| **end > start).map(move |end| start..*end);
    edges.iter().flat_map(|start| ends(*start)).collect()
}

/// Compares sections of all images of a file, in memory and on disk. Returns how many.
fn compare(name: &str, bytes: Vec<u8>) -> usize {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("image.fits");
    std::fs::write(&path, &bytes).expect("written");
    let disk = Bytes::on_disk(&path);
    let file = FitsFile::from_bytes(name, bytes, &Limits::default()).expect("a file");
    let mut count = 0;
    for hdu in file.hdus().iter().filter(|hdu| hdu.has_pixels()) {
        let image = file.image(hdu.index).expect("an image");
        let mut all = vec![0.0; image.pixels()];
        image.copy(0, &mut all);
        let mut in_memory = file.sections(hdu.index).expect("sections");
        let mut on_disk = of_disk(&disk, hdu);
        let shape = in_memory.shape();
        for plane in 0..shape[0] {
            for rows in ranges(shape[1]) {
                for columns in ranges(shape[2]) {
                    let section = Section { plane, rows: rows.clone(), columns };
                    let expected = sliced(&all, shape, &section);
                    assert_eq!(read(&mut in_memory, &section), expected, "{name} {section:?}");
                    // Reads from disk are the same code but for where bytes come from.
                    if count % 5 == 0 {
                        assert_eq!(read(&mut on_disk, &section), expected, "{name} {section:?} on disk");
                    }
                    count += 1;
                }
            }
        }
    }
    count
}

fn of_disk<'a>(disk: &'a Bytes, hdu: &Hdu) -> SectionReader<'a> {
    SectionReader::new("disk", hdu, disk.part(hdu.data_start, hdu.data_len)).expect("sections")
}

#[test]
fn sections_of_golden_files_are_those_of_the_whole_image() {
    let pattern = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/fits/*.fits");
    let mut files = 0;
    for path in glob::glob(pattern).expect("a pattern").map(|path| path.expect("a path")) {
        let bytes = std::fs::read(&path).expect("a file");
        assert!(compare(&path.display().to_string(), bytes) > 0, "{}", path.display());
        files += 1;
    }
    assert_eq!(files, 32);
}

#[test]
fn sections_of_images_of_all_axes_are_those_of_the_whole_image() {
    for shape in [&[9][..], &[5, 7], &[2, 5, 4], &[2, 3, 2, 5], &[1, 1]] {
        let mut stream = Stream::new(1, "image", "sections");
        let pixels: Vec<f32> = (0..shape.iter().product()).map(|_| stream.normal() as f32).collect();
        let mut file = Writer::new();
        file.image(shape, &pixels, &[]);
        assert!(compare(&format!("{shape:?}"), file.into_bytes()) > 0);
    }
}

#[test]
fn rows_far_apart_on_disk_are_read_one_by_one() {
    // 2,000 columns of four bytes are more than the gap that is read with the rows.
    let (height, width) = (20, 2000);
    let pixels: Vec<f32> = (0..height * width).map(|pixel| pixel as f32).collect();
    let mut file = Writer::new();
    file.image(&[height, width], &pixels, &[]);
    assert!(compare("wide", file.into_bytes()) > 0);
}

#[test]
fn tiles_that_cover_several_planes_have_sections() {
    use super::cfitsio::oracle::{self, TiledImage};

    let shape = vec![3, 11, 13];
    let mut stream = Stream::new(1, "tiles", "sections");
    let pixels: Vec<f64> = (0..shape.iter().product()).map(|_| (stream.normal() * 40.0).round()).collect();
    for (tile, bitpix, dither) in [(vec![2, 5, 5], 16, -1), (vec![3, 11, 13], 32, -1), (vec![2, 3, 13], -32, 1)] {
        let (algorithm, level, seed, scale, smooth) = (11, 4.0, 7, 0.0, false);
        let image = TiledImage { bitpix, shape: shape.clone(), tile, algorithm, level, dither, seed, scale, smooth };
        let bytes = oracle::write(&image, &pixels).expect("written");
        assert!(compare(&format!("{image:?}"), bytes) > 0);
    }
}

#[test]
fn sections_outside_of_the_image_are_errors() {
    let mut file = Writer::new();
    file.image(&[2, 3, 4], &[0.0; 24], &[]);
    let file = FitsFile::from_bytes("memory", file.into_bytes(), &Limits::default()).expect("a file");
    let mut reader = file.sections(0).expect("sections");
    let mut out = [0.0; 100];
    for (plane, rows, columns) in [(2, 0..1, 0..1), (0, 0..4, 0..1), (0, 0..1, 2..5), (0, 3..4, 0..0)] {
        let section = Section { plane, rows, columns };
        let error = reader.read(&section, &mut out, 10).expect_err("outside").reason();
        assert!(error.starts_with("has the shape [2, 3, 4], expected rows "), "{error}");
    }
    let nothing = Section { plane: 1, rows: 3..3, columns: 0..4 };
    assert!(nothing.is_empty() && reader.read(&nothing, &mut [], 4).is_ok());
    assert!(file.sections(1).is_err());
}

#[test]
fn a_damaged_tile_is_an_error_of_its_own_sections() {
    let rice = include_bytes!("../../tests/golden/fits/rice_i2.fits");
    let file = FitsFile::from_bytes("memory", rice.to_vec(), &Limits::default()).expect("a file");
    let data_start = file.hdus()[1].data_start as usize;
    // A tile is a row, of which 12 pointers of 8 bytes come before the streams. The first stream is that of the first tile.
    let mut bytes = rice.to_vec();
    bytes[data_start + 12 * 8..][..8].fill(0xff);
    let file = FitsFile::from_bytes("memory", bytes, &Limits::default()).expect("a file");
    let mut reader = file.sections(1).expect("sections");
    let mut out = [0.0; 12 * 17];
    let rows = |rows| Section { plane: 0, rows, columns: 0..17 };
    for _ in 0..2 {
        let reason = reader.read(&rows(0..2), &mut out, 17).expect_err("damaged").reason();
        assert!(reason.starts_with("tile 1, column `COMPRESSED_DATA`: "), "{reason}");
        assert!(reader.read(&rows(1..12), &mut out, 17).is_ok());
    }
}
