//! SVG to PNG, with the letters of DejaVu whatever fonts a machine has.

use std::sync::{Arc, LazyLock};

use resvg::{
    tiny_skia::{Pixmap, Transform},
    usvg::{Options, Tree, fontdb::Database},
};

use super::bug;
use crate::error::Result;

/// Pixels of the PNG for one of the SVG: a figure of 720 is 1800 pixels wide, 300 dpi over 15 cm.
const SCALE: f32 = 2.5;

const FAMILY: &str = "DejaVu Sans";

static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut fonts = Database::new();
    fonts.load_font_data(dejavu::sans::regular().to_vec());
    fonts.set_sans_serif_family(FAMILY);
    Arc::new(fonts)
});

/// The picture as PNG.
pub(in crate::report) fn png(svg: &str) -> Result<Vec<u8>> {
    pixmap(svg, SCALE)?.encode_png().map_err(bug)
}

/// The picture in pixels, `scale` of them for one of the SVG.
pub(super) fn pixmap(svg: &str, scale: f32) -> Result<Pixmap> {
    let options = Options { fontdb: FONTS.clone(), font_family: FAMILY.into(), ..Options::default() };
    let tree = Tree::from_str(svg, &options).map_err(bug)?;
    let size = |length: f32| (length * scale).ceil() as u32;
    let pixmap = Pixmap::new(size(tree.size().width()), size(tree.size().height()));
    let mut pixmap = pixmap.ok_or_else(|| bug("it has no size"))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    Ok(pixmap)
}
