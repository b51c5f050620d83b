//! Tile-compressed images (FITS 4.0, section 10.1): checked, and repacked for cfitsio.
//!
//! cfitsio trusts what a compressed table says: lengths in the stream of a tile, seeds of a dither, sizes of tiles. So
//! it never sees the table of a file, but one written here, of the keys and columns that count, each checked, and with
//! every stream followed by bytes of its own that stop a decoder which runs past the end.

use std::io::Read;

use super::{
    header::{Header, Value},
    structure::{BLOCK, image_shape},
    write::card,
};

/// A tile of more pixels than this is refused, whatever the limit of an image: cfitsio counts tiles in C `int`s.
const MAX_TILE_PIXELS: u64 = 1 << 28;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Method {
    Rice,
    Gzip,
    Hcompress,
    Plio,
}

struct Column {
    name: String,
    /// Bytes before it in a row, and its own.
    start: usize,
    width: usize,
    /// Type of the elements, and whether a row points to them (`P`, `Q`) and how wide the pointers are.
    letter: u8,
    pointer: Option<usize>,
}

/// A FITS file of two units, the second with the compressed image of a table.
pub(super) fn repack(header: &Header, data: &[u8]) -> Result<Vec<u8>, String> {
    let shape = image_shape(header, "ZNAXIS")?;
    if !(1..=6).contains(&shape.len()) {
        return Err(format!("key `ZNAXIS` is {}, expected 1 to 6", shape.len()));
    }
    let tile = tile_shape(header, &shape)?;
    let method = method(header)?;
    let bitpix = header.required("ZBITPIX")?;
    if ![8, 16, 32, -32, -64].contains(&bitpix) {
        return Err(format!("key `ZBITPIX` is {bitpix}, expected 8, 16, 32, -32 or -64"));
    }
    let columns = columns(header)?;
    let (row_bytes, rows) = (size(header, "NAXIS1")?, size(header, "NAXIS2")?);
    let table_bytes =
        row_bytes.checked_mul(rows).filter(|bytes| *bytes <= data.len()).ok_or("has a table of a wrong size")?;
    let expected: usize = shape.iter().zip(&tile).map(|(length, tile)| length.div_ceil(*tile)).product();
    if rows != expected {
        return Err(format!("has {rows} tiles, expected {expected} of {tile:?} pixels for an image of {shape:?}"));
    }
    if columns.last().map_or(0, |column| column.start + column.width) != row_bytes {
        return Err(format!("key `NAXIS1` is {row_bytes}, which is not the width of its columns"));
    }
    let heap_start = header.integer("THEAP")?.map_or(Ok(table_bytes), usize::try_from).unwrap_or(usize::MAX);
    let heap = data.get(heap_start.max(table_bytes)..).ok_or("key `THEAP` lies outside of the data")?;

    let kept: Vec<&Column> = columns.iter().filter(|column| KEPT.contains(&column.name.as_str())).collect();
    let has = |name: &str| kept.iter().any(|column| column.name == name);
    if !has("COMPRESSED_DATA") {
        return Err("has no column `COMPRESSED_DATA`, expected of a compressed image".into());
    }
    if has("ZSCALE") != has("ZZERO") {
        return Err("has one of the columns `ZSCALE` and `ZZERO`, expected both or none".into());
    }
    let most = (1 << 20) + 16 * shape.iter().product::<usize>() + 4 * data.len();
    let (mut table, mut packed) = (Vec::with_capacity(table_bytes), Vec::with_capacity(heap.len()));
    for (index, row) in data[..table_bytes].chunks_exact(row_bytes.max(1)).enumerate() {
        let pixels = tile_pixels(&shape, &tile, index);
        for column in &kept {
            let field = &row[column.start..column.start + column.width];
            let Some(width) = column.pointer else {
                table.extend_from_slice(field);
                continue;
            };
            let stream = stream(heap, field, width, column)
                .and_then(|stream| checked(stream, column, method, bitpix, &pixels).map(|()| stream))
                .map_err(|reason| format!("tile {}, column `{}`: {reason}", index + 1, column.name))?;
            let start = packed.len() as u64;
            let decoded = !stream.is_empty() && column.name == "COMPRESSED_DATA";
            let (pad, with) = if decoded { padding(stream, method, &pixels) } else { (0, 0) };
            // Rows that all point to the same bytes would make much of little.
            if packed.len() + stream.len() + pad > most {
                return Err(format!("has tiles that would take more than {most} bytes of memory to decode"));
            }
            packed.extend_from_slice(stream);
            packed.resize(packed.len() + pad, with);
            let elements = (packed.len() as u64 - start) / element_bytes(column.letter)? as u64;
            table.extend_from_slice(&elements.to_be_bytes());
            table.extend_from_slice(&start.to_be_bytes());
        }
    }
    assemble(header, &kept, rows, &table, &packed)
}

