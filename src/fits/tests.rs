//! The structure of files, limits, and damaged tables, on files that are built here or in `tests/golden/fits`.

use std::io::Write as _;

use super::*;

const LIMITS: Limits = Limits { pixels: 1 << 20, gunzipped_bytes: 1 << 20 };

/// An HDU of some cards and data.
fn hdu(cards: &[(&str, &str)], data: &[u8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = cards
        .iter()
        .flat_map(|(key, value)| format!("{:<80}", format!("{key:<8}= {value:>20}")).into_bytes())
        .collect();
    bytes.extend(format!("{:<80}", "END").into_bytes());
    bytes.resize(bytes.len().next_multiple_of(BLOCK), b' ');
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn read(bytes: Vec<u8>) -> FitsFile {
    FitsFile::from_bytes("memory", bytes, &LIMITS).expect("a FITS file")
}

fn pixels(file: &FitsFile, hdu: usize) -> Vec<f32> {
    let image = file.image(hdu).expect("an image");
    let mut pixels = vec![f32::NAN; image.pixels()];
    image.copy(0, &mut pixels);
    pixels
}

/// A file with the value of a key replaced.
fn with(file: &[u8], key: &str, value: &str) -> Vec<u8> {
    let mut bytes = file.to_vec();
    let name = format!("{key:<8}=");
    let card = bytes.chunks(80).position(|card| card.starts_with(name.as_bytes())).expect(key) * 80;
    bytes[card..card + 80].copy_from_slice(format!("{:<80}", format!("{name} {value:>20}")).as_bytes());
    bytes
}

#[test]
fn hdus_begin_after_the_data_and_parameters_of_the_one_before() {
    let primary = hdu(&[("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "0")], &[]);
    let extension = |kind: &str, length: &str, pcount: &str, gcount: &str, data: &[u8]| {
        let (pcount, gcount) = (("PCOUNT", pcount), ("GCOUNT", gcount));
        hdu(&[("XTENSION", kind), ("BITPIX", "16"), ("NAXIS", "1"), ("NAXIS1", length), pcount, gcount], data)
    };
    // 16-bit numbers: 1440 fill a block, and (1400 + 40) * 2 fill two.
    let full = extension("'IMAGE   '", "1440", "0", "1", &[1; BLOCK]);
    let parameters = extension("'IMAGE   '", "1400", "40", "2", &[2; 2 * BLOCK]);
    let table = extension("'BINTABLE'", "1441", "0", "1", &[3; BLOCK + 2]);
    let last = extension("'IMAGE   '", "2", "0", "1", &[0, 4, 0, 5]);
    let file = read([primary, full, parameters, table, last, vec![b'x'; BLOCK]].concat());
    let kinds: Vec<HduKind> = file.hdus().iter().map(|hdu| hdu.kind).collect();
    let expected = [HduKind::Image, HduKind::Image, HduKind::Image, HduKind::Table, HduKind::Image, HduKind::Damaged];
    assert_eq!(kinds, expected);
    assert_eq!(pixels(&file, 1), [257.0; 1440]);
    assert_eq!(pixels(&file, 4), [4.0, 5.0]);
    let reason = |hdu| file.image(hdu).map(|_| ()).expect_err("not an image").reason();
    assert_eq!(reason(0), "is an image without pixels, expected an image");
    assert_eq!(reason(2), "has `PCOUNT` 40 and `GCOUNT` 2, expected 0 and 1 in an image");
    assert_eq!(reason(3), "is a table, expected an image");
    assert_eq!(reason(5), "is not an HDU: 2880 bytes that do not begin with `XTENSION`");
}

#[test]
fn random_groups_are_skipped() {
    let (axes, counts) = ([("NAXIS", "2"), ("NAXIS1", "0"), ("NAXIS2", "4")], [("PCOUNT", "2"), ("GCOUNT", "240")]);
    let cards = [&[("SIMPLE", "T"), ("BITPIX", "-32")][..], &axes, &[("GROUPS", "T")], &counts].concat();
    // (4 + 2) * 240 float32 fill two blocks.
    let groups = hdu(&cards, &[0; 2 * BLOCK]);
    let image = hdu(&[("XTENSION", "'IMAGE   '"), ("BITPIX", "8"), ("NAXIS", "1"), ("NAXIS1", "1")], &[9]);
    let file = read([groups, image].concat());
    assert_eq!((file.hdus().len(), file.hdus()[0].kind, pixels(&file, 1)), (2, HduKind::Groups, vec![9.0]));
}

#[test]
fn headers_end_anywhere_in_a_block() {
    // 35 cards and END fill a block; with 36 cards END is the first card of the next.
    for filler in [0, 30, 31, 32, 67, 68] {
        let mut cards = vec![("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "1"), ("NAXIS1", "2")];
        cards.resize(4 + filler, ("FILLER", "1"));
        let file = read(hdu(&cards, &[6, 7]));
        assert_eq!((file.hdus()[0].header.cards().len(), pixels(&file, 0)), (4 + filler, vec![6.0, 7.0]), "{filler}");
    }
}

#[test]
fn limits_are_inclusive() {
    let image = hdu(&[("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "2"), ("NAXIS1", "5"), ("NAXIS2", "4")], &[1; 20]);
    let next = hdu(&[("XTENSION", "'IMAGE   '"), ("BITPIX", "8"), ("NAXIS", "1"), ("NAXIS1", "1")], &[9]);
    let bytes = [image, next].concat();
    let read = |pixels| FitsFile::from_bytes("memory", bytes.clone(), &Limits { pixels, ..LIMITS }).expect("a file");
    assert_eq!(pixels(&read(20), 0), [1.0; 20]);
    let limited = read(19);
    assert_eq!(limited.hdus()[0].damage.as_deref(), Some("has the shape [4, 5], more than the allowed 19 pixels"));
    assert!(limited.hdus()[0].has_pixels() && limited.image(0).is_err());
    assert_eq!(pixels(&limited, 1), [9.0]);

    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&bytes).expect("packed");
    let packed = packed.finish().expect("packed");
    let unpack = |limit| {
        FitsFile::from_bytes("memory", packed.clone(), &Limits { gunzipped_bytes: limit, ..LIMITS })
            .map(|file| file.hdus().len())
    };
    assert_eq!(unpack(bytes.len() as u64).expect("unpacked"), 2);
    let reason = unpack(bytes.len() as u64 - 1).expect_err("too large").reason();
    assert_eq!(reason, format!("decompresses to more than the allowed {} bytes", bytes.len() - 1));
}

#[test]
fn large_files_are_read_from_disk() {
    // A sparse file of 65 MiB, its second HDU at the end.
    let side = 65_usize << 20;
    let mut start = hdu(&[("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "1"), ("NAXIS1", &side.to_string())], &[]);
    start.extend([1, 2, 3]);
    let end = hdu(&[("XTENSION", "'IMAGE   '"), ("BITPIX", "8"), ("NAXIS", "1"), ("NAXIS1", "2")], &[7, 8]);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.fits");
    let mut file = std::fs::File::create(&path).expect("a file");
    file.write_all(&start).expect("written");
    file.set_len((BLOCK + side.next_multiple_of(BLOCK)) as u64).expect("sparse");
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).expect("the end");
    file.write_all(&end).expect("written");
    let file = FitsFile::open(&path, &Limits { pixels: side as u64, ..LIMITS }).expect("a FITS file");
    assert_eq!(pixels(&file, 1), [7.0, 8.0]);
    let mut first = [0.0; 4];
    file.image(0).expect("an image").copy(1, &mut first);
    assert_eq!(first, [2.0, 3.0, 0.0, 0.0]);
    assert!(file.into_buffer().is_empty());
}

#[test]
fn a_buffer_is_reused_for_shorter_and_longer_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut buffer = Vec::new();
    for values in [&[1_u8, 2][..], &[3; 6000], &[4]] {
        let path = folder.path().join("a.fits");
        let length = values.len().to_string();
        let bytes = hdu(&[("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "1"), ("NAXIS1", &length)], values);
        std::fs::write(&path, &bytes).expect("written");
        let file = FitsFile::open_into(&path, &LIMITS, buffer).expect("a FITS file");
        assert!(pixels(&file, 0).iter().eq(values.iter().map(|value| f32::from(*value)).collect::<Vec<_>>().iter()));
        buffer = file.into_buffer();
        assert_eq!(buffer.len(), bytes.len());
    }
}

#[test]
fn parts_of_an_image_are_copied_from_any_start() {
    for file in [
        &include_bytes!("../../tests/golden/fits/u8.fits")[..],
        include_bytes!("../../tests/golden/fits/i16.fits"),
        include_bytes!("../../tests/golden/fits/i64.fits"),
        include_bytes!("../../tests/golden/fits/f32.fits"),
        include_bytes!("../../tests/golden/fits/f64.fits"),
        include_bytes!("../../tests/golden/fits/rice_i2.fits"),
    ] {
        let file = read(file.to_vec());
        let index = file.hdus().len() - 1;
        let (all, image) = (pixels(&file, index), file.image(index).expect("an image"));
        for (start, length) in [(0, 1), (5, 17), (all.len() - 3, 3), (all.len(), 0)] {
            let mut part = vec![0.0; length];
            image.copy(start, &mut part);
            assert!(part.iter().zip(&all[start..]).all(|(a, b)| a.to_bits() == b.to_bits()), "{start}");
        }
    }
}

#[test]
fn parts_of_a_compressed_stack_are_decoded_alone() {
    let stacks = [
        &include_bytes!("../../tests/golden/fits/rice_stack.fits")[..],
        include_bytes!("../../tests/golden/fits/gzip2_stack.fits"),
        include_bytes!("../../tests/golden/fits/hcompress_stack.fits"),
    ];
    let folder = tempfile::tempdir().expect("a folder");
    for (number, bytes) in stacks.into_iter().enumerate() {
        let file = read(bytes.to_vec());
        let (all, object) = (pixels(&file, 1), 2 * 8 * 9);
        let path = folder.path().join(format!("{number}.fits"));
        std::fs::write(&path, bytes).expect("written");
        let disk = bytes::Bytes::on_disk(&path);
        let hdu = &file.hdus()[1];
        for start in (0..all.len()).step_by(25).chain([all.len()]) {
            for end in [start, start + 1, start + object, all.len()]
                .into_iter()
                .filter(|end| (start..=all.len()).contains(end))
            {
                let image = file.image_part(1, &(start..end)).expect("a part");
                let mut part = vec![0.0; end - start];
                image.copy(start, &mut part);
                let expected: Vec<u32> = all[start..end].iter().map(|pixel| pixel.to_bits()).collect();
                assert!(part.iter().map(|pixel| pixel.to_bits()).eq(expected.iter().copied()), "{start}..{end}");
                let data = disk.part(hdu.data_start, hdu.data_len);
                let read: tiles::DecodedPixels<f32> =
                    tiles::decode(&hdu.header, &data, Some(&(start..end))).expect("a part");
                let part = read.pixels[start - read.first..][..end - start].iter().map(|pixel| pixel.to_bits());
                assert!(part.eq(expected), "{start}..{end} on disk");
            }
        }
        let error = file.image_part(1, &(0..all.len() + 1)).expect_err("too many").reason();
        assert_eq!(error, format!("has fewer than {} pixels", all.len() + 1));
    }
    // A damaged tile is an error of its own object only. The first stream of the heap is that of the first tile.
    let mut bytes = stacks[0].to_vec();
    let hdu = read(bytes.clone()).hdus()[1].clone();
    let rows = 6 * 32;
    bytes[hdu.data_start as usize + rows..][..40].fill(0xff);
    let file = read(bytes);
    let object = 2 * 8 * 9;
    let reason = file.image_part(1, &(0..object)).expect_err("damaged").reason();
    assert!(reason.starts_with("tile 1, column `COMPRESSED_DATA`: "), "{reason}");
    assert!(file.image(1).is_err() && file.image_part(1, &(object..3 * object)).is_ok());
}

#[test]
fn damaged_tables_of_tiles_are_rejected_by_the_name_of_their_key() {
    let rice = &include_bytes!("../../tests/golden/fits/rice_i2.fits")[..];
    let tiled = &include_bytes!("../../tests/golden/fits/rice_tiles.fits")[..];
    let dithered = &include_bytes!("../../tests/golden/fits/rice_dither2.fits")[..];
    let gzip = &include_bytes!("../../tests/golden/fits/gzip1.fits")[..];
    let mut wrong = Vec::new();
    for (file, key, value, expected) in [
        (rice, "ZNAXIS", "0", "is a compressed image without pixels, expected an image"),
        (rice, "ZCMPTYPE", "'LZ4     '", "key `ZCMPTYPE` is `LZ4`, expected RICE_1"),
        (rice, "ZBITPIX", "64", "key `ZBITPIX` is 64, expected 8, 16, 32, -32 or -64"),
        (rice, "ZNAXIS2", "13", "has 12 tiles, expected 13 of [1, 17] pixels"),
        (rice, "ZNAXIS2", "11", "has 12 tiles, expected 11 of [1, 17] pixels"),
        (rice, "ZTILE1", "0", "key `ZTILE1` is 0 for an axis of 17 pixels, expected 1 or more"),
        (rice, "ZTILE2", "2", "has 12 tiles, expected 6 of [2, 17] pixels"),
        (rice, "NAXIS1", "7", "key `NAXIS1` is 7, which is not the width of its columns"),
        (rice, "TTYPE1", "'OTHER   '", "has no column `COMPRESSED_DATA`"),
        (rice, "TFORM1", "'1B      '", "key `TFORM1` is `1B`, which is not a type of the column"),
        (rice, "TFORM1", "'1PJ(9)  '", "tile 1, column `COMPRESSED_DATA`"),
        (rice, "TFIELDS", "0", "key `TFIELDS` is 0, expected 1 to 999"),
        (rice, "ZVAL1", "31", "key `ZVAL1` (BLOCKSIZE) is 31, expected one of [16, 32, 64, 128]"),
        (rice, "ZVAL2", "3", "key `ZVAL2` (BYTEPIX) is 3, expected one of [1, 2, 4]"),
        (tiled, "ZTILE1", "5", "has 9 tiles, expected 12 of [5, 5] pixels"),
        (dithered, "ZDITHER0", "0", "key `ZDITHER0` is 0, expected 1 to 10000"),
        (dithered, "ZDITHER0", "10001", "key `ZDITHER0` is 10001, expected 1 to 10000"),
        (dithered, "ZVAL2", "2", "key `ZVAL2` (BYTEPIX) is 2, expected one of [4]"),
        (dithered, "TTYPE3", "'OTHER   '", "has one of the columns `ZSCALE` and `ZZERO`"),
        (gzip, "ZNAXIS1", "16", "tile 1, column `COMPRESSED_DATA`: decompresses to"),
        (gzip, "ZNAXIS1", "18", "tile 1, column `COMPRESSED_DATA`: decompresses to 68 bytes, expected 72"),
    ] {
        // A tile of a row has the width of the image.
        let mut bytes = with(file, key, value);
        if key == "ZNAXIS1" {
            bytes = with(&bytes, "ZTILE1", value);
        }
        let file = read(bytes);
        let reason = file.image(1).map_or_else(|error| error.reason(), |_| "is read".to_owned());
        if !reason.starts_with(expected) {
            wrong.push(format!("{key} = {value}: {reason}, expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (key, value) in [("ZTILE1", "2000000000"), ("ZVAL1", "32"), ("ZDITHER0", "10000")] {
        let file = read(with(dithered, key, value));
        assert_eq!(file.image(1).expect(key).pixels(), 2 * 12 * 17, "{key} = {value}");
    }
}

#[test]
fn a_heap_can_begin_after_a_gap() {
    let original = &include_bytes!("../../tests/golden/fits/rice_i2.fits")[..];
    // 12 rows of 8 bytes, then a heap of 219 bytes; `EXTNAME` makes room for `THEAP`.
    let (header, data) = original.split_at(2 * BLOCK);
    let moved = [header, &data[..96], &[0xff; 16], &data[96..BLOCK - 16]].concat();
    let mut moved = with(&moved, "PCOUNT", "235");
    let card = moved.chunks(80).position(|card| card.starts_with(b"EXTNAME ")).expect("a card") * 80;
    moved[card..card + 80].copy_from_slice(format!("{:<80}", "THEAP   =                  112").as_bytes());
    assert_eq!(pixels(&read(moved.clone()), 1), pixels(&read(original.to_vec()), 1));
    let reason = read(with(&moved, "THEAP", "400")).image(1).map(|_| ()).expect_err("no heap").reason();
    assert_eq!(reason, "key `THEAP` lies outside of the data");
}

#[test]
fn large_gzipped_files_are_decompressed() {
    let side = (65 << 20).to_string();
    let mut bytes = hdu(&[("SIMPLE", "T"), ("BITPIX", "8"), ("NAXIS", "1"), ("NAXIS1", &side)], &[]);
    bytes.resize((65_usize << 20).next_multiple_of(BLOCK) + BLOCK, 5);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large.fits.gz");
    let file = std::fs::File::create(&path).expect("a file");
    // Stored, so that the packed file is large too.
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::none());
    packed.write_all(&bytes).expect("packed");
    packed.finish().expect("packed");
    let limits = Limits { pixels: 70 << 20, gunzipped_bytes: 70 << 20 };
    let file = FitsFile::open(&path, &limits).expect("a FITS file");
    let mut first = [0.0; 2];
    file.image(0).expect("an image").copy(0, &mut first);
    assert_eq!(first, [5.0; 2]);
}
