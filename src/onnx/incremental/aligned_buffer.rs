//! Buffers that begin at a 64-byte boundary: a vector load that crosses a cache line takes twice as long.

use std::ops::{Deref, DerefMut};

const BOUNDARY: usize = 64;
const SPARE: usize = BOUNDARY / size_of::<f32>() - 1;

/// Numbers that begin at a boundary of 64 bytes. All are 0 after creation.
#[derive(Debug)]
pub(super) struct AlignedBuffer {
    data: Vec<f32>,
    start: usize,
}

impl AlignedBuffer {
    pub(super) fn new(length: usize) -> Self {
        let data = vec![0.0; length + SPARE];
        let start = data.as_ptr().align_offset(BOUNDARY).min(SPARE);
        Self { data, start }
    }

    pub(super) fn of(values: &[f32]) -> Self {
        let mut buffer = Self::new(values.len());
        buffer[..values.len()].copy_from_slice(values);
        buffer
    }

    /// Ensures a length. The content is lost if the buffer grows.
    pub(super) fn reserve(&mut self, length: usize) {
        if self.len() < length {
            *self = Self::new(length.next_power_of_two());
        }
    }
}

impl Deref for AlignedBuffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.data[self.start..]
    }
}

impl DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..]
    }
}
