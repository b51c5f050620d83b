//! FITS files in memory: headers, the structure of files, and tile-compressed images.

use super::{
    FuzzTarget,
    seeds::{files, texts},
};
use crate::{
    fits::{CardValue, FitsFile, Hdu, HduKind, Limits, Section, Writer},
    wcs::{PixelPosition, Wcs},
};

/// Small, so that an image within the limits takes microseconds.
const LIMITS: Limits = Limits { pixels: 1 << 16, gunzipped_bytes: 1 << 20 };
const BLOCK: u64 = 2880;

pub(super) const HEADER: FuzzTarget = FuzzTarget {
    name: "fits_header",
    run: header,
    seeds: header_seeds,
    words: &[
        "SIMPLE  =                    T",
        "XTENSION= 'IMAGE   '",
        "XTENSION= 'BINTABLE'",
        "XTENSION= 'TABLE   '",
        "BITPIX  =                  -32",
        "NAXIS   =                    2",
        "NAXIS1  =                    3",
        "PCOUNT  =                    0",
        "GCOUNT  =                    1",
        "GROUPS  =                    T",
        "BSCALE  =                  0.5",
        "BZERO   =                32768",
        "BLANK   =                   -1",
        "END     ",
        "CONTINUE  'x&'",
        "HIERARCH A B = 1",
        "ZIMAGE  =                    T",
        "CTYPE1  = 'RA---TAN-SIP'",
        "CTYPE2  = 'DEC--SIN'",
        "CUNIT1  = 'arcsec'",
        "LATPOLE =                 90.0",
    ],
    max_bytes: 16 << 10,
    mutations: 20_000,
};

pub(super) const TILES: FuzzTarget = FuzzTarget {
    name: "fits_tiles",
    run: tiles,
    seeds: || {
        files(&["tests/golden/fits", "../shared/cases/relia-rice-out-of-bounds"], &[".fits"])
            .into_iter()
            .filter(|seed| seed.windows(6).any(|word| word == b"ZIMAGE"))
            .collect()
    },
    words: &[
        "RICE_1  ",
        "RICE_ONE",
        "GZIP_1  ",
        "GZIP_2  ",
        "HCOMPRESS_1",
        "PLIO_1  ",
        "ZBITPIX ",
        "ZTILE1  ",
        "ZNAXIS1 ",
        "ZVAL1   ",
        "ZNAME1  ",
        "BLOCKSIZE",
        "BYTEPIX ",
        "ZSCALE  ",
        "ZZERO   ",
        "ZBLANK  ",
        "ZQUANTIZ",
        "SUBTRACTIVE_DITHER_2",
        "ZDITHER0",
        "THEAP   ",
        "1PB(8)  ",
        "1QB(8)  ",
        "1PI(8)  ",
        "1D      ",
        "UNCOMPRESSED_DATA",
        "GZIP_COMPRESSED_DATA",
        "NULL_PIXEL_MASK",
    ],
    max_bytes: 16 << 10,
    mutations: 10_000,
};

/// Reads headers and plain images, and compares positions with a second reading of the same keys.
fn header(bytes: &[u8]) {
    let Ok(file) = FitsFile::from_bytes("fuzz", bytes.to_vec(), &LIMITS) else { return };
    let hdus = file.hdus();
    assert!(!hdus.is_empty());
    let mut rendered = Vec::new();
    for (index, hdu) in hdus.iter().enumerate() {
        assert_eq!(hdu.index, index);
        // Only the last may be damaged in a way that hides where it ends.
        assert!(hdu.kind != HduKind::Damaged || (index + 1 == hdus.len() && hdu.damage.is_some()));
        for key in ["OBJECT", "EXTNAME", "BUNIT", "DATE-OBS", "ESO TEL AIRM", "NAXIS1", "BSCALE"] {
            let _ = (hdu.header.number(key), hdu.header.text(key), hdu.header.integer(key), hdu.header.is_true(key));
        }
        match file.image(index) {
            Ok(image) => {
                assert!(image.pixels() as u64 <= LIMITS.pixels && image.shape() == hdu.shape);
                let mut pixels = vec![0.0; image.pixels()];
                image.copy(0, &mut pixels);
                sections(&file, index, &pixels);
            }
            Err(error) => assert!(!error.reason().is_empty()),
        }
        match Wcs::from_header(&hdu.header) {
            Ok(wcs) => positions(&wcs),
            Err(error) => assert!(!error.is_empty()),
        }
        if hdu.kind != HduKind::Damaged {
            render(hdu, &mut rendered);
        }
    }
    // Rendered again, with pixels of zero, the file has the same HDUs.
    if rendered.is_empty() {
        return;
    }
    let again = FitsFile::from_bytes("fuzz", rendered, &LIMITS).expect("a FITS file as before");
    let sound = hdus.iter().filter(|hdu| hdu.kind != HduKind::Damaged);
    let described = |hdu: &Hdu| (hdu.kind, hdu.shape.clone(), hdu.header.clone(), hdu.damage.clone());
    assert!(sound.map(described).eq(again.hdus().iter().map(described)));
}

