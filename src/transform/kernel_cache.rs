//! The convolution kernels that were used last, for PSFs that differ from row to row.

use std::sync::Arc;

use crate::image::blur::BlurKernel;

/// Kernels by what they were made from, the most recently used first. A kernel takes about 90 kB for images of 100x100 pixels,
/// so their number has a limit.
#[derive(Debug, Clone)]
pub(super) struct KernelCache<K> {
    limit: usize,
    recent: Vec<(K, Arc<BlurKernel>)>,
}

impl<K: PartialEq> KernelCache<K> {
    /// An empty cache of at most `limit` kernels.
    pub(super) const fn new(limit: usize) -> Self {
        Self { limit, recent: Vec::new() }
    }

    /// The kernel of a key, if it is cached.
    pub(super) fn get(&mut self, key: &K) -> Option<Arc<BlurKernel>> {
        let at = self.recent.iter().position(|(known, _)| known == key)?;
        self.recent[..=at].rotate_right(1);
        Some(Arc::clone(&self.recent[0].1))
    }

    /// Adds a kernel; drops the one that was not used for longest when the cache is full.
    pub(super) fn insert(&mut self, key: K, kernel: Arc<BlurKernel>) {
        self.recent.truncate(self.limit - 1);
        self.recent.insert(0, (key, kernel));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::blur::Blur;

    #[test]
    fn drops_the_kernel_that_was_not_used_for_longest() {
        let kernel = Arc::new(Blur::new(2, 2).kernel(|_, _| (1.0, 0.0)));
        let mut cache = KernelCache::new(2);
        cache.insert(1, Arc::clone(&kernel));
        cache.insert(2, Arc::clone(&kernel));
        assert!(cache.get(&1).is_some());
        cache.insert(3, kernel);
        assert!(cache.get(&1).is_some() && cache.get(&2).is_none() && cache.get(&3).is_some());
    }
}
