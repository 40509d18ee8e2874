//! Weighted graphs: what a partition divides, and what coarsening makes of it.

use std::ops::{Add, AddAssign, Sub};

/// What a vertex, or several, weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::shard) struct Weight {
    /// Words that are read, written and sent per metacycle, and firings.
    pub(in crate::shard) load: u64,
    /// Words of memory.
    pub(in crate::shard) memory: u64,
    pub(super) nodes: u64,
}

impl Add for Weight {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { load: self.load + other.load, memory: self.memory + other.memory, nodes: self.nodes + other.nodes }
    }
}

impl AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sub for Weight {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { load: self.load - other.load, memory: self.memory - other.memory, nodes: self.nodes - other.nodes }
    }
}

impl std::iter::Sum for Weight {
    fn sum<I: Iterator<Item = Self>>(weights: I) -> Self {
        weights.fold(Self::default(), Add::add)
    }
}

/// The end of an edge: whom it leads to, and the words that cross it per metacycle, in both directions together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) to: u32,
    /// At most the frames of a program, which are counted in 27 bits.
    pub(super) words: u32,
}

/// A graph without loops and parallel edges; every edge is listed at both ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Graph {
    /// The edges of vertex v are those from `offsets[v]` to `offsets[v + 1]`.
    offsets: Vec<u32>,
    edges: Vec<Edge>,
    weights: Vec<Weight>,
    /// By vertex: its place in an order in which neighbours are near each other.
    places: Vec<u32>,
}

impl Graph {
    /// The graph of vertices with these weights and places, and of edges that may be listed several times, in one direction.
    pub(super) fn new(
        weights: Vec<Weight>,
        places: Vec<u32>,
        edges: impl Iterator<Item = (u32, u32, u32)> + Clone,
    ) -> Self {
        let mut offsets = vec![0_u32; weights.len() + 1];
        for (a, b, _) in edges.clone() {
            offsets[a as usize + 1] += 1;
            offsets[b as usize + 1] += 1;
        }
        for v in 0..weights.len() {
            offsets[v + 1] += offsets[v];
        }
        let mut next = offsets.clone();
        let mut all = vec![Edge::default(); offsets[weights.len()] as usize];
        for (a, b, words) in edges {
            for (from, to) in [(a, b), (b, a)] {
                let slot = &mut next[from as usize];
                all[*slot as usize] = Edge { to, words };
                *slot += 1;
            }
        }
        // Each vertex by itself is a group of one: that merges what is listed several times.
        let own: Vec<u32> = (0..weights.len() as u32).collect();
        Self { offsets, edges: all, weights, places }.contract(&own, own.len())
    }

    pub(super) fn len(&self) -> usize {
        self.weights.len()
    }

    pub(super) fn edges(&self, vertex: u32) -> &[Edge] {
        &self.edges[self.offsets[vertex as usize] as usize..self.offsets[vertex as usize + 1] as usize]
    }

    pub(super) fn weight(&self, vertex: u32) -> Weight {
        self.weights[vertex as usize]
    }

    pub(super) fn weights(&self) -> &[Weight] {
        &self.weights
    }

    /// All vertices by their places.
    pub(super) fn in_order(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.len() as u32).collect();
        order.sort_unstable_by_key(|&vertex| (self.places[vertex as usize], vertex));
        order
    }

    /// The graph whose vertices are groups of this one's: vertex v belongs to group `group[v]`, of `groups`. O(edges).
    pub(super) fn contract(&self, group: &[u32], groups: usize) -> Self {
        let members = members(group, groups);
        let mut coarse = Self {
            offsets: Vec::with_capacity(groups + 1),
            weights: vec![Weight::default(); groups],
            places: vec![u32::MAX; groups],
            edges: Vec::new(),
        };
        coarse.offsets.push(0);
        // Where the edge to a group is listed, if that is among those of the present one.
        let mut listed = vec![u32::MAX; groups];
        for (number, members) in members.iter().enumerate() {
            let start = coarse.edges.len();
            for &vertex in members {
                coarse.weights[number] += self.weights[vertex as usize];
                coarse.places[number] = coarse.places[number].min(self.places[vertex as usize]);
                for edge in self.edges(vertex) {
                    let to = group[edge.to as usize];
                    if to as usize == number {
                        continue;
                    }
                    let slot = listed[to as usize] as usize;
                    match coarse.edges.get_mut(slot) {
                        Some(known) if slot >= start && known.to == to => known.words += edge.words,
                        _ => {
                            listed[to as usize] = coarse.edges.len() as u32;
                            coarse.edges.push(Edge { to, words: edge.words });
                        }
                    }
                }
            }
            coarse.offsets.push(coarse.edges.len() as u32);
        }
        coarse
    }

    /// The same graph, of which every vertex counts as one node: none is divided.
    pub(super) fn with_single_nodes(mut self) -> Self {
        self.weights.iter_mut().for_each(|weight| weight.nodes = 1);
        self
    }

    /// The graph of the vertices for which `kept` holds, and who they are.
    pub(super) fn part(&self, kept: impl Fn(u32) -> bool) -> (Self, Vec<u32>) {
        let vertices: Vec<u32> = (0..self.len() as u32).filter(|&vertex| kept(vertex)).collect();
        let mut number = vec![u32::MAX; self.len()];
        for (new, &vertex) in (0..).zip(&vertices) {
            number[vertex as usize] = new;
        }
        let mut part = Self { offsets: vec![0], ..Self::default() };
        for &vertex in &vertices {
            let inner = self.edges(vertex).iter().filter(|edge| number[edge.to as usize] != u32::MAX);
            part.edges.extend(inner.map(|edge| Edge { to: number[edge.to as usize], ..*edge }));
            part.offsets.push(part.edges.len() as u32);
            part.weights.push(self.weights[vertex as usize]);
            part.places.push(self.places[vertex as usize]);
        }
        (part, vertices)
    }
}

/// The members of every group.
struct Members {
    offsets: Vec<u32>,
    vertices: Vec<u32>,
}

impl Members {
    fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.offsets.windows(2).map(|ends| &self.vertices[ends[0] as usize..ends[1] as usize])
    }
}

fn members(group: &[u32], groups: usize) -> Members {
    let mut offsets = vec![0_u32; groups + 1];
    group.iter().for_each(|&group| offsets[group as usize + 1] += 1);
    for number in 0..groups {
        offsets[number + 1] += offsets[number];
    }
    let (mut next, mut vertices) = (offsets.clone(), vec![0; group.len()]);
    for (vertex, &group) in (0..).zip(group) {
        let slot = &mut next[group as usize];
        vertices[*slot as usize] = vertex;
        *slot += 1;
    }
    Members { offsets, vertices }
}
