//! How a graph is used, from its card: which inputs and outputs, and what their numbers are.
//!
//! What the graph declares has to agree with the card; what it does not tell, the card has to.

use crate::{
    card::{Card, ChannelOrder, ColumnsInput, Head, ImageInput, ImageSize, OutputValues},
    onnx::{
        ModelPort,
        graph::{Adapter, Hazard, InputShape, ModelGraph, ModelInput, OutputForm, OutputKind, OutputUse, PixelScaling},
        wire::data_type,
    },
};

/// How a graph is used.
#[derive(Debug, Clone)]
pub(super) struct GraphUse {
    pub(super) adapter: Adapter,
    /// The head, as the graph has it: a card of two classes and one output that ends in a sigmoid is a `sigmoid`.
    pub(super) head: Head,
    /// Length of the latent vector, if there is one.
    pub(super) latent_length: Option<usize>,
    /// Why the head cannot be computed from the latent vector, if it cannot.
    pub(super) no_head: Option<String>,
    /// Whether the graph leaves open that its logits are probabilities.
    pub(super) may_be_probabilities: bool,
}

/// A part of the settings or of the card that does not fit the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Misfit {
    pub(super) message: String,
    pub(super) help: String,
}

fn misfit<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Misfit> {
    Err(Misfit { message: message.into(), help: help.into() })
}

/// Finds the inputs and outputs of a graph that a card names. `single_images` accepts models that depend on their batch.
///
/// # Errors
/// All parts that do not fit.
pub(super) fn resolve(card: &Card, graph: &ModelGraph, single_images: bool) -> Result<GraphUse, Vec<Misfit>> {
    let mut misfits: Vec<Misfit> =
        graph.hazards().iter().filter_map(|hazard| hazard_misfit(hazard, single_images)).collect();
    let inputs = keep(inputs(card, graph), &mut misfits);
    let latent = keep(latent(card, graph), &mut misfits).flatten();
    let head = keep(head(card, graph), &mut misfits);
    let (Some(inputs), Some(found)) = (inputs, head) else { return Err(misfits) };
    if !misfits.is_empty() {
        return Err(misfits);
    }
    let HeadUse { head, output, probabilities, may_be_probabilities } = found;
    let latent_length = latent.as_ref().map(|latent| latent.length);
    let adapter = Adapter { inputs, head: output, latent, probabilities };
    let no_head = adapter
        .head
        .as_ref()
        .zip(adapter.head_start(graph))
        .and_then(|(output, start)| graph.no_head(&start.value, &output.value));
    Ok(GraphUse { adapter, head, latent_length, no_head, may_be_probabilities })
}

fn keep<T>(found: Result<T, Misfit>, misfits: &mut Vec<Misfit>) -> Option<T> {
    found.map_err(|misfit| misfits.push(misfit)).ok()
}

fn hazard_misfit(hazard: &Hazard, single_images: bool) -> Option<Misfit> {
    let (message, help) = match hazard {
        Hazard::Random(node) => (
            format!("the model draws random numbers ({node}): its answers cannot be repeated"),
            "export it in evaluation mode; of a variational encoder, export the mean",
        ),
        Hazard::BatchStatistics(_) if single_images => return None,
        Hazard::BatchStatistics(node) => (
            format!("the answer of the model depends on the other images of a batch ({node} in training mode)"),
            "export it in evaluation mode, or accept it on single images with `max_batch_size: 1`",
        ),
    };
    Some(Misfit { message, help: help.into() })
}

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

fn inputs(card: &Card, graph: &ModelGraph) -> Result<Vec<ModelInput>, Misfit> {
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
    for ColumnsInput { input: name, columns, .. } in &card.columns {
        inputs.push(columns_input(input(graph, name)?, columns.len())?);
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
    let element = input_element(port)?;
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

fn columns_input(port: &ModelPort, columns: usize) -> Result<ModelInput, Misfit> {
    let element = input_element(port)?;
    let is_row = port.dims.as_ref().is_none_or(|dims| dims.len() == 2);
    if element == data_type::UINT8 || !is_row || port.numbers_per_row().is_some_and(|numbers| numbers != columns) {
        let name = &port.name;
        return misfit(
            format!("input `{name}` is {port}, the card gives it {columns} columns"),
            "list as many columns as the input has numbers",
        );
    }
    let shape = InputShape::Numbers(columns);
    Ok(ModelInput { name: port.name.clone(), element, fixed_batch: port.fixed_batch(), shape })
}

fn input_element(port: &ModelPort) -> Result<i32, Misfit> {
    match port.element {
        Some(element @ (data_type::FLOAT | data_type::FLOAT16 | data_type::DOUBLE | data_type::UINT8)) => Ok(element),
        _ => misfit(
            format!("input `{}` is {port}, expected float32, float16, float64 or uint8", port.name),
            "export the model with such an input",
        ),
    }
}

/// The output of the head, and what it is.
struct HeadUse {
    head: Head,
    output: Option<OutputUse>,
    probabilities: Option<OutputUse>,
    may_be_probabilities: bool,
}

fn output<'a>(graph: &'a ModelGraph, name: &str, key: &str) -> Result<&'a ModelPort, Misfit> {
    let Some(port) = graph.interface.output(name) else {
        return misfit(
            format!("the graph has no output `{name}`; it has {}", listed(&graph.interface.outputs)),
            format!("name the output by `{key}`, in the card or in the settings"),
        );
    };
    Ok(port)
}

