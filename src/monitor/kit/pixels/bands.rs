//! The bands of an image that get electrons or a flux, and the image before its stretch.

use arrow::datatypes::Schema;

use super::{AddTo, AddedFlux};
use crate::{
    batch::{ImageLayout, Unit},
    error::{Code, Diagnostic, quoted_list},
    image::stretch::Asinh,
};

/// The bands that electrons are added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ElectronBands {
    /// One band, which a gene chooses.
    Chosen,
    /// The band of this index.
    Fixed(usize),
    All,
}

/// The indices of the bands that get a flux: those of an image in nJy.
pub(super) fn flux_bands(flux: &AddedFlux, layout: &ImageLayout) -> Result<Vec<usize>, Diagnostic> {
    if layout.unit != Unit::NanoJansky || layout.stretch.is_some() {
        let found = layout.unit.name();
        let message =
            format!("`values.flux` adds nJy to the scored image, which is in the unit `{found}`, expected `nJy`");
        let help = match layout.unit {
            Unit::Stretched => {
                "score an image that is not stretched, or use `values: { electrons: ... }` with the image before its stretch"
            }
            _ => "score an image whose source gives fluxes in nJy",
        };
        return Err(Diagnostic::at("values.flux", Code::WrongColumn, message).help(help));
    }
    let index = |name: &String| {
        layout.bands.iter().position(|band| band == name).ok_or_else(|| unknown_band("values.flux.bands", name, layout))
    };
    flux.bands.iter().map(index).collect()
}

fn unknown_band(key: &str, name: &str, layout: &ImageLayout) -> Diagnostic {
    let message = format!("the image does not have the band `{name}`");
    let help = format!("its bands are {}", quoted_list(&layout.bands));
    Diagnostic::at(key, Code::OutOfRange, message).help(help)
}

pub(super) fn electron_bands(add_to: &AddTo, layout: &ImageLayout) -> Result<ElectronBands, Diagnostic> {
    match add_to {
        AddTo::OneBand => Ok(ElectronBands::Chosen),
        AddTo::AllBands => Ok(ElectronBands::All),
        AddTo::Band(name) => {
            let band = layout.bands.iter().position(|band| band == name).map(ElectronBands::Fixed);
            band.ok_or_else(|| unknown_band("values.electrons.add_to.band", name, layout))
        }
    }
}

/// The stretch from the image that electrons are added to, to the scored image.
pub(super) fn stretch_before(image: &str, layout: &ImageLayout, input: &Schema) -> Result<Asinh, Diagnostic> {
    let wrong =
        |message: String, help: &str| Diagnostic::at("values.electrons.image", Code::WrongColumn, message).help(help);
    let before = input.field_with_name(image).ok().and_then(ImageLayout::of);
    let before = before
        .ok_or_else(|| wrong(format!("`{image}` is not an image column"), "name the image before its stretch"))?;
    if before.unit != Unit::Electron {
        let message = format!("`{image}` is in the unit `{}`, expected `electron`", before.unit.name());
        return Err(wrong(message, "name the image of an `observe` step"));
    }
    if (before.height, before.width, &before.bands) != (layout.height, layout.width, &layout.bands) {
        let message = format!("`{image}` has another shape or other bands than the scored image");
        return Err(wrong(message, "name the image that was stretched"));
    }
    let stretch = layout.stretch.and_then(|stretch| Asinh::new(stretch.lo, stretch.hi));
    stretch.ok_or_else(|| {
        let message = "the stretch of the scored image does not have the same constants for every row".to_owned();
        wrong(message, "stretch it with the constants of the model, without `scale_to`")
    })
}
