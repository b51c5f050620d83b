//! Constant tensors of a graph, as numbers.

use super::super::wire::{
    TensorProto,
    data_type::{DOUBLE, FLOAT, FLOAT16, INT32, INT64},
};

/// A constant tensor in row-major order (the last index varies fastest).
#[derive(Debug, Clone, PartialEq)]
pub(in crate::onnx) struct Constant {
    pub(in crate::onnx) dims: Vec<usize>,
    data: ConstantData,
}

#[derive(Debug, Clone, PartialEq)]
enum ConstantData {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

impl Constant {
    pub(super) fn scalar(value: f32) -> Self {
        Self { dims: vec![], data: ConstantData::Floats(vec![value]) }
    }

    pub(super) fn vector(values: Vec<f32>) -> Self {
        Self { dims: vec![values.len()], data: ConstantData::Floats(values) }
    }

    pub(super) fn integers(dims: Vec<usize>, values: Vec<i64>) -> Self {
        Self { dims, data: ConstantData::Integers(values) }
    }

    /// Its floating-point numbers.
    pub(in crate::onnx) fn floats(&self) -> Result<&[f32], String> {
        match &self.data {
            ConstantData::Floats(values) => Ok(values),
            ConstantData::Integers(_) => {
                Err("unsupported: a constant of integers where floating-point numbers are expected".into())
            }
        }
    }

    /// Its integers: shapes and axes.
    pub(in crate::onnx) fn ints(&self) -> Result<&[i64], String> {
        match &self.data {
            ConstantData::Integers(values) => Ok(values),
            ConstantData::Floats(_) => {
                Err("unsupported: a constant of floating-point numbers where integers are expected".into())
            }
        }
    }

    /// Converts to another `TensorProto.DataType`.
    pub(super) fn cast(self, to: i64) -> Result<Self, String> {
        match (i32::try_from(to), &self.data) {
            (Ok(FLOAT | DOUBLE), ConstantData::Floats(_)) | (Ok(INT64 | INT32), ConstantData::Integers(_)) => Ok(self),
            (Ok(FLOAT | DOUBLE), ConstantData::Integers(values)) => {
                let floats = values.iter().map(|&value| value as f32).collect();
                Ok(Self { dims: self.dims, data: ConstantData::Floats(floats) })
            }
            _ => Err(format!("unsupported: Cast of a constant to data type {to}")),
        }
    }

    /// Reads a tensor, whether its numbers are raw bytes or a list.
    pub(super) fn read(tensor: &TensorProto) -> Result<Self, String> {
        let name = &tensor.name;
        if tensor.data_location != 0 {
            return Err(format!("unsupported: the numbers of tensor `{name}` are in an external file"));
        }
        let dims: Result<Vec<usize>, _> = tensor.dims.iter().map(|&dim| usize::try_from(dim)).collect();
        let dims = dims.map_err(|_| format!("tensor `{name}` has the invalid shape {:?}", tensor.dims))?;
        let raw = tensor.raw_data.as_ref();
        let data = match tensor.data_type {
            FLOAT if raw.is_empty() => ConstantData::Floats(tensor.float_data.clone()),
            FLOAT => ConstantData::Floats(numbers(raw, f32::from_le_bytes)),
            DOUBLE if raw.is_empty() => ConstantData::Floats(tensor.double_data.iter().map(|&x| x as f32).collect()),
            DOUBLE => ConstantData::Floats(numbers(raw, |bytes| f64::from_le_bytes(bytes) as f32)),
            FLOAT16 if raw.is_empty() => {
                ConstantData::Floats(tensor.int32_data.iter().map(|&bits| half(bits as u16)).collect())
            }
            FLOAT16 => ConstantData::Floats(numbers(raw, |bytes| half(u16::from_le_bytes(bytes)))),
            INT64 if raw.is_empty() => ConstantData::Integers(tensor.int64_data.clone()),
            INT64 => ConstantData::Integers(numbers(raw, i64::from_le_bytes)),
            INT32 if raw.is_empty() => {
                ConstantData::Integers(tensor.int32_data.iter().copied().map(i64::from).collect())
            }
            INT32 => ConstantData::Integers(numbers(raw, |bytes| i64::from(i32::from_le_bytes(bytes)))),
            other => return Err(format!("unsupported: tensor `{name}` has data type {other}")),
        };
        let found = match &data {
            ConstantData::Floats(values) => values.len(),
            ConstantData::Integers(values) => values.len(),
        };
        if dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim)) != Some(found) {
            return Err(format!("tensor `{name}` has {found} numbers, its shape is {dims:?}"));
        }
        Ok(Self { dims, data })
    }
}

fn numbers<const N: usize, T>(raw: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    raw.as_chunks().0.iter().map(|bytes| number(*bytes)).collect()
}

/// An IEEE 754 half-precision number: 1 sign bit, 5 bits of exponent, 10 of fraction. Exact in single precision.
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
    fn decodes_half_precision_as_ieee_754_defines_it() {
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
    fn reads_raw_bytes_and_lists_alike() {
        let raw = TensorProto {
            dims: vec![2],
            data_type: FLOAT,
            raw_data: [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>().into(),
            ..TensorProto::default()
        };
        let listed =
            TensorProto { dims: vec![2], data_type: FLOAT, float_data: vec![1.5, -2.0], ..TensorProto::default() };
        assert_eq!(Constant::read(&raw), Constant::read(&listed));
        assert_eq!(Constant::read(&raw).unwrap().floats().unwrap(), [1.5, -2.0]);
    }

    #[test]
    fn reports_why_a_tensor_cannot_be_read() {
        let tensor = TensorProto { dims: vec![3], data_type: FLOAT, name: "w".into(), ..TensorProto::default() };
        assert!(Constant::read(&tensor).unwrap_err().contains("`w` has 0 numbers, its shape is [3]"));
        let outside = TensorProto { data_location: 1, ..tensor.clone() };
        assert!(Constant::read(&outside).unwrap_err().contains("external file"));
        let text = TensorProto { data_type: 8, ..tensor };
        assert!(Constant::read(&text).unwrap_err().contains("type 8"));
    }
}
