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

impl<K: Id, V: Clone> Csr<K, V> {
    /// Groups `pairs` by key into `rows` rows; within a row the order of `pairs` is kept. O(rows + pairs).
    ///
    /// # Panics
    /// If a key is not below `rows`.
    pub fn group(rows: usize, pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let pairs: Vec<(K, V)> = pairs.into_iter().collect();
        let mut offsets = vec![0_u32; rows + 1];
        for (key, _) in &pairs {
            offsets[key.index() + 1] += 1;
        }
        for row in 0..rows {
            offsets[row + 1] += offsets[row];
        }
        let mut order: Vec<u32> = vec![0; pairs.len()];
        let mut next = offsets.clone();
        for (position, (key, _)) in pairs.iter().enumerate() {
            let slot = &mut next[key.index()];
            order[*slot as usize] = u32::try_from(position).expect("rows are counted in 32 bits");
            *slot += 1;
        }
        let values = order.iter().map(|&position| pairs[position as usize].1.clone()).collect();
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
