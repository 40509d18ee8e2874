//! Compressed sparse rows: lists of entities per entity, frozen to two flat arrays.

use crate::ids::Id;
use std::marker::PhantomData;
use std::ops::Range;

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

/// For every `K` a range of positions: consecutive, together all from 0 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranges<K> {
    /// Where every range starts, and where the last one ends.
    offsets: Vec<u32>,
    kind: PhantomData<fn(K)>,
}

impl<K: Id> Ranges<K> {
    /// The ranges of `rows` keys, given the key of every position, ascending.
    ///
    /// # Panics
    /// If a key is not below `rows`, or they do not ascend.
    pub fn of_sorted(rows: usize, keys: impl IntoIterator<Item = K>) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        let mut count = 0_u32;
        for key in keys {
            assert!(key.index() < rows && key.index() + 1 >= offsets.len(), "keys ascend below {rows}");
            offsets.resize(key.index() + 1, count);
            count += 1;
        }
        offsets.resize(rows + 1, count);
        Self { offsets, kind: PhantomData }
    }

    /// The range of `key`.
    #[must_use]
    pub fn row(&self, key: K) -> Range<u32> {
        self.offsets[key.index()]..self.offsets[key.index() + 1]
    }

    /// Number of keys.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Bytes of the array.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(self.offsets.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeId;

    #[test]
    fn ranges_cover_all_positions_in_order() {
        let ranges: Ranges<NodeId> = Ranges::of_sorted(5, [1, 1, 3].map(NodeId));
        let rows: Vec<Range<u32>> = (0..5).map(|node| ranges.row(NodeId(node))).collect();
        assert_eq!(rows, [0..0, 0..2, 2..2, 2..3, 3..3]);
        assert_eq!(Ranges::<NodeId>::of_sorted(0, []).rows(), 0);
    }
}
