//! Counts the fields of an ONNX file before it is decoded.
//!
//! A message of two bytes becomes a struct of hundreds, so a file of 20 MB could take gigabytes. Numbers of tensors are one field each.

use super::wire::ModelProto;
use prost::{Message, bytes::Bytes};

/// The most fields of a file. Large models have thousands of nodes, of about ten fields each.
const MAX_FIELDS: usize = 1 << 20;

/// How deep messages are followed. The decoder refuses deeper ones.
const MAX_DEPTH: usize = 100;

/// The fields of a message that are messages, by their tags in `onnx.proto3`, as far as they are decoded.
struct Nested(&'static [(u64, &'static Nested)]);

static LEAF: Nested = Nested(&[]);
static TENSOR: Nested = Nested(&[(13, &LEAF)]);
static SPARSE: Nested = Nested(&[(1, &TENSOR), (2, &TENSOR)]);
static ATTRIBUTE: Nested =
    Nested(&[(5, &TENSOR), (6, &GRAPH), (10, &TENSOR), (11, &GRAPH), (22, &SPARSE), (23, &SPARSE)]);
static NODE: Nested = Nested(&[(5, &ATTRIBUTE)]);
static SHAPE: Nested = Nested(&[(1, &LEAF)]);
static TENSOR_TYPE: Nested = Nested(&[(2, &SHAPE)]);
static TYPE: Nested = Nested(&[(1, &TENSOR_TYPE)]);
static VALUE: Nested = Nested(&[(2, &TYPE)]);
static GRAPH: Nested = Nested(&[(1, &NODE), (5, &TENSOR), (11, &VALUE), (12, &VALUE), (15, &SPARSE)]);
static FUNCTION: Nested = Nested(&[(7, &NODE)]);
static MODEL: Nested = Nested(&[(7, &GRAPH), (8, &LEAF), (14, &LEAF), (25, &FUNCTION)]);

/// Why a file cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DecodeModelError {
    #[error("not an ONNX model: {0}")]
    NotOnnx(#[from] prost::DecodeError),
    #[error("more than {MAX_FIELDS} protobuf fields, which no model of images has")]
    TooManyFields,
}

/// Decodes the outer messages of an ONNX file.
pub(crate) fn decode_model(file: Bytes) -> Result<ModelProto, DecodeModelError> {
    check_fields(&file)?;
    Ok(ModelProto::decode(file)?)
}

/// The length that a file would have by the lengths of its outer fields; `None` if it does not begin like an ONNX file.
pub(crate) fn promised_length(file: &[u8]) -> Option<usize> {
    let mut rest = file;
    // The version of the format comes first, in files of all exporters.
    if varint(&mut rest)? != 8 {
        return None;
    }
    varint(&mut rest)?;
    loop {
        let mut after = rest;
        let Some(key) = varint(&mut after) else { return Some(file.len() + 1) };
        match key & 7 {
            0 => varint(&mut after).map(drop)?,
            2 => {
                let length = usize::try_from(varint(&mut after)?).ok()?;
                let Some(content) = after.get(length..) else { return (file.len() - after.len()).checked_add(length) };
                after = content;
            }
            _ => return None,
        }
        if !(1..=64).contains(&(key >> 3)) {
            return None;
        }
        if after.is_empty() {
            return Some(file.len());
        }
        rest = after;
    }
}

/// Refuses a file whose messages would take too much memory.
pub(super) fn check_fields(file: &[u8]) -> Result<(), DecodeModelError> {
    count(file, &MODEL, MAX_FIELDS, 0).map(drop).ok_or(DecodeModelError::TooManyFields)
}

/// The fields of a message and of those in it; `None` if they are more than `most`. Stops where the bytes are not protobuf, as the decoder
/// will.
fn count(mut bytes: &[u8], message: &Nested, most: usize, depth: usize) -> Option<usize> {
    let mut fields = 0;
    while let Some((tag, content)) = field(&mut bytes) {
        fields += 1;
        if let Some((_, inner)) = message.0.iter().find(|(nested, _)| *nested == tag).filter(|_| depth < MAX_DEPTH) {
            fields += count(content, inner, most.checked_sub(fields)?, depth + 1)?;
        }
        if fields > most {
            return None;
        }
    }
    Some(fields)
}

/// Takes a field: its tag, and its content if it has a length.
fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let key = varint(bytes)?;
    let length = match key & 7 {
        0 => {
            varint(bytes)?;
            0
        }
        1 => 8,
        2 => usize::try_from(varint(bytes)?).ok()?,
        // The marks of a group.
        3 | 4 => 0,
        5 => 4,
        _ => return None,
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((key >> 3, content))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{
        super::wire::{AttributeProto, GraphProto, NodeProto, ValueInfoProto},
        *,
    };

    /// A model with nodes, each of an input and an attribute.
    fn model(nodes: usize) -> Bytes {
        let attribute = vec![AttributeProto { name: "axis".into(), i: 1, ..AttributeProto::default() }];
        let node = NodeProto { input: vec!["image".into()], attribute, ..NodeProto::default() };
        let input = vec![ValueInfoProto { name: "image".into(), ..ValueInfoProto::default() }];
        let graph = GraphProto { node: vec![node.encode_to_vec().into(); nodes], input, ..GraphProto::default() };
        ModelProto { graph: Some(graph), ..ModelProto::default() }.encode_to_vec().into()
    }

    #[test]
    fn counts_the_fields_of_messages_in_messages() {
        // The graph, an input and its name; of each node itself, its input and attribute, and two fields of the attribute.
        assert_eq!(count(&model(3), &MODEL, MAX_FIELDS, 0), Some(3 + 3 * 5));
        assert_eq!(count(&model(3), &MODEL, 18, 0), Some(18));
        assert_eq!(count(&model(3), &MODEL, 17, 0), None);
        assert_eq!(count(&[], &MODEL, 0, 0), Some(0));
    }

    #[test]
    fn a_file_of_small_messages_is_refused_before_it_is_decoded() {
        assert!(decode_model(model(1000)).is_ok());
        // Attributes of no bytes: two bytes each in the file, two hundred in memory.
        let node = [0x2A, 0].repeat(MAX_FIELDS);
        let graph = GraphProto { node: vec![node.into()], ..GraphProto::default() };
        let file = ModelProto { graph: Some(graph), ..ModelProto::default() }.encode_to_vec();
        let error = decode_model(file.into()).expect_err("refused").to_string();
        assert_eq!(error, "more than 1048576 protobuf fields, which no model of images has");
        // In the nodes of a function, which only the search for external files decodes.
        let function = [&[0x3A, 4][..], &[0x2A, 0, 0x2A, 0]].concat().repeat(MAX_FIELDS / 2);
        let file = ModelProto { functions: vec![function.into()], ..ModelProto::default() }.encode_to_vec();
        assert!(matches!(check_fields(&file), Err(DecodeModelError::TooManyFields)));
        let error = decode_model(Bytes::from_static(b"import onnx")).expect_err("not ONNX").to_string();
        assert!(error.starts_with("not an ONNX model: "), "{error}");
    }

    #[test]
    fn the_shipped_models_have_few_fields() {
        let bytes = std::fs::read("models/resnet18-da.onnx").expect("a model");
        let fields = count(&bytes, &MODEL, MAX_FIELDS, 0).expect("few fields");
        assert!((100..10_000).contains(&fields), "{fields}");
    }
}