/// The columns that cfitsio uses.
const KEPT: [&str; 6] = ["COMPRESSED_DATA", "UNCOMPRESSED_DATA", "GZIP_COMPRESSED_DATA", "ZSCALE", "ZZERO", "ZBLANK"];

fn size(header: &Header, key: &str) -> Result<usize, String> {
    let value = header.required(key)?;
    usize::try_from(value).map_err(|_| format!("key `{key}` is {value}, expected 0 or more"))
}

fn method(header: &Header) -> Result<Method, String> {
    match header.text("ZCMPTYPE").unwrap_or_default().as_str() {
        "RICE_1" | "RICE_ONE" => Ok(Method::Rice),
        "GZIP_1" | "GZIP_2" => Ok(Method::Gzip),
        "HCOMPRESS_1" => Ok(Method::Hcompress),
        "PLIO_1" => Ok(Method::Plio),
        other => Err(format!(
            "key `ZCMPTYPE` is `{}`, expected RICE_1, GZIP_1, GZIP_2, HCOMPRESS_1 or PLIO_1",
            other.escape_debug()
        )),
    }
}

/// The sides of a tile, slowest first: whole rows unless `ZTILEn` says otherwise.
fn tile_shape(header: &Header, shape: &[usize]) -> Result<Vec<usize>, String> {
    let mut tile = Vec::new();
    for (axis, length) in (1..=shape.len()).rev().zip(shape) {
        let key = format!("ZTILE{axis}");
        let side = header.integer(&key)?.unwrap_or(if axis == 1 { *length as i64 } else { 1 });
        if *length == 0 || side < 1 {
            return Err(format!("key `{key}` is {side} for an axis of {length} pixels, expected 1 or more"));
        }
        tile.push(side.unsigned_abs().min(*length as u64) as usize);
    }
    let pixels = tile.iter().try_fold(1u64, |product, side| product.checked_mul(*side as u64));
    if pixels.is_none_or(|pixels| pixels > MAX_TILE_PIXELS) {
        return Err(format!("has tiles of {tile:?} pixels, more than the allowed {MAX_TILE_PIXELS}"));
    }
    Ok(tile)
}

/// The sides of one tile: those at the far edges are smaller. The first axis of the file (the last here) runs fastest.
fn tile_pixels(shape: &[usize], tile: &[usize], index: usize) -> Vec<usize> {
    let mut rest = index;
    let mut sides: Vec<usize> = shape
        .iter()
        .zip(tile)
        .rev()
        .map(|(length, side)| {
            let count = length.div_ceil(*side);
            let at = rest % count;
            rest /= count;
            (*side).min(length - at * side)
        })
        .collect();
    sides.reverse();
    sides
}