/// Compares sections with all pixels of an image: one of its middle, and its last pixel.
fn sections(file: &FitsFile, hdu: usize, pixels: &[f32]) {
    let mut reader = file.sections(hdu).expect("sections of an image that is read");
    let [planes, height, width] = reader.shape();
    assert_eq!(planes * height * width, pixels.len());
    let middle = |length: usize| length / 3..(2 * length).div_ceil(3);
    for (plane, rows, columns) in
        [(planes / 2, middle(height), middle(width)), (planes - 1, height - 1..height, width - 1..width)]
    {
        let section = Section { plane, rows, columns };
        let stride = section.columns.len() + 1;
        let mut out = vec![0.0; section.rows.len() * stride];
        reader.read(&section, &mut out, stride).expect("a section of an image that is read");
        for (row, found) in section.rows.clone().zip(out.chunks(stride)) {
            let expected = &pixels[(plane * height + row) * width..][section.columns.clone()];
            assert!(found.iter().zip(expected).all(|(found, expected)| found.to_bits() == expected.to_bits()));
        }
    }
}

/// Maps positions, which are finite or errors.
fn positions(wcs: &Wcs) {
    for (x, y) in [(0.0, 0.0), (-1e4, 1e4), (1e300, -1e300)] {
        if let Ok(sky) = wcs.pixel_to_sky(PixelPosition { x, y }) {
            assert!((0.0..360.0).contains(&sky.ra_deg) && (-90.0..=90.0).contains(&sky.dec_deg));
            let back = wcs.sky_to_pixel(sky);
            assert!(back.is_err() || back.is_ok_and(|pixel| pixel.x.is_finite() && pixel.y.is_finite()));
        }
    }
}

/// Renders an HDU: its cards, and zeros for as many data as its keys say.
fn render(hdu: &Hdu, out: &mut Vec<u8>) {
    let pad = |out: &mut Vec<u8>, byte| out.resize(out.len().next_multiple_of(BLOCK as usize), byte);
    hdu.header.cards().for_each(|card| out.extend_from_slice(card));
    out.extend_from_slice(format!("{:<80}", "END").as_bytes());
    pad(out, b' ');
    let length = data_bytes(hdu);
    out.resize(out.len() + length as usize, 0);
    pad(out, 0);
}

/// The bytes of data of an HDU, by the formula of the standard (FITS 4.0, sections 3.3.2, 3.4.2 and 6).
fn data_bytes(hdu: &Hdu) -> u64 {
    let key = |name: &str| match hdu.header.get(name) {
        Some(CardValue::Integer(value)) => Some(value.unsigned_abs()),
        _ => None,
    };
    let axes = key("NAXIS").unwrap_or(0);
    let lengths: Vec<u64> = (1..=axes).map(|axis| key(&format!("NAXIS{axis}")).unwrap_or(0)).collect();
    let groups = hdu.kind == HduKind::Groups;
    // One axis of no length makes no data, however long the others are.
    let product_of = |lengths: &[u64]| match lengths.contains(&0) {
        true => 0,
        false => lengths.iter().fold(1u64, |product, length| product.saturating_mul(*length)),
    };
    let product = match lengths.as_slice() {
        [] | [_] if groups => 0,
        [] => 0,
        [_, rest @ ..] if groups => product_of(rest),
        all => product_of(all),
    };
    let extension = hdu.index > 0 || groups;
    let (parameters, group_count) =
        if extension { (key("PCOUNT").unwrap_or(0), key("GCOUNT").unwrap_or(1)) } else { (0, 1) };
    key("BITPIX").unwrap_or(8) / 8 * group_count * (parameters + product)
}

/// Decodes every image. Decoding again, from a second reading, gives the same bits.
fn tiles(bytes: &[u8]) {
    let open = || FitsFile::from_bytes("fuzz", bytes.to_vec(), &LIMITS);
    let Ok(file) = open() else { return };
    let pixels = |file: &FitsFile, index: usize| {
        file.image(index).map(|image| {
            assert!(image.pixels() as u64 <= LIMITS.pixels);
            let mut pixels = vec![0.0; image.pixels()];
            image.copy(0, &mut pixels);
            pixels
        })
    };
    for index in 0..file.hdus().len() {
        match pixels(&file, index) {
            Ok(first) => {
                sections(&file, index, &first);
                let second = pixels(&open().expect("the file again"), index).expect("the image again");
                assert!(first.iter().map(|pixel| pixel.to_bits()).eq(second.iter().map(|pixel| pixel.to_bits())));
            }
            Err(error) => assert!(!error.reason().is_empty()),
        }
    }
}

