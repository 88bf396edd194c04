//! A short list in place.

/// A list of at most `N` entries that keeps its order and never allocates.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<T, const N: usize> {
    entries: [T; N],
    len: usize,
}

impl<T: Copy, const N: usize> Places<T, N> {
    /// An empty list; `filler` stands in the places not in use.
    pub(crate) fn new(filler: T) -> Self {
        Self {
            entries: [filler; N],
            len: 0,
        }
    }

    pub(crate) fn all(&self) -> &[T] {
        &self.entries[..self.len]
    }

    pub(crate) fn all_mut(&mut self) -> &mut [T] {
        &mut self.entries[..self.len]
    }

    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends an entry; a full list stays as it is.
    pub(crate) fn push(&mut self, entry: T) {
        debug_assert!(self.len < N, "a list of {N} is full");
        if let Some(place) = self.entries.get_mut(self.len) {
            *place = entry;
            self.len += 1;
        }
    }

    /// Takes out entry `k`, which must be in use; later ones move up.
    pub(crate) fn remove(&mut self, k: usize) {
        self.entries[k..self.len].rotate_left(1);
        self.len -= 1;
    }
}