fn columns(header: &Header) -> Result<Vec<Column>, String> {
    let fields = header.required("TFIELDS")?;
    if !(1..=999).contains(&fields) {
        return Err(format!("key `TFIELDS` is {fields}, expected 1 to 999"));
    }
    let mut columns = Vec::new();
    let mut start = 0usize;
    for number in 1..=fields {
        let key = format!("TFORM{number}");
        let form = header.text(&key).unwrap_or_default();
        let wrong = || format!("key `{key}` is `{}`, expected the type of a column", form.escape_debug());
        let letters = form.trim_start_matches(|letter: char| letter.is_ascii_digit());
        let repeat: usize = match &form[..form.len() - letters.len()] {
            "" => 1,
            digits => digits.parse().map_err(|_| wrong())?,
        };
        let mut letters = letters.bytes();
        let first = letters.next().ok_or_else(wrong)?;
        let (letter, pointer, width) = match first {
            b'P' => (letters.next().ok_or_else(wrong)?, Some(8), 8 * repeat.min(1)),
            b'Q' => (letters.next().ok_or_else(wrong)?, Some(16), 16 * repeat.min(1)),
            b'X' => (first, None, repeat.div_ceil(8)),
            _ => (first, None, repeat.checked_mul(element_bytes(first)?).ok_or_else(wrong)?),
        };
        let name = header.text(&format!("TTYPE{number}")).unwrap_or_default().to_ascii_uppercase();
        if KEPT.contains(&name.as_str()) {
            let pointing = name.ends_with("_DATA");
            if pointing != pointer.is_some() || width == 0 || (!pointing && repeat != 1) || first == b'X' {
                return Err(format!("key `{key}` is `{}`, not what column `{name}` holds", form.escape_debug()));
            }
        }
        columns.push(Column { name, start, width, letter, pointer });
        start = start.checked_add(width).ok_or_else(wrong)?;
    }
    Ok(columns)
}

fn element_bytes(letter: u8) -> Result<usize, String> {
    match letter {
        b'L' | b'B' | b'A' => Ok(1),
        b'I' => Ok(2),
        b'J' | b'E' => Ok(4),
        b'K' | b'D' | b'C' => Ok(8),
        b'M' => Ok(16),
        other => Err(format!("has a column of type `{}`, which no table has", other.escape_ascii())),
    }
}

/// The bytes that a row points to.
fn stream<'a>(heap: &'a [u8], field: &[u8], width: usize, column: &Column) -> Result<&'a [u8], String> {
    let read = |bytes: &[u8]| bytes.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    let (elements, start) = (read(&field[..width / 2]), read(&field[width / 2..]));
    let bytes = elements.checked_mul(element_bytes(column.letter)? as u64);
    let end = bytes.and_then(|bytes| bytes.checked_add(start)).filter(|end| *end <= heap.len() as u64);
    let end = end.ok_or_else(|| {
        format!("points to {elements} elements from byte {start}, outside of the heap of {} bytes", heap.len())
    })?;
    Ok(&heap[start as usize..end as usize])
}

/// Refuses a stream on which a decoder would write or read outside of its buffers.
fn checked(stream: &[u8], column: &Column, method: Method, bitpix: i64, pixels: &[usize]) -> Result<(), String> {
    let total: usize = pixels.iter().product();
    let length = stream.len() / element_bytes(column.letter)?;
    match column.name.as_str() {
        "UNCOMPRESSED_DATA" if length != 0 && length != total => {
            Err(format!("holds {length} pixels, expected {total}"))
        }
        "COMPRESSED_DATA" if !stream.is_empty() => match method {
            Method::Plio if column.letter != b'I' => Err("is not of 16-bit words, which PLIO is".into()),
            Method::Plio => check_plio(stream),
            _ if column.letter != b'B' => Err("is not of bytes".into()),
            Method::Hcompress => check_hcompress(stream, pixels, total),
            Method::Gzip if bitpix == -64 => check_gzip(stream, &[4 * total, 8 * total]),
            Method::Gzip if bitpix == -32 => check_gzip(stream, &[4 * total]),
            // Old files hold 16-bit images as 4-byte integers.
            Method::Gzip => check_gzip(stream, &[4 * total, 2 * total, total]),
            Method::Rice => Ok(()),
        },
        "GZIP_COMPRESSED_DATA" if !stream.is_empty() => match bitpix {
            -32 | -64 => check_gzip(stream, &[bitpix.unsigned_abs() as usize / 8 * total]),
            _ => Err(format!("is not used where `ZBITPIX` is {bitpix}")),
        },
        _ => Ok(()),
    }
}

/// A gzip stream has to give one of these numbers of bytes: cfitsio takes whatever it gives, however much that is.
fn check_gzip(stream: &[u8], expected: &[usize]) -> Result<(), String> {
    let most = expected.iter().max().copied().unwrap_or(0) as u64;
    let mut found = 0;
    let mut unpacked = flate2::bufread::GzDecoder::new(stream).take(most + 1);
    let mut piece = [0; 4096];
    loop {
        match unpacked.read(&mut piece).map_err(|error| format!("cannot be decompressed as gzip: {error}"))? {
            0 if expected.contains(&found) => return Ok(()),
            0 => return Err(format!("gives {found} bytes or more, expected {}", expected[0])),
            read => found += read,
        }
    }
}

