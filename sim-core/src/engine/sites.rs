//! Where words are at a tick: those in memories that are still needed, and those on links.
//!
//! A *site* is a word at a node: one that a firing writes there, or one that a frame brings. The activations of it that are
//! alive before tick E follow from arithmetic: those that are written before E, less those whose last read is before E.

use super::extent::Extent;
use super::layout::{Layout, Numbered, Ring};
use crate::ids::{LinkId, NodeId};
use crate::program::{FrameId, ProductId, Program, RotatingAddress};
use crate::time::Tick;
use std::collections::BTreeMap;
use std::ops::Range;

/// The sites of a shard's nodes that anything reads, and the frames that leave the nodes: told once for all nodes that
/// have the same ones in the same places.
#[derive(Default)]
pub(super) struct Sites {
    /// By position in the shard.
    nodes: Vec<NodeSites>,
    shapes: Vec<Shape>,
    sites: Vec<Site>,
    readers: Vec<Reader>,
    flights: Vec<Flight>,
    /// Starts of blocks of rings, by node.
    blocks: Vec<u32>,
    /// Links that carry frames, by node that sends them.
    links: Vec<LinkId>,
}

/// What is a node's own.
struct NodeSites {
    shape: u32,
    /// Where its lists of blocks and of links start.
    blocks: u32,
    links: u32,
}

/// What nodes have in common.
struct Shape {
    sites: Range<u32>,
    flights: Range<u32>,
}

/// A word at a node.
struct Site {
    kept: Kept,
    address: RotatingAddress,
    /// The tick in which its first activation is written, and place among the iterations of a metacycle.
    written: Tick,
    place: u32,
    /// Where its readers start; they end where those of the next site do.
    readers: u32,
}

/// A ring in which a word is, seen from a node.
#[derive(Clone, Copy)]
struct Kept {
    /// Position among the node's blocks.
    block: u32,
    /// From there to the word in row 0.
    offset: u32,
    rows: u32,
    stride: u32,
    /// The row of activation 0.
    phase: u32,
}

/// Who reads a site.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Reader {
    /// The tick in which its first activation reads, and place among the iterations of a metacycle.
    at: Tick,
    place: u32,
    /// Its activation minus that of the word.
    lag: u32,
}

/// A frame that a node sends.
struct Flight {
    /// Position among the node's links.
    link: u32,
    kept: Kept,
    sent: Tick,
    arrives: Tick,
    place: u32,
}

/// What sites are asked about.
pub(super) struct Now<'a> {
    pub(super) program: &'a Program,
    pub(super) extent: &'a Extent,
    pub(super) layout: &'a Layout,
    /// The first tick that has not happened.
    pub(super) end: Tick,
}

/// A word of a ring.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) ring: Ring,
    pub(super) activation: i64,
    pub(super) word: u32,
}

impl Place {
    pub(super) fn index(self) -> usize {
        self.ring.at(self.activation, self.word)
    }
}

impl Sites {
    /// Those of the nodes of `layout`.
    pub(super) fn new(program: &Program, layout: &Layout) -> Self {
        let (mut sites, mut known) = (Self::default(), BTreeMap::new());
        let incoming = by_node(program, layout, |ends| ends.target);
        let outgoing = by_node(program, layout, |ends| ends.source);
        let mut draft = Draft::new(program, layout);
        for plan in &layout.nodes {
            draft.begin();
            draft.add_firings(plan.node);
            links_of(&incoming, plan.node).for_each(|link| draft.add_arriving(link));
            links_of(&outgoing, plan.node).for_each(|link| draft.add_leaving(link));
            draft.join();
            let next = narrow(sites.shapes.len());
            let shape = *known.entry(draft.key()).or_insert(next);
            if shape == next {
                sites.add_shape(&mut draft);
            }
            let (blocks, links) = (narrow(sites.blocks.len()), narrow(sites.links.len()));
            sites.nodes.push(NodeSites { shape, blocks, links });
            sites.blocks.extend(&draft.blocks.list);
            sites.links.extend(links_of(&outgoing, plan.node));
        }
        sites
    }

    fn add_shape(&mut self, draft: &mut Draft<'_>) {
        let (site, reader, flight) = (narrow(self.sites.len()), narrow(self.readers.len()), narrow(self.flights.len()));
        self.sites.extend(draft.sites.drain(..).map(|site| Site { readers: reader + site.readers, ..site }));
        self.readers.append(&mut draft.readers);
        self.flights.append(&mut draft.flights);
        let (sites, flights) = (site..narrow(self.sites.len()), flight..narrow(self.flights.len()));
        self.shapes.push(Shape { sites, flights });
    }