fn head_port<'a>(card: &Card, graph: &'a ModelGraph) -> Result<&'a ModelPort, Misfit> {
    if let Some(name) = &card.logits {
        return output(graph, name, "logits");
    }
    let others = [&card.latent, &card.errors];
    let free =
        graph.interface.outputs.iter().filter(|port| !others.iter().any(|other| other.as_ref() == Some(&port.name)));
    match (graph.interface.output("logits"), free.collect::<Vec<_>>().as_slice()) {
        (Some(logits), _) => Ok(logits),
        (None, [only]) => Ok(only),
        (None, []) => misfit(
            format!("the graph has no output for the head beside `{}`", card.latent.as_deref().unwrap_or_default()),
            "say `head: embedding` in the card of an encoder (`format: 3`)",
        ),
        (None, _) => output(graph, "logits", "logits"),
    }
}

fn head(card: &Card, graph: &ModelGraph) -> Result<HeadUse, Misfit> {
    if card.head == Head::Embedding {
        return Ok(HeadUse { head: Head::Embedding, output: None, probabilities: None, may_be_probabilities: false });
    }
    let port = head_port(card, graph)?;
    let end = graph.output_end(&port.name);
    let single = port.numbers_per_row() == Some(1);
    let mut head = card.head;
    if head == Head::Softmax && card.classes.len() == 2 && single {
        if end.kind != OutputKind::Sigmoid {
            return misfit(
                format!("output `{}` is {port}: one number for two classes", port.name),
                "if it is the logit or the probability of the second class, say `head: sigmoid` in the card (`format: 3`)",
            );
        }
        head = Head::Sigmoid;
    }
    let names = card.names().len();
    let length = if head == Head::Sigmoid { 1 } else { names };
    check_output_element(port, &end.kind)?;
    if port.element.is_some() && !port.may_be_row_of(length) {
        let what = match head {
            Head::Sigmoid => "a `sigmoid` head has one number".to_owned(),
            Head::Regression => format!("the card names {names} values"),
            Head::Dirichlet => format!("the card names {names} answers"),
            _ => format!("the card names {names} classes"),
        };
        return misfit(
            format!("output `{}` is {port}, {what}", port.name),
            "correct the card, or name another output by `logits`",
        );
    }
    let (value, form) = output_form(card, head, graph, port)?;
    let may_be_probabilities = form == OutputForm::Plain && value == port.name && matches!(head, Head::Softmax);
    let is_output = value == port.name;
    let mut of = OutputUse {
        element: port.element.filter(|_| is_output),
        output_element: port.element,
        output: port.name.clone(),
        value,
        form,
        length: if head == Head::Sigmoid { 2 } else { length },
        trailing_axes: 0,
        joined: None,
    };
    if let Some(errors) = &card.errors {
        let port = output(graph, errors, "errors")?;
        check_output_element(port, &OutputKind::Unbounded)?;
        if !port.may_be_row_of(length) {
            return misfit(format!("output `{errors}` is {port}, the card names {names} values"), "correct the card");
        }
        (of.joined, of.length) = (Some(errors.clone()), 2 * length);
    }
    let in_lower_precision = port.element == Some(data_type::FLOAT16) && !is_output;
    let are_probabilities = matches!(end.kind, OutputKind::Softmax | OutputKind::Sigmoid);
    let own =
        || OutputUse { value: port.name.clone(), element: port.element, form: OutputForm::Plain, length, ..of.clone() };
    let probabilities = (in_lower_precision && are_probabilities).then(own);
    Ok(HeadUse { head, output: Some(of), probabilities, may_be_probabilities })
}

fn check_output_element(port: &ModelPort, kind: &OutputKind) -> Result<(), Misfit> {
    match (port.element, kind) {
        (_, OutputKind::ClassNumber) => misfit(
            format!("output `{}` holds the number of a class, expected a logit or a probability for each class", port.name),
            "export the model without its ArgMax",
        ),
        (Some(data_type::FLOAT | data_type::FLOAT16 | data_type::DOUBLE), _)
        // A ZipMap of scikit-learn, which is left out.
        | (None, OutputKind::Softmax | OutputKind::LogSoftmax | OutputKind::Sigmoid) => Ok(()),
        _ => misfit(
            format!("output `{}` is {port}, expected float32, float16 or float64", port.name),
            "name another output by `logits`, or export the model without class maps",
        ),
    }
}