/// The head of an HCOMPRESS stream: magic, two sides, scale, sum, and the bit planes of three quadrants.
fn check_hcompress(stream: &[u8], pixels: &[usize], total: usize) -> Result<(), String> {
    let head: &[u8; 25] = stream.first_chunk().ok_or("is shorter than the head of HCOMPRESS")?;
    let side = |at: usize| i32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let (slow, fast) = (side(2), side(6));
    let mut long: Vec<usize> = pixels.iter().copied().filter(|side| *side > 1).collect();
    let mut found: Vec<usize> = [slow, fast].into_iter().filter(|side| *side > 1).map(|side| side as usize).collect();
    long.sort_unstable();
    found.sort_unstable();
    if head[..2] != [0xdd, 0x99] || slow < 1 || fast < 1 || long != found {
        return Err(format!("is an HCOMPRESS image of {slow} by {fast}, expected {total} pixels as {pixels:?}"));
    }
    if head[22..25].iter().any(|planes| *planes > 62) {
        return Err("has more bit planes than a number has bits".into());
    }
    Ok(())
}

/// The head of a PLIO line list: its length and where the instructions begin, counted in words from one.
fn check_plio(stream: &[u8]) -> Result<(), String> {
    let words: Vec<i32> = stream.as_chunks().0.iter().map(|word| i32::from(i16::from_be_bytes(*word))).collect();
    let &[_, second, third, fourth, fifth, ..] = words.as_slice() else {
        return Err("is shorter than the head of PLIO".into());
    };
    let (length, first) = if third > 0 { (third, 4) } else { ((fifth << 15) + fourth, second + 1) };
    if length < 0 || length as usize > words.len() || first < 4 {
        return Err(format!("says that it has {length} words from word {first}, and has {}", words.len()));
    }
    Ok(())
}

/// Bytes to put after a stream that keep a decoder of damaged bits inside of its buffer, and which.
fn padding(stream: &[u8], method: Method, pixels: &[usize]) -> (usize, u8) {
    let total: usize = pixels.iter().product();
    match method {
        Method::Gzip => (0, 0),
        // An instruction may look at the word after it.
        Method::Plio => (4, 0),
        // A block (of 128 pixels at most) begins inside of the stream and takes at most 8 bytes a pixel where no byte is 0.
        Method::Rice => (8 * total.min(128) + 64, 0xff),
        // Of each bit plane: two bits a pixel at most (a quadtree codes it or gives it plainly), the levels of the tree, and
        // once the signs. The head was checked to be there.
        Method::Hcompress => {
            let planes = stream[22..25].iter().copied().max().map_or(0, usize::from);
            (planes * (total / 4 + 32) + total / 8 + 64, 0)
        }
    }
}

fn assemble(header: &Header, kept: &[&Column], rows: usize, table: &[u8], heap: &[u8]) -> Result<Vec<u8>, String> {
    let row_bytes: usize = kept.iter().map(|column| column.pointer.map_or(column.width, |_| 16)).sum();
    let mut file = Vec::with_capacity(4 * BLOCK + table.len() + heap.len());
    for (key, value) in [("SIMPLE", Value::Logical(true)), ("BITPIX", Value::Integer(8)), ("NAXIS", Value::Integer(0))]
    {
        card(&mut file, key, &value);
    }
    end(&mut file);
    let integer = |value: usize| Value::Integer(value as i64);
    for (key, value) in [
        ("XTENSION", Value::Text("BINTABLE".into())),
        ("BITPIX", integer(8)),
        ("NAXIS", integer(2)),
        ("NAXIS1", integer(row_bytes)),
        ("NAXIS2", integer(rows)),
        ("PCOUNT", integer(heap.len())),
        ("GCOUNT", integer(1)),
        ("TFIELDS", integer(kept.len())),
    ] {
        card(&mut file, key, &value);
    }
    for (number, column) in (1..).zip(kept) {
        let form = format!("1{}{}", if column.pointer.is_some() { "Q" } else { "" }, char::from(column.letter));
        card(&mut file, &format!("TTYPE{number}"), &Value::Text(column.name.clone()));
        card(&mut file, &format!("TFORM{number}"), &Value::Text(form));
    }
    image_cards(header, &mut file)?;
    end(&mut file);
    file.extend_from_slice(table);
    file.extend_from_slice(heap);
    file.resize(file.len().next_multiple_of(BLOCK), 0);
    Ok(file)
}