    /// Words of node number `number` of the shard that are visible and still have a scheduled read, with their addresses.
    pub(super) fn live_words(&self, now: &Now<'_>, number: usize, mut take: impl FnMut(u32, Place)) {
        let node = &self.nodes[number];
        let shape = &self.shapes[node.shape as usize].sites;
        for position in shape.start as usize..shape.end as usize {
            let site = &self.sites[position];
            let end = self.sites.get(position + 1).map_or(self.readers.len(), |next| next.readers as usize);
            let ring = self.ring(node, site.kept);
            let written = now.extent.before(site.written, site.place, now.end);
            let readers = &self.readers[site.readers as usize..end];
            let mut each = |activation| take(site.address.at(activation), Place { ring, activation, word: 0 });
            if let &[reader] = readers {
                reader.alive(now, written).for_each(&mut each);
                continue;
            }
            let alive: Vec<Range<i64>> = readers.iter().map(|reader| reader.alive(now, written)).collect();
            let first = alive.iter().map(|range| range.start).min().unwrap_or(0);
            let last = alive.iter().map(|range| range.end).max().unwrap_or(0);
            (first..last).filter(|a| alive.iter().any(|range| range.contains(a))).for_each(&mut each);
        }
    }

    /// Frames that node number `number` of the shard has sent and that have not arrived: link, tick of sending, word.
    pub(super) fn frames_in_flight(&self, now: &Now<'_>, number: usize, mut take: impl FnMut(LinkId, Tick, Place)) {
        let node = &self.nodes[number];
        let shape = &self.shapes[node.shape as usize].flights;
        for flight in &self.flights[shape.start as usize..shape.end as usize] {
            let (link, ring) = (self.links[(node.links + flight.link) as usize], self.ring(node, flight.kept));
            for activation in now.flying(flight.sent, flight.arrives, flight.place) {
                let sent = Tick(flight.sent.0 + activation * now.program.metacycle);
                take(link, sent, Place { ring, activation, word: 0 });
            }
        }
    }

    fn ring(&self, node: &NodeSites, kept: Kept) -> Ring {
        let Kept { block, offset, rows, stride, phase } = kept;
        Ring { base: self.blocks[(node.blocks + block) as usize] + offset, rows, stride, phase }
    }

    /// Bytes of the lists.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.nodes)
            + size_of_val(&*self.shapes)
            + size_of_val(&*self.sites)
            + size_of_val(&*self.readers)
            + size_of_val(&*self.flights)
            + size_of_val(&*self.blocks)
            + size_of_val(&*self.links)
    }
}

/// Words of the frames that are on `link`, which touches nodes of the shard, in canonical order: by slot, then by tick.
pub(super) fn in_flight(now: &Now<'_>, link: LinkId, mut take: impl FnMut(Place)) {
    for (_, frame) in now.program.frames_of(link) {
        let ring = now.layout.ring(frame.product);
        let arrives = Tick(frame.sent.0 + now.program.links[link].latency.0);
        now.flying(frame.sent, arrives, frame.place)
            .for_each(|activation| take(Place { ring, activation, word: frame.word }));
    }
}

impl Now<'_> {
    /// The activations of a frame that are sent and have not arrived, given when the first one is.
    fn flying(&self, sent: Tick, arrives: Tick, place: u32) -> Range<i64> {
        self.extent.before(arrives, place, self.end)..self.extent.before(sent, place, self.end)
    }
}

impl Reader {
    /// Activations of a site, of which `written` are written, that it reads before or at no time. Those before the first
    /// are initial tokens.
    fn alive(self, now: &Now<'_>, written: i64) -> Range<i64> {
        let lag = i64::from(self.lag);
        let read = now.extent.before(self.at, self.place, now.end);
        read - lag..written.min(now.extent.activations(self.place) - lag)
    }
}

/// The sites of one node in the making.
struct Draft<'p> {
    program: &'p Program,
    layout: &'p Layout,
    /// Words at the node, those that a firing makes there first.
    here: Vec<Here>,
    /// Who reads which word.
    reads: Vec<(ProductId, u32, Reader)>,
    sites: Vec<Site>,
    readers: Vec<Reader>,
    flights: Vec<Flight>,
    /// Links out of the node so far.
    links: u32,
    blocks: Numbered<u32>,
}

/// A word at a node, and the frame that brings it, if it is not made there; where and when it is written.
type Here = (ProductId, u32, Option<FrameId>, Tick, u32, RotatingAddress);

impl<'p> Draft<'p> {
    fn new(program: &'p Program, layout: &'p Layout) -> Self {
        Self {
            program,
            layout,
            here: Vec::new(),
            reads: Vec::new(),
            sites: Vec::new(),
            readers: Vec::new(),
            flights: Vec::new(),
            links: 0,
            blocks: Numbered::default(),
        }
    }

