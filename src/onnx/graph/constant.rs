//! Constant tensors of a graph, as numbers.

use super::wire;

/// `TensorProto.DataType`
pub(super) const FLOAT: i32 = 1;
const INT32: i32 = 6;
pub(super) const INT64: i32 = 7;
const HALF: i32 = 10;
pub(super) const DOUBLE: i32 = 11;

/// A constant: its shape and its numbers, the last index fastest.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Tensor {
    pub(in super::super) dims: Vec<usize>,
    data: Data,
}

#[derive(Debug, Clone, PartialEq)]
enum Data {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

impl Tensor {
    pub(super) fn scalar(value: f32) -> Self {
        Self { dims: vec![], data: Data::Floats(vec![value]) }
    }

    pub(super) fn vector(values: Vec<f32>) -> Self {
        Self { dims: vec![values.len()], data: Data::Floats(values) }
    }

    pub(super) fn integers(dims: Vec<usize>, values: Vec<i64>) -> Self {
        Self { dims, data: Data::Integers(values) }
    }

    /// Its floating-point numbers.
    pub(in super::super) fn floats(&self) -> Result<&[f32], String> {
        match &self.data {
            Data::Floats(values) => Ok(values),
            Data::Integers(_) => Err("unsupported: integers where numbers were expected".into()),
        }
    }

    /// Its integers: shapes and axes.
    pub(in super::super) fn ints(&self) -> Result<&[i64], String> {
        match &self.data {
            Data::Integers(values) => Ok(values),
            Data::Floats(_) => Err("unsupported: numbers where integers were expected".into()),
        }
    }

    /// The same as another `TensorProto.DataType`.
    pub(super) fn cast(self, to: i64) -> Result<Self, String> {
        match (i32::try_from(to), &self.data) {
            (Ok(FLOAT | DOUBLE), Data::Floats(_)) | (Ok(INT64 | INT32), Data::Integers(_)) => Ok(self),
            (Ok(FLOAT | DOUBLE), Data::Integers(values)) => {
                let floats = values.iter().map(|&value| value as f32).collect();
                Ok(Self { dims: self.dims, data: Data::Floats(floats) })
            }
            _ => Err(format!("unsupported: Cast of a constant to the type {to}")),
        }
    }

    /// What a file says of a tensor.
    pub(super) fn read(tensor: &wire::Tensor) -> Result<Self, String> {
        let name = &tensor.name;
        if tensor.data_location != 0 {
            return Err(format!("unsupported: the tensor `{name}` lies outside the file"));
        }
        let dims: Result<Vec<usize>, _> = tensor.dims.iter().map(|&dim| usize::try_from(dim)).collect();
        let dims = dims.map_err(|_| format!("the tensor `{name}` has the shape {:?}", tensor.dims))?;
        let raw = tensor.raw_data.as_slice();
        let data = match tensor.data_type {
            FLOAT if raw.is_empty() => Data::Floats(tensor.float_data.clone()),
            FLOAT => Data::Floats(numbers(raw, f32::from_le_bytes)),
            DOUBLE if raw.is_empty() => Data::Floats(tensor.double_data.iter().map(|&x| x as f32).collect()),
            DOUBLE => Data::Floats(numbers(raw, |bytes| f64::from_le_bytes(bytes) as f32)),
            HALF if raw.is_empty() => Data::Floats(tensor.int32_data.iter().map(|&bits| half(bits as u16)).collect()),
            HALF => Data::Floats(numbers(raw, |bytes| half(u16::from_le_bytes(bytes)))),
            INT64 if raw.is_empty() => Data::Integers(tensor.int64_data.clone()),
            INT64 => Data::Integers(numbers(raw, i64::from_le_bytes)),
            INT32 if raw.is_empty() => Data::Integers(tensor.int32_data.iter().copied().map(i64::from).collect()),
            INT32 => Data::Integers(numbers(raw, |bytes| i64::from(i32::from_le_bytes(bytes)))),
            other => return Err(format!("unsupported: the tensor `{name}` is of the type {other}")),
        };
        let found = match &data {
            Data::Floats(values) => values.len(),
            Data::Integers(values) => values.len(),
        };
        if found != dims.iter().product::<usize>() {
            return Err(format!("the tensor `{name}` has {found} numbers, its shape is {dims:?}"));
        }
        Ok(Self { dims, data })
    }
}

fn numbers<const N: usize, T>(raw: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks().0.iter().map(|bytes| number(*bytes)).collect()
}

/// A number of half precision: a sign, five bits of exponent, ten of fraction.
fn half(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1F), f32::from(bits & 0x3FF));
    sign * match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_is_read_as_the_standard_defines_it() {
        let known = [
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x7BFF, 65504.0),
            (0x0400, 6.103_515_6e-5),
            (0x03FF, 6.097_555e-5),
            (0x0001, 5.960_464_5e-8),
            (0x3555, 0.333_251_95),
            (0x0000, 0.0),
        ];
        for (bits, value) in known {
            assert_eq!(half(bits), value, "{bits:#x}");
        }
        assert_eq!((half(0x7C00), half(0xFC00)), (f32::INFINITY, f32::NEG_INFINITY));
        assert!(half(0x7E00).is_nan() && half(0x8000).is_sign_negative());
    }

    #[test]
    fn raw_numbers_and_lists_of_numbers_are_read_alike() {
        let raw = wire::Tensor {
            dims: vec![2],
            data_type: FLOAT,
            raw_data: [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect(),
            ..wire::Tensor::default()
        };
        let listed =
            wire::Tensor { dims: vec![2], data_type: FLOAT, float_data: vec![1.5, -2.0], ..wire::Tensor::default() };
        assert_eq!(Tensor::read(&raw), Tensor::read(&listed));
        assert_eq!(Tensor::read(&raw).unwrap().floats().unwrap(), [1.5, -2.0]);
    }

    #[test]
    fn a_tensor_that_cannot_be_used_says_why() {
        let tensor = wire::Tensor { dims: vec![3], data_type: FLOAT, name: "w".into(), ..wire::Tensor::default() };
        assert!(Tensor::read(&tensor).unwrap_err().contains("`w` has 0 numbers, its shape is [3]"));
        let outside = wire::Tensor { data_location: 1, ..tensor.clone() };
        assert!(Tensor::read(&outside).unwrap_err().contains("outside the file"));
        let text = wire::Tensor { data_type: 8, ..tensor };
        assert!(Tensor::read(&text).unwrap_err().contains("type 8"));
    }
}