/// The keys of the image in the table, each checked and written anew.
fn image_cards(header: &Header, file: &mut Vec<u8>) -> Result<(), String> {
    card(file, "ZIMAGE", &Value::Logical(true));
    let axes = header.required("ZNAXIS")?;
    let mut integers = vec![("ZBITPIX".to_owned(), -64..=32), ("ZNAXIS".to_owned(), 1..=6)];
    for axis in 1..=axes {
        integers.push((format!("ZNAXIS{axis}"), 1..=i64::from(i32::MAX)));
        integers.push((format!("ZTILE{axis}"), 1..=i64::from(i32::MAX)));
    }
    integers.push(("ZDITHER0".to_owned(), 1..=10_000));
    integers.push(("ZBLANK".to_owned(), i64::from(i32::MIN)..=i64::from(i32::MAX)));
    integers.push(("BLANK".to_owned(), i64::from(i32::MIN)..=i64::from(i32::MAX)));
    for (key, range) in integers {
        let Some(mut value) = header.integer(&key)? else { continue };
        if let Some(axis) = key.strip_prefix("ZTILE") {
            // A tile larger than the image is as large as the image.
            value = value.min(header.required(&format!("ZNAXIS{axis}"))?);
        }
        if !range.contains(&value) {
            return Err(format!("key `{key}` is {value}, expected {} to {}", range.start(), range.end()));
        }
        card(file, &key, &Value::Integer(value));
    }
    for key in ["ZSCALE", "ZZERO", "BSCALE", "BZERO"] {
        if let Some(value) = header.number(key)? {
            card(file, key, &Value::Real(value));
        }
    }
    for key in ["ZCMPTYPE", "ZQUANTIZ"] {
        if let Some(value) = header.text(key) {
            card(file, key, &Value::Text(value.chars().filter(char::is_ascii_graphic).take(40).collect()));
        }
    }
    parameters(header, file)
}

/// The parameters of a method, in the order in which cfitsio takes them, whatever they are called.
fn parameters(header: &Header, file: &mut Vec<u8>) -> Result<(), String> {
    let floats = header.required("ZBITPIX")? < 0;
    let known: &[(&str, i64, &[i64])] = match method(header)? {
        // cfitsio reads the tiles of quantised floats as 4-byte integers, whatever they are.
        Method::Rice if floats => &[("BLOCKSIZE", 32, &[16, 32, 64, 128]), ("BYTEPIX", 4, &[4])],
        Method::Rice => &[("BLOCKSIZE", 32, &[16, 32, 64, 128]), ("BYTEPIX", 4, &[1, 2, 4])],
        Method::Hcompress => &[("SCALE", 0, &[]), ("SMOOTH", 0, &[0, 1])],
        Method::Gzip | Method::Plio => &[],
    };
    for (number, (name, default, allowed)) in (1..).zip(known) {
        let named = (1..=9).find(|number| header.text(&format!("ZNAME{number}")).is_some_and(|found| found == *name));
        let key = format!("ZVAL{}", named.unwrap_or(number));
        let value = if named.is_some() { header.number(&key)? } else { None }.unwrap_or(*default as f64);
        if !allowed.is_empty() && !allowed.contains(&(value as i64)) {
            return Err(format!("key `{key}` ({name}) is {value}, expected one of {allowed:?}"));
        }
        card(file, &format!("ZNAME{number}"), &Value::Text((*name).to_owned()));
        let value = if allowed.is_empty() { Value::Real(value) } else { Value::Integer(value as i64) };
        card(file, &format!("ZVAL{number}"), &value);
    }
    Ok(())
}

fn end(file: &mut Vec<u8>) {
    file.extend_from_slice(format!("{:<80}", "END").as_bytes());
    file.resize(file.len().next_multiple_of(BLOCK), b' ');
}