    fn begin(&mut self) {
        self.here.clear();
        self.reads.clear();
        self.sites.clear();
        self.readers.clear();
        self.flights.clear();
        (self.links, self.blocks) = (0, Numbered::default());
    }

    fn add_firings(&mut self, node: NodeId) {
        for (_, firing) in self.program.firings_on(node) {
            for (id, product) in self.program.products(firing) {
                let first = self.program.addresses[product.address];
                let address = |word| RotatingAddress { base: first.base + word, ..first };
                let word = |word| (id, word, None, firing.last, firing.place, address(word));
                self.here.extend((0..product.words).map(word));
            }
            for read in self.program.reads(firing) {
                let reader = Reader { at: firing.last, place: firing.place, lag: read.lag };
                self.reads.extend((read.word..read.word + read.words).map(|word| (read.product, word, reader)));
            }
        }
    }

    fn add_arriving(&mut self, link: LinkId) {
        let latency = self.program.links[link].latency;
        for (id, frame) in self.program.frames_of(link) {
            let arrives = Tick(frame.sent.0 + latency.0);
            let address = self.program.addresses[frame.to];
            self.here.push((frame.product, frame.word, Some(id), arrives, frame.place, address));
        }
    }

    fn add_leaving(&mut self, link: LinkId) {
        let latency = self.program.links[link].latency;
        for (_, frame) in self.program.frames_of(link) {
            let &crate::program::Frame { sent, product, word, place, .. } = frame;
            self.reads.push((product, word, Reader { at: sent, place, lag: 0 }));
            let (kept, arrives) = (self.kept(product, word), Tick(sent.0 + latency.0));
            self.flights.push(Flight { link: self.links, kept, sent, arrives, place });
        }
        self.links += 1;
    }

    fn kept(&mut self, product: ProductId, word: u32) -> Kept {
        let block = self.layout.block(self.program.producer(product).node);
        let Ring { base, rows, stride, phase } = self.layout.ring(product);
        Kept { block: self.blocks.number(block), offset: base + word - block, rows, stride, phase }
    }

    /// Finds the readers of every word, and forgets words without any.
    fn join(&mut self) {
        let (mut here, mut reads) = (std::mem::take(&mut self.here), std::mem::take(&mut self.reads));
        here.sort_unstable();
        reads.sort_unstable();
        let mut left = reads.iter().peekable();
        for &(product, word, _, written, place, address) in &here {
            let start = self.readers.len();
            while let Some(&(.., reader)) = left.next_if(|&&(p, w, _)| (p, w) == (product, word)) {
                self.readers.push(reader);
            }
            if self.readers.len() > start {
                let kept = self.kept(product, word);
                self.sites.push(Site { kept, address, written, place, readers: narrow(start) });
            }
        }
        (self.here, self.reads) = (here, reads);
    }

    /// Equal for nodes that can share a shape.
    fn key(&self) -> Vec<u64> {
        let pair = |a: u32, b: u32| u64::from(a) << 32 | u64::from(b);
        let kept = |kept: Kept| [pair(kept.block, kept.offset), pair(kept.rows, kept.stride), kept.phase.into()];
        let mut key = vec![pair(narrow(self.sites.len()), narrow(self.readers.len()))];
        for &Site { kept: at, address, written, place, readers } in &self.sites {
            key.extend(kept(at));
            key.extend([pair(address.base, address.stride), pair(address.count, address.phase)]);
            key.extend([written.0 as u64, pair(place, readers)]);
        }
        key.extend(self.readers.iter().flat_map(|reader| [reader.at.0 as u64, pair(reader.place, reader.lag)]));
        for &Flight { link, kept: at, sent, arrives, place } in &self.flights {
            key.extend(kept(at));
            key.extend([pair(link, place), sent.0 as u64, arrives.0 as u64]);
        }
        key
    }
}

/// Links with frames, by the node at one of their ends.
fn by_node(program: &Program, layout: &Layout, end: impl Fn(&crate::machine::Link) -> NodeId) -> Vec<(NodeId, LinkId)> {
    let here = |node: NodeId| layout.nodes.binary_search_by_key(&node, |plan| plan.node).is_ok();
    let links = program.links.iter().map(|(link, ends)| (end(ends), link));
    let mut links: Vec<_> =
        links.filter(|&(node, link)| !program.frames_of.row(link).is_empty() && here(node)).collect();
    links.sort_unstable();
    links
}

fn links_of(links: &[(NodeId, LinkId)], node: NodeId) -> impl Iterator<Item = LinkId> + '_ {
    let start = links.partition_point(|&(of, _)| of < node);
    links[start..].iter().take_while(move |&&(of, _)| of == node).map(|&(_, link)| link)
}

fn narrow(len: usize) -> u32 {
    u32::try_from(len).expect("words and frames are counted in 32 bits")
}
