//! The inputs of a graph, from its card: element types, orders of axes, and what is done to pixels.

use super::{Misfit, listed, misfit};
use crate::{
    card::{Card, ChannelOrder, ColumnsInput, ImageInput, ImageSize},
    onnx::{
        ModelPort,
        graph::{InputShape, ModelGraph, ModelInput, PixelScaling},
        wire::data_type,
    },
};

/// An image input as a card gives it.
struct CardImage<'a> {
    bands: usize,
    size: ImageSize,
    channels: Option<ChannelOrder>,
    scale: Option<f64>,
    offset: Option<f64>,
    mean: &'a Option<Vec<f64>>,
    std: &'a Option<Vec<f64>>,
}

pub(super) fn inputs(card: &Card, graph: &ModelGraph) -> Result<Vec<ModelInput>, Misfit> {
    let ports = &graph.interface.inputs;
    let further: Vec<&str> = card
        .images
        .iter()
        .map(|image| image.input.as_str())
        .chain(card.columns.iter().map(|columns| columns.input.as_str()))
        .collect();
    let free: Vec<&ModelPort> = ports.iter().filter(|port| !further.contains(&port.name.as_str())).collect();
    let main = match (&card.input, free.as_slice()) {
        (Some(name), _) => input(graph, name)?,
        (None, [only]) => only,
        (None, _) => match graph.interface.input("image") {
            Some(image) => image,
            None => {
                return misfit(
                    format!("the graph has the inputs {}, and the card names none of them", listed(ports)),
                    "name the input with the image by `input`",
                );
            }
        },
    };
    if let Some(other) = free.iter().find(|port| port.name != main.name) {
        return misfit(
            format!("the graph has an input `{}` ({other}) that the card does not name", other.name),
            "add it to the card: `images` for a further image, `columns` for numbers of columns (`format: 3`)",
        );
    }
    let Card { bands, size, channels, scale, offset, mean, std, .. } = card;
    let own =
        CardImage { bands: bands.len(), size: *size, channels: *channels, scale: *scale, offset: *offset, mean, std };
    let mut inputs = vec![image_input(main, &own, card.format)?];
    for ImageInput { input: name, bands, size, channels, scale, offset, mean, std, .. } in &card.images {
        let image = CardImage {
            bands: bands.len(),
            size: *size,
            channels: *channels,
            scale: *scale,
            offset: *offset,
            mean,
            std,
        };
        inputs.push(image_input(input(graph, name)?, &image, card.format)?);
    }
    for columns in &card.columns {
        inputs.push(columns_input(input(graph, &columns.input)?, columns)?);
    }
    let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    if let Some(twice) = (1..names.len()).find(|i| names[..*i].contains(&names[*i])) {
        return misfit(
            format!("the card names the input `{}` twice", names[twice]),
            "name each input once: by `input`, in `images`, or in `columns`",
        );
    }
    let mut batches: Vec<usize> = inputs.iter().filter_map(|input| input.fixed_batch).collect();
    batches.dedup();
    if batches.len() > 1 {
        return misfit(
            format!("the inputs are fixed to batches of {batches:?}"),
            "export the model with a dynamic batch",
        );
    }
    Ok(inputs)
}

fn input<'a>(graph: &'a ModelGraph, name: &str) -> Result<&'a ModelPort, Misfit> {
    let Some(port) = graph.interface.input(name) else {
        return misfit(
            format!("the graph has no input `{name}`; it has {}", listed(&graph.interface.inputs)),
            "name the input by `input`, in the card or in the settings",
        );
    };
    Ok(port)
}

fn image_input(port: &ModelPort, image: &CardImage, format: u32) -> Result<ModelInput, Misfit> {
    let name = &port.name;
    let element = match port.element {
        Some(data_type::UINT8) => data_type::UINT8,
        _ => floating_point(port, "or uint8")?,
    };
    if element == data_type::UINT8 && image.scale.is_none() {
        return misfit(
            format!("input `{name}` is uint8, and the card does not say how pixels become integers"),
            "give `scale` and `offset` in the card (`format: 3`): 255 for stretched images",
        );
    }
    let (bands, height, width) = (image.bands, image.size.height(), image.size.width());
    let fits = |expected: [usize; 3]| match &port.dims {
        None => true,
        Some(dims) => dims.len() == 4 && dims[1..].iter().zip(expected).all(|(dim, n)| dim.is_none_or(|dim| dim == n)),
    };
    let (first, last) = (fits([bands, height, width]), fits([height, width, bands]));
    let declared = match image.channels {
        Some(ChannelOrder::First) => (first, false),
        Some(ChannelOrder::Last) => (false, last),
        // Cards of older formats are of inputs `[N, band, y, x]` wherever that is possible.
        None if format < 3 && first => (true, false),
        None => (first, last),
    };
    let channels_last = match declared {
        (true, false) => false,
        (false, true) => true,
        (true, true) if bands == 1 => false,
        (true, true) => {
            return misfit(
                format!("input `{name}` is {port}: it may be [N, band, y, x] or [N, y, x, band]"),
                "say `channels: first` or `channels: last` in the card",
            );
        }
        (false, false) => {
            return misfit(
                format!(
                    "input `{name}` is {port}, the card declares images of {bands} bands and {height}x{width} pixels"
                ),
                "correct `bands`, `size` or `channels` of the card",
            );
        }
    };
    let single = |number: Option<f64>| number.map(|number| number as f32);
    let singles =
        |numbers: &Option<Vec<f64>>| numbers.as_ref().map(|numbers| numbers.iter().map(|n| *n as f32).collect());
    let scaling = PixelScaling {
        scale: single(image.scale),
        offset: single(image.offset),
        mean: singles(image.mean),
        std: singles(image.std),
    };
    let shape = InputShape::Image { bands, height, width, channels_last, scaling };
    Ok(ModelInput { name: name.clone(), element, fixed_batch: port.fixed_batch(), shape })
}

fn columns_input(port: &ModelPort, card: &ColumnsInput) -> Result<ModelInput, Misfit> {
    let (name, columns) = (&port.name, card.columns.len());
    let element = match port.element {
        Some(element) if data_type::whole_numbers(element).is_some() => element,
        _ => floating_point(port, "or an integer type")?,
    };
    if data_type::whole_numbers(element).is_some() && (card.mean.is_some() || card.std.is_some()) {
        return misfit(
            format!("input `{name}` is {port}, and the card scales its columns by `mean` and `std`"),
            "leave them out: integers enter as they are",
        );
    }
    let is_row = port.dims.as_ref().is_none_or(|dims| dims.len() == 2);
    if !is_row || port.numbers_per_row().is_some_and(|numbers| numbers != columns) {
        return misfit(
            format!("input `{name}` is {port}, the card gives it {columns} columns"),
            "list as many columns as the input has numbers",
        );
    }
    let shape = InputShape::Numbers(columns);
    Ok(ModelInput { name: port.name.clone(), element, fixed_batch: port.fixed_batch(), shape })
}

fn floating_point(port: &ModelPort, others: &str) -> Result<i32, Misfit> {
    match port.element {
        Some(element @ (data_type::FLOAT | data_type::FLOAT16 | data_type::DOUBLE)) => Ok(element),
        _ => misfit(
            format!("input `{}` is {port}, expected float32, float16, float64 {others}", port.name),
            "export the model with such an input",
        ),
    }
}