fn header_seeds() -> Vec<Vec<u8>> {
    let cases = ["relia-gcount-0-panics", "relia-rows-vanish"].map(|case| format!("../shared/cases/{case}"));
    let mut folders = vec!["tests/golden/fits", "../shared/data/fits_edge"];
    folders.extend(cases.iter().map(String::as_str));
    let mut seeds = files(&folders, &[".fits", ".fit", ".fz", ".gz"]);
    let mut several = Writer::new();
    several.image(&[], &[], &[("OBJECT".into(), CardValue::Text("it's / a long name ".repeat(9)))]);
    several.image(&[2, 3], &[1.0; 6], &[("EXTNAME".into(), CardValue::Text("G".into()))]);
    several.image(&[1, 2, 2], &[0.5; 4], &[("A LONG KEYWORD".into(), CardValue::Real(-1.5e-300))]);
    seeds.push(several.into_bytes());
    seeds
        .extend([("RA---TAN-SIP", "DEC--TAN-SIP"), ("RA---TPV", "DEC--TPV"), ("RA---ZPN", "DEC--ZPN")].map(on_the_sky));
    let cards = |cards: &[&str]| {
        let mut bytes: Vec<u8> = cards.iter().flat_map(|card| format!("{card:<80}").into_bytes()).collect();
        bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), b' ');
        bytes
    };
    let primary = cards(&["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0", "END"]);
    let table = cards(&[
        "XTENSION= 'BINTABLE'",
        "BITPIX  = 8",
        "NAXIS   = 2",
        "NAXIS1  = 12",
        "NAXIS2  = 5",
        "PCOUNT  = 100",
        "GCOUNT  = 1",
        "TFIELDS = 2",
        "TTYPE1  = 'name'",
        "TFORM1  = '8A'",
        "TTYPE2  = 'list'",
        "TFORM2  = '1E'",
        "END",
    ]);
    seeds.push([primary.clone(), table, vec![0; BLOCK as usize]].concat());
    let groups = cards(&[
        "SIMPLE  = T",
        "BITPIX  = -32",
        "NAXIS   = 3",
        "NAXIS1  = 0",
        "NAXIS2  = 3",
        "NAXIS3  = 2",
        "GROUPS  = T",
        "PCOUNT  = 2",
        "GCOUNT  = 4",
        "END",
    ]);
    seeds.push([groups, vec![0; BLOCK as usize]].concat());
    seeds.push(primary);
    seeds.extend(texts(&["SIMPLE  =", ""]));
    seeds
}

/// An image with world coordinates, and the parameters of all distortions.
fn on_the_sky((longitude, latitude): (&str, &str)) -> Vec<u8> {
    let text = |value: &str| CardValue::Text(value.to_owned());
    let numbers = [
        ("CRPIX1", 1.5),
        ("CRPIX2", 2.0),
        ("CRVAL1", 150.0),
        ("CRVAL2", 2.0),
        ("CD1_1", -1e-4),
        ("CD1_2", 1e-5),
        ("CD2_1", 1e-5),
        ("CD2_2", 1e-4),
        ("LONPOLE", 180.0),
        ("PV1_1", 1.0),
        ("PV2_1", 1.0),
        ("PV2_3", -50.0),
        ("PV1_39", 1e-3),
        ("A_2_0", 1e-6),
        ("B_0_3", 1e-9),
    ];
    // Each distortion alone.
    let is_sip = longitude.ends_with("-SIP");
    let keep = |key: &str| match key.split_once('_').map_or(key, |(name, _)| name) {
        "PV1" => longitude == "RA---TPV",
        "PV2" => !is_sip,
        "A" | "B" => is_sip,
        _ => true,
    };
    let mut cards = vec![("CTYPE1".to_owned(), text(longitude)), ("CTYPE2".to_owned(), text(latitude))];
    cards.extend(["A_ORDER", "B_ORDER"].map(|key| (key.to_owned(), CardValue::Integer(3))));
    cards.extend(
        numbers.iter().filter(|(key, _)| keep(key)).map(|(key, value)| ((*key).to_owned(), CardValue::Real(*value))),
    );
    let mut file = Writer::new();
    file.image(&[2, 3], &[1.0; 6], &cards);
    file.into_bytes()
}
