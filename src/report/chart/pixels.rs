//! Small images as PNG in the text of a page.

use base64::{Engine, engine::general_purpose::STANDARD};
use plotters::style::RGBColor;
use png::{BitDepth, ColorType, Encoder};

use super::bug;
use crate::error::Result;

/// An image of few colours, row after row from the top, as a `data:` address.
pub(in crate::report) fn indexed(width: usize, places: &[u8], colours: &[RGBColor]) -> Result<String> {
    let palette: Vec<u8> = colours.iter().flat_map(|RGBColor(r, g, b)| [*r, *g, *b]).collect();
    let mut bytes = Vec::new();
    let size = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let mut encoder = Encoder::new(&mut bytes, size(width), size(places.len() / width.max(1)));
    encoder.set_color(ColorType::Indexed);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_palette(palette);
    encoder.write_header().and_then(|mut writer| writer.write_image_data(places)).map_err(bug)?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_few_colours_can_be_read_back() {
        let address = indexed(2, &[0, 1, 1, 0], &[RGBColor(1, 2, 3), RGBColor(4, 5, 6)]).expect("an image");
        let bytes =
            STANDARD.decode(address.strip_prefix("data:image/png;base64,").expect("an address")).expect("base64");
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().expect("a PNG");
        let mut places = [0; 4];
        reader.next_frame(&mut places).expect("an image");
        assert_eq!((places, reader.info().size()), ([0, 1, 1, 0], (2, 2)));
    }
}
