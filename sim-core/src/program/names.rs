//! Names of nodes, in one text: a million strings of their own would be most of a program.

use crate::ids::{Id, NodeId};

/// The name of every node.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    text: String,
    /// Where every name ends.
    ends: Vec<u32>,
}

impl Names {
    /// Keeps `names`, in node order.
    pub(crate) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::new());
        for name in names {
            text.push_str(name);
            ends.push(u32::try_from(text.len()).expect("names of at most 2^24 nodes fit 4 GiB"));
        }
        text.shrink_to_fit();
        Self { text, ends }
    }

    /// The name of `node`.
    pub(crate) fn get(&self, node: NodeId) -> &str {
        let start = node.index().checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[start..self.ends[node.index()] as usize]
    }

    /// Bytes that they take.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + size_of_val(self.ends.as_slice())
    }
}
