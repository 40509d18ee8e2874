//! Strongly connected components of graphs in flat arrays, without recursion: firing graphs are deep.
//!
//! Source: R. Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Comput. 1(2), 1972.

/// Items grouped by a dense key, in two flat arrays.
pub(crate) struct Rows {
    /// `offsets[k] .. offsets[k + 1]` are the positions of row `k` in `items`; one more than there are rows.
    pub(crate) offsets: Vec<u32>,
    /// Numbers of the items in the order in which they were given, grouped by key.
    pub(crate) items: Vec<u32>,
}

impl Rows {
    /// Groups items 0, 1, 2, … by their `keys`, each below `rows`. O(rows + items).
    pub(crate) fn group(rows: usize, keys: impl Iterator<Item = u32> + Clone) -> Self {
        let mut offsets = vec![0_u32; rows + 1];
        for key in keys.clone() {
            offsets[key as usize + 1] += 1;
        }
        for row in 0..rows {
            offsets[row + 1] += offsets[row];
        }
        let mut next = offsets.clone();
        let mut items = vec![0; offsets[rows] as usize];
        for (item, key) in (0..).zip(keys) {
            let slot = &mut next[key as usize];
            items[*slot as usize] = item;
            *slot += 1;
        }
        Self { offsets, items }
    }

    /// The items of row `key`.
    pub(crate) fn row(&self, key: usize) -> &[u32] {
        &self.items[self.offsets[key] as usize..self.offsets[key + 1] as usize]
    }
}

/// Which component every node is in.
pub(crate) struct Components {
    /// Component of each node. Numbered so that an edge between components leads to a lower number.
    pub(crate) of: Vec<u32>,
    /// Number of components.
    pub(crate) count: usize,
}

const NONE: u32 = u32::MAX;

/// The strongly connected components of the graph whose node `v` has edges to `target(e)` for all `e` in row `v` of `edges`.
pub(crate) fn strong_components(edges: &Rows, target: impl Fn(u32) -> u32) -> Components {
    let nodes = edges.offsets.len() - 1;
    let mut component = vec![NONE; nodes];
    let mut number = vec![NONE; nodes]; // order of discovery
    let mut low = vec![NONE; nodes]; // smallest number known to be reachable within the open components
    let mut open: Vec<u32> = Vec::new(); // discovered nodes whose component is not closed
    let mut path: Vec<(u32, u32)> = Vec::new(); // depth-first path: node, position of its next edge
    let (mut discovered, mut count) = (0, 0);
    for start in 0..nodes as u32 {
        if number[start as usize] != NONE {
            continue;
        }
        path.push((start, edges.offsets[start as usize]));
        while let Some((node, position)) = path.last_mut() {
            let v = *node as usize;
            if number[v] == NONE {
                number[v] = discovered;
                low[v] = discovered;
                discovered += 1;
                open.push(*node);
            }
            if *position < edges.offsets[v + 1] {
                let next = target(edges.items[*position as usize]);
                *position += 1;
                if number[next as usize] == NONE {
                    path.push((next, edges.offsets[next as usize]));
                } else if component[next as usize] == NONE {
                    low[v] = low[v].min(number[next as usize]);
                }
                continue;
            }
            path.pop();
            if let Some(&(parent, _)) = path.last() {
                low[parent as usize] = low[parent as usize].min(low[v]);
            }
            if low[v] == number[v] {
                while let Some(member) = open.pop() {
                    component[member as usize] = count;
                    if member as usize == v {
                        break;
                    }
                }
                count += 1;
            }
        }
    }
    Components { of: component, count: count as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn components(nodes: usize, edges: &[(u32, u32)]) -> Vec<u32> {
        let rows = Rows::group(nodes, edges.iter().map(|edge| edge.0));
        strong_components(&rows, |edge| edges[edge as usize].1).of
    }

    #[test]
    fn components_are_numbered_from_the_sinks() {
        assert_eq!(components(4, &[(0, 1), (1, 0), (1, 2), (2, 3), (3, 2)]), [1, 1, 0, 0]);
        assert_eq!(components(3, &[(0, 1), (1, 2)]), [2, 1, 0]);
        assert_eq!(components(2, &[(0, 0)]), [0, 1]);
    }

    #[test]
    fn a_long_ring_needs_no_stack() {
        let nodes = 200_000;
        let edges: Vec<_> = (0..nodes).map(|v| (v, (v + 1) % nodes)).collect();
        assert!(components(nodes as usize, &edges).iter().all(|&component| component == 0));
    }
}
