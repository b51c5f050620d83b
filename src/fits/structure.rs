//! The positions of the HDUs in a file (FITS 4.0, sections 3 and 4.4), checked against the size of the file.

use super::{
    Hdu, HduKind, Limits,
    bytes::Bytes,
    error::Reason,
    header::{CARD, Header},
};

/// Bytes of a block: headers and data are padded to a multiple of it.
pub(super) const BLOCK: usize = 2880;
/// The most blocks of a header: 18 MB.
const MAX_HEADER_BLOCKS: usize = 6400;
/// The most HDUs of a file, more than any survey writes, and the most bytes of their headers, which are kept in memory.
const MAX_HDUS: usize = 100_000;
const MAX_HEADER_BYTES: u64 = 512 << 20;

/// All HDUs in order. The walk ends at the first one with an unusable header or cut-off data, which is listed as damaged; so is
/// what follows the last HDU, unless it is padding. (FITS 4.0 allows special records there, section 3.5, and deprecates them; an
/// HDU whose first card is damaged looks the same.)
pub(super) fn walk(bytes: &Bytes, limits: &Limits) -> Result<Vec<Hdu>, Reason> {
    check_magic(bytes)?;
    let mut hdus = Vec::new();
    let (mut at, mut header_bytes) = (0, 0);
    while at < bytes.len() {
        if at > 0 && !bytes.get(at, 8).is_ok_and(|start| *start == *b"XTENSION") {
            if let Some(damage) = not_padding(bytes, at)? {
                hdus.push(damaged(hdus.len(), Header::default(), bytes.len(), damage));
            }
            break;
        }
        if hdus.len() == MAX_HDUS || header_bytes > MAX_HEADER_BYTES {
            let most = format!("{MAX_HDUS} HDUs, and {} MiB of headers", MAX_HEADER_BYTES >> 20);
            let damage = format!("is one too many: a file has at most {most}");
            hdus.push(damaged(hdus.len(), Header::default(), bytes.len(), damage));
            break;
        }
        let hdu = read_hdu(bytes, at, hdus.len(), limits);
        header_bytes += hdu.header.cards().len() as u64 * CARD as u64;
        at = hdu.end();
        let is_last = hdu.damage.is_some() && hdu.kind == HduKind::Damaged;
        hdus.push(hdu);
        if is_last {
            break;
        }
    }
    Ok(hdus)
}

/// What is wrong with the bytes after the last HDU; `None` for padding with zeros or blanks.
fn not_padding(bytes: &Bytes, at: u64) -> Result<Option<String>, Reason> {
    let rest = bytes.len() - at;
    let mut from = at;
    while from < bytes.len() {
        let piece = bytes.get(from, (bytes.len() - from).min(1 << 20) as usize)?;
        // All bits but the one of a blank, without a branch: files in memory can have much padding.
        if piece.iter().fold(0, |bits, byte| bits | byte & !b' ') != 0 {
            return Ok(Some(format!("is not an HDU: {rest} bytes that do not begin with `XTENSION`")));
        }
        from += piece.len() as u64;
    }
    Ok(None)
}

fn damaged(index: usize, header: Header, data_start: u64, damage: String) -> Hdu {
    Hdu {
        index,
        file: 0,
        kind: HduKind::Damaged,
        shape: Vec::new(),
        header,
        data_start,
        data_len: 0,
        damage: Some(damage),
    }
}

