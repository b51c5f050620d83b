//! Damaged streams: a cut is always found, and nothing makes a decoder panic.

use super::{
    TileDecoder,
    shape::TileBox,
    table::{CompressedTable, TileCompression, TileStream},
};
use crate::{
    fits::{FitsFile, HduKind, Limits},
    random::Stream,
};

/// A stream of a golden file, with what its decoder has to know.
struct Sample<'a> {
    name: String,
    table: &'a CompressedTable,
    stream: TileStream<'a>,
    bytes: &'a [u8],
    tile: TileBox,
}

impl Sample<'_> {
    /// Whether bytes are taken for the stream of the tile.
    fn is_accepted(&self, decoder: &mut TileDecoder, bytes: &[u8]) -> bool {
        decoder.decode(self.table, &self.stream, bytes, &self.tile).is_ok()
    }
}

/// Calls back with streams of all golden files: the first two tiles and the last one.
fn with_samples(mut each: impl FnMut(&Sample)) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/fits");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a file").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "fits"));
    paths.sort();
    let mut files = 0;
    for path in paths {
        let bytes = std::fs::read(&path).expect("a file");
        let file = FitsFile::from_bytes("golden", bytes.clone(), &Limits::default()).expect("a FITS file");
        let Some(hdu) = file.hdus().iter().find(|hdu| hdu.kind == HduKind::Compressed) else { continue };
        let table = CompressedTable::of(&hdu.header, hdu.data_len).expect("a table");
        let data = &bytes[hdu.data_start as usize..][..hdu.data_len as usize];
        files += 1;
        for number in [0, 1, table.grid.tiles() - 1] {
            let Some(row) = data.get(number * table.row_bytes..).filter(|_| number < table.grid.tiles()) else {
                continue;
            };
            let tile = table.grid.tile_box(number);
            let stream = table.stream(&row[..table.row_bytes], &tile).expect("a stream");
            let name = format!("{} tile {number}", path.display());
            let bytes = &data[stream.place.start as usize..stream.place.end as usize];
            each(&Sample { name, table: &table, stream, bytes, tile });
        }
    }
    assert_eq!(files, 24);
}

#[test]
fn every_cut_is_found() {
    let mut decoder = TileDecoder::default();
    with_samples(|sample| {
        let bytes = sample.bytes;
        for length in 0..bytes.len() {
            assert!(!sample.is_accepted(&mut decoder, &bytes[..length]), "{}: {length} bytes", sample.name);
        }
        assert!(sample.is_accepted(&mut decoder, bytes), "{}", sample.name);
        assert!(!sample.is_accepted(&mut decoder, &[bytes, b"more"].concat()), "{}", sample.name);
    });
}

#[test]
fn no_damage_makes_a_decoder_panic() {
    let mut decoder = TileDecoder::default();
    let mut stream = Stream::new(1, "tiles", "damage");
    let (mut accepted, mut all) = (0, 0);
    with_samples(|sample| {
        let mut below = |count: usize| stream.next_u32() as usize % count;
        for _ in 0..4000 {
            let mut bytes = sample.bytes.to_vec();
            for _ in 0..1 + below(3) {
                let at = below(bytes.len());
                match below(5) {
                    0 => bytes[at] = below(256) as u8,
                    1 => bytes[at] = [0, 0xff][below(2)],
                    2 => bytes.rotate_left(at),
                    3 => bytes[at..].fill([0, 0xff][below(2)]),
                    _ => bytes[at] ^= 1 << below(8),
                }
            }
            accepted += usize::from(sample.is_accepted(&mut decoder, &bytes));
            all += 1;
        }
    });
    // Most damage is found, though Rice has no checksum.
    assert!(all > 180_000 && accepted < all / 2, "{accepted} of {all}");
}

#[test]
fn a_stream_of_a_smaller_tile_is_found() {
    let mut decoder = TileDecoder::default();
    with_samples(|sample| {
        // The zeros that fill the last byte of a Rice stream can be a block without differences.
        if let TileCompression::Rice(_) = sample.table.compression {
            return;
        }
        for axis in (0..sample.tile.sides.len()).filter(|axis| sample.tile.sides[*axis] > 1) {
            for longer in [1, sample.tile.sides[axis]] {
                let mut tile = sample.tile.clone();
                tile.sides[axis] += longer;
                let is_accepted = decoder.decode(sample.table, &sample.stream, sample.bytes, &tile).is_ok();
                assert!(!is_accepted, "{}: {:?}", sample.name, tile.sides);
            }
        }
    });
}
