//! Compressed sparse rows: lists of entities per entity, frozen to two flat arrays.

use crate::ids::Id;
use std::marker::PhantomData;

/// For every `K` a list of `V`, in two flat arrays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csr<K, V> {
    /// `offsets[k] .. offsets[k + 1]` are the positions of row `k`; one more than there are rows.
    offsets: Vec<u32>,
    values: Vec<V>,
    kind: PhantomData<fn(K)>,
}

impl<K: Id, V: Copy> Csr<K, V> {
    /// Groups `pairs` by key into `rows` rows; within a row the order of `pairs` is kept. O(rows + pairs); the pairs are gone
    /// through twice, so that they need not be kept.
    ///
    /// # Panics
    /// If a key is not below `rows`.
    pub fn group(rows: usize, pairs: impl IntoIterator<Item = (K, V), IntoIter: Clone>) -> Self {
        let pairs = pairs.into_iter();
        let mut offsets = vec![0_u32; rows + 1];
        for (key, _) in pairs.clone() {
            offsets[key.index() + 1] += 1;
        }
        for row in 0..rows {
            offsets[row + 1] = offsets[row].checked_add(offsets[row + 1]).expect("pairs are counted in 32 bits");
        }
        let mut next = offsets.clone();
        let mut values = Vec::new();
        for (key, value) in pairs {
            if values.is_empty() {
                values = vec![value; offsets[rows] as usize];
            }
            let slot = &mut next[key.index()];
            values[*slot as usize] = value;
            *slot += 1;
        }
        Self { offsets, values, kind: PhantomData }
    }

    /// Freezes rows that are given in order.
    pub fn from_rows(rows: impl IntoIterator<Item: IntoIterator<Item = V>>) -> Self {
        let (mut offsets, mut values) = (vec![0], Vec::new());
        for row in rows {
            values.extend(row);
            offsets.push(u32::try_from(values.len()).expect("rows are counted in 32 bits"));
        }
        Self { offsets, values, kind: PhantomData }
    }

    /// The list of `key`.
    #[must_use]
    pub fn row(&self, key: K) -> &[V] {
        let row = key.index();
        &self.values[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }
}