/// The value that is read for an output, and what is done to it.
fn output_form(card: &Card, head: Head, graph: &ModelGraph, port: &ModelPort) -> Result<(String, OutputForm), Misfit> {
    let name = port.name.clone();
    if matches!(head, Head::Dirichlet | Head::Regression) {
        return Ok((name, OutputForm::Plain));
    }
    let end = graph.output_end(&name);
    let contradicts = |ends_in: &str, values: OutputValues| {
        misfit(
            format!("output `{name}` ends in {ends_in}, and the card says that it holds {}", values.name()),
            "correct `output` in the card",
        )
    };
    let wrong_head = |ends_in: &str, help: &str| {
        misfit(format!("output `{name}` ends in {ends_in}, and the head of the card is `{}`", head.name()), help)
    };
    let before = end.before.clone();
    match (&end.kind, head, card.output) {
        (OutputKind::WrongAxis, _, _) => misfit(
            format!("output `{name}` ends in a Softmax over an axis that is not that of the classes"),
            "export the model with a softmax over the classes",
        ),
        (OutputKind::Softmax, Head::Softmax, Some(OutputValues::Logits)) => {
            contradicts("Softmax", OutputValues::Logits)
        }
        (OutputKind::Softmax | OutputKind::LogSoftmax, Head::Softmax, _) => Ok((before, OutputForm::Plain)),
        (OutputKind::Softmax | OutputKind::LogSoftmax, _, _) => {
            wrong_head("Softmax", "say `head: softmax` in the card")
        }
        (OutputKind::Sigmoid, Head::Softmax, _) => wrong_head(
            "Sigmoid",
            "say `head: multilabel` in the card for labels that do not exclude each other, or export the model with a Softmax",
        ),
        (OutputKind::Sigmoid, _, Some(OutputValues::Logits)) => contradicts("Sigmoid", OutputValues::Logits),
        (OutputKind::Sigmoid, Head::Sigmoid, _) => Ok((graph.copied_number(&before), OutputForm::TwoClasses)),
        (OutputKind::Sigmoid, _, _) => Ok((before, OutputForm::Plain)),
        (OutputKind::Unbounded, _, Some(OutputValues::Probabilities)) => {
            contradicts("sums of products, which have no bounds", OutputValues::Probabilities)
        }
        (OutputKind::Unbounded, Head::Sigmoid, _) => Ok((graph.copied_number(&name), OutputForm::TwoClasses)),
        (OutputKind::Unbounded, _, _) => Ok((name, OutputForm::Plain)),
        (OutputKind::Unknown(op), _, None) => misfit(
            format!("the graph does not tell whether output `{name}` holds logits or probabilities: it ends in {op}"),
            "say `output: logits` or `output: probabilities` in the card (`format: 3`)",
        ),
        (OutputKind::Unknown(_) | OutputKind::ClassNumber, Head::Sigmoid, Some(OutputValues::Probabilities)) => {
            Ok((name, OutputForm::TwoClassesOfProbability))
        }
        (OutputKind::Unknown(_) | OutputKind::ClassNumber, Head::Sigmoid, _) => Ok((name, OutputForm::TwoClasses)),
        (OutputKind::Unknown(_) | OutputKind::ClassNumber, Head::Softmax, Some(OutputValues::Probabilities)) => {
            Ok((name, OutputForm::Log))
        }
        (OutputKind::Unknown(_) | OutputKind::ClassNumber, _, Some(OutputValues::Probabilities)) => {
            Ok((name, OutputForm::Logit))
        }
        (OutputKind::Unknown(_) | OutputKind::ClassNumber, _, _) => Ok((name, OutputForm::Plain)),
    }
}

fn latent(card: &Card, graph: &ModelGraph) -> Result<Option<OutputUse>, Misfit> {
    let Some(name) = &card.latent else { return Ok(None) };
    let port = output(graph, name, "latent")?;
    check_output_element(port, &OutputKind::Unbounded)?;
    let Some(length) = card.latent_size.or_else(|| port.numbers_per_row()) else {
        return misfit(
            format!("output `{name}` is {port}: the length of the latent vector is not declared"),
            "say `latent_size` in the card",
        );
    };
    if !port.may_be_row_of(length) {
        return misfit(
            format!("output `{name}` is {port}, expected latent vectors of {length} numbers"),
            "correct `latent_size`, or name another output by `latent`",
        );
    }
    let trailing_axes = port.dims.as_ref().map_or(0, |dims| dims.len().saturating_sub(2));
    let (value, output) = (name.clone(), name.clone());
    let (element, form) = (port.element, OutputForm::Plain);
    let output_element = element;
    Ok(Some(OutputUse { value, output, element, output_element, form, length, trailing_axes, joined: None }))
}

fn listed(ports: &[ModelPort]) -> String {
    let shown: Vec<String> = ports.iter().take(20).map(|port| format!("`{}` ({port})", port.name)).collect();
    if shown.is_empty() { "none".into() } else { shown.join(", ") }
}