fn check_magic(bytes: &Bytes) -> Result<(), Reason> {
    if bytes.len() == 0 {
        return Err("is empty, expected a FITS file".into());
    }
    let start = bytes.get(0, bytes.len().min(9) as usize)?;
    let packed = match start.as_ref() {
        [0x1f, 0x9d, ..] => Some("compress (LZW)"),
        [b'P', b'K', 3, 4, ..] => Some("zip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        _ => None,
    };
    if let Some(packed) = packed {
        return Err(
            format!("is compressed with {packed}, expected FITS, plain or compressed with gzip, bzip2 or xz").into()
        );
    }
    if *start != *b"SIMPLE  =" {
        return Err(format!("begins with `{}`, expected `SIMPLE  =`: not a FITS file", start.escape_ascii()).into());
    }
    Ok(())
}

fn read_hdu(bytes: &Bytes, at: u64, index: usize, limits: &Limits) -> Hdu {
    let damaged = |header, data_start, damage| damaged(index, header, data_start, damage);
    let (header, data_start) = match read_header(bytes, at) {
        Ok(header) => header,
        Err(reason) => return damaged(Header::default(), bytes.len(), reason),
    };
    let DataUnit { kind, axes, bytes: data_len, damage } = match data_unit(&header, index == 0) {
        Ok(unit) => unit,
        Err(reason) => return damaged(header, bytes.len(), reason),
    };
    let missing = data_start.checked_add(data_len).is_none_or(|end| end > bytes.len());
    if missing {
        let have = bytes.len().saturating_sub(data_start);
        return damaged(
            header,
            bytes.len(),
            format!("is cut off: {data_len} bytes of data expected, {have} are there"),
        );
    }
    let shape = if kind == HduKind::Compressed { image_shape(&header, "ZNAXIS") } else { Ok(axes) };
    let shape = shape.and_then(|shape| bounded(shape, kind, limits)).and_then(|shape| damage.map_or(Ok(shape), Err));
    let (shape, damage) = shape.map_or_else(|reason| (Vec::new(), Some(reason)), |shape| (shape, None));
    Hdu { index, file: 0, kind, shape, header, data_start, data_len, damage }
}

/// The cards before `END`, and the position of the data.
fn read_header(bytes: &Bytes, at: u64) -> Result<(Header, u64), String> {
    let mut cards = Vec::with_capacity(BLOCK);
    for block in 1..=MAX_HEADER_BLOCKS {
        let start = at + ((block - 1) * BLOCK) as u64;
        let Ok(piece) = bytes.get(start, BLOCK) else {
            return Err(format!("is cut off in its header: no `END` before byte {}", bytes.len()));
        };
        if let Some(end) = piece.chunks_exact(CARD).position(|card| card.starts_with(b"END     ")) {
            cards.extend_from_slice(&piece[..end * CARD]);
            return Ok((Header::new(cards), at + (block * BLOCK) as u64));
        }
        // A header is text. Without this check a damaged length would read pixels as cards up to the limit.
        if piece.contains(&0) {
            return Err("has zero bytes in its header, expected text up to a card `END`".into());
        }
        cards.extend_from_slice(&piece);
    }
    Err(format!("has no `END` in {MAX_HEADER_BLOCKS} blocks of header"))
}

/// The data that a header describes.
struct DataUnit {
    kind: HduKind,
    /// Slowest first.
    axes: Vec<usize>,
    bytes: u64,
    /// Why it is not an image, though its length is known.
    damage: Option<String>,
}

fn data_unit(header: &Header, primary: bool) -> Result<DataUnit, String> {
    let bitpix = header.required("BITPIX")?;
    if ![8, 16, 32, 64, -32, -64].contains(&bitpix) {
        return Err(format!("key `BITPIX` is {bitpix}, expected 8, 16, 32, 64, -32 or -64"));
    }
    let axes = image_shape(header, "NAXIS")?;
    let groups = primary && header.is_true("GROUPS") && axes.last() == Some(&0);
    let extension = header.text("XTENSION").unwrap_or_default();
    let kind = match extension.as_str() {
        _ if groups => HduKind::Groups,
        _ if primary && !header.is_true("SIMPLE") => {
            return Err("key `SIMPLE` is not `T`: not a standard FITS file".into());
        }
        _ if primary => HduKind::Image,
        "IMAGE" | "IUEIMAGE" => HduKind::Image,
        "BINTABLE" | "A3DTABLE" if header.is_true("ZIMAGE") => HduKind::Compressed,
        "BINTABLE" | "A3DTABLE" | "TABLE" => HduKind::Table,
        other => return Err(format!("key `XTENSION` is `{other}`, expected `IMAGE`, `BINTABLE` or `TABLE`")),
    };
    let of_data = if groups { &axes[..axes.len() - 1] } else { &axes[..] };
    let pixels = if of_data.is_empty() { Some(0) } else { product(of_data) };
    let count = |key: &str, default: i64| -> Result<u64, String> {
        let value = if primary && !groups { default } else { header.integer(key)?.unwrap_or(default) };
        u64::try_from(value).map_err(|_| format!("key `{key}` is {value}, expected 0 or more"))
    };
    let (pcount, gcount) = (count("PCOUNT", 0)?, count("GCOUNT", 1)?);
    let damage = (kind == HduKind::Image && (pcount, gcount) != (0, 1))
        .then(|| format!("has `PCOUNT` {pcount} and `GCOUNT` {gcount}, expected 0 and 1 in an image"));
    let bytes = pixels
        .and_then(|pixels| pixels.checked_add(pcount))
        .and_then(|elements| elements.checked_mul(gcount))
        .and_then(|elements| elements.checked_mul(bitpix.unsigned_abs() / 8))
        .ok_or_else(|| format!("has the shape {axes:?}, more than any file can hold"))?;
    Ok(DataUnit { kind, axes, bytes, damage })
}

/// The axes of `NAXIS` and `NAXISn` (or `ZNAXIS` and `ZNAXISn`), slowest first, which is the order of the pixels.
pub(super) fn image_shape(header: &Header, key: &str) -> Result<Vec<usize>, String> {
    let axes = header.required(key)?;
    if !(0..=999).contains(&axes) {
        return Err(format!("key `{key}` is {axes}, expected 0 to 999"));
    }
    let mut shape = Vec::with_capacity(axes as usize);
    for axis in (1..=axes).rev() {
        let key = format!("{key}{axis}");
        let length = header.required(&key)?;
        shape.push(usize::try_from(length).map_err(|_| format!("key `{key}` is {length}, expected 0 or more"))?);
    }
    Ok(shape)
}

/// The product of axes; `None` if it overflows.
fn product(axes: &[usize]) -> Option<u64> {
    if axes.contains(&0) {
        return Some(0);
    }
    axes.iter().try_fold(1u64, |product, axis| product.checked_mul(*axis as u64))
}

/// The shape, if an image of it is within the limits.
fn bounded(shape: Vec<usize>, kind: HduKind, limits: &Limits) -> Result<Vec<usize>, String> {
    let image = matches!(kind, HduKind::Image | HduKind::Compressed);
    let pixels = if shape.is_empty() { Some(0) } else { product(&shape) };
    if image && pixels.is_none_or(|pixels| pixels > limits.pixels) {
        return Err(format!("has the shape {shape:?}, more than the allowed {} pixels", limits.pixels));
    }
    Ok(shape)
}
