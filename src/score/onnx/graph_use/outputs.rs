//! The outputs of a graph, from its card: which hold what, and the logits before the last activation.

use super::{Misfit, listed, misfit};
use crate::{
    card::{Card, Head, OutputValues},
    error::quoted_list,
    onnx::{
        ModelPort, ProbabilityKind,
        graph::{ModelGraph, OutputForm, OutputKind, OutputUse},
        wire::data_type,
    },
};

/// The output of the head, and what it is.
pub(super) struct HeadUse {
    pub(super) head: Head,
    pub(super) output: Option<OutputUse>,
    pub(super) probabilities: Option<OutputUse>,
    pub(super) may_be_probabilities: bool,
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

pub(super) fn head(card: &Card, graph: &ModelGraph) -> Result<HeadUse, Misfit> {
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
    if let Some(map) = &end.class_map {
        check_class_map(card, port, &map.labels)?;
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
        length: if form == OutputForm::TwoClasses { 2 } else { length },
        axes: vec![length],
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
    let are_probabilities = matches!(end.kind, OutputKind::Softmax | OutputKind::Sigmoid) && !is_output;
    // What a class map reads is the value before it.
    let (own, element) = match &end.class_map {
        Some(map) => (map.value.clone(), None),
        None => (port.name.clone(), port.element),
    };
    let own = || OutputUse { value: own, element, form: OutputForm::Plain, length, joined: None, ..of.clone() };
    let probabilities = are_probabilities.then(own);
    Ok(HeadUse { head, output: Some(of), probabilities, may_be_probabilities })
}

/// Compares the names in a class map with the classes of the card: its values are in the order of these names.
fn check_class_map(card: &Card, port: &ModelPort, labels: &[String]) -> Result<(), Misfit> {
    let numbers = (0..labels.len()).map(|i| i.to_string());
    if *labels == card.classes || (labels.len() == card.classes.len() && numbers.eq(labels.iter().cloned())) {
        return Ok(());
    }
    let (found, expected) = (quoted_list(labels), quoted_list(&card.classes));
    misfit(
        format!("output `{}` is a map of the classes {found}, the card has {expected}", port.name),
        "list the classes of the card in the order of the map",
    )
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
        // The logarithms of probabilities are logits too; in half precision they are the answer.
        (OutputKind::LogSoftmax, Head::Softmax, _) if port.element == Some(data_type::FLOAT16) => {
            Ok((name, OutputForm::Plain))
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
            Ok((name, OutputForm::OfProbabilities(ProbabilityKind::Positive)))
        }
        (OutputKind::Unknown(_) | OutputKind::ClassNumber, Head::Sigmoid, _) => Ok((name, OutputForm::TwoClasses)),
        (OutputKind::Unknown(_) | OutputKind::ClassNumber, Head::Softmax, Some(OutputValues::Probabilities)) => {
            Ok((name, OutputForm::OfProbabilities(ProbabilityKind::Classes)))
        }
        (OutputKind::Unknown(_) | OutputKind::ClassNumber, _, Some(OutputValues::Probabilities)) => {
            Ok((name, OutputForm::OfProbabilities(ProbabilityKind::Labels)))
        }
        (OutputKind::Unknown(_) | OutputKind::ClassNumber, _, _) => Ok((name, OutputForm::Plain)),
    }
}

pub(super) fn latent(card: &Card, graph: &ModelGraph) -> Result<Option<OutputUse>, Misfit> {
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
    let declared = port.dims.as_ref().and_then(|dims| dims[1..].iter().copied().collect::<Option<Vec<usize>>>());
    let axes = declared.filter(|axes| axes.iter().product::<usize>() == length).unwrap_or_else(|| vec![length]);
    let (value, output) = (name.clone(), name.clone());
    let (element, form) = (port.element, OutputForm::Plain);
    let output_element = element;
    Ok(Some(OutputUse { value, output, element, output_element, form, length, axes, joined: None }))
}
