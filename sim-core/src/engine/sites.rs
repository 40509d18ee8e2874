//! Where words are at a tick: those in memories that are still needed, and those on links.
//!
//! A *site* is a word at a node: one that a firing writes there, or one that a frame brings. The activations of it that are
//! alive before tick E follow from arithmetic: those that are written before E, less those whose last read is before E.

use super::extent::Extent;
use super::layout::{Layout, Ring};
use crate::ids::{LinkId, NodeId};
use crate::program::{FiringId, FrameId, ProductId, Program, RotatingAddress};
use crate::time::Tick;
use std::ops::Range;

/// The sites of a shard's nodes that anything reads, and the frames that leave the nodes.
#[derive(Default)]
pub(super) struct Sites {
    /// Where the sites of every node start; one more than there are nodes.
    starts: Vec<u32>,
    sites: Vec<Site>,
    readers: Vec<Reader>,
    frame_starts: Vec<u32>,
    frames: Vec<(FrameId, LinkId)>,
}

struct Site {
    product: ProductId,
    word: u32,
    /// The frame that brings the word, and its link, if the word is not made here.
    brought: Option<(FrameId, LinkId)>,
    /// Where its readers start; they end where those of the next site do.
    readers: u32,
}

/// A word at a node, and what brings it.
type Here = (ProductId, u32, Option<(FrameId, LinkId)>);

/// Who reads a site.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reader {
    Firing { firing: FiringId, lag: u32 },
    Frame(FrameId),
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
        let mut sites = Self { starts: vec![0], frame_starts: vec![0], ..Self::default() };
        let mut here: Vec<Here> = Vec::new();
        let mut readers: Vec<(ProductId, u32, Reader)> = Vec::new();
        let incoming = by_node(program, layout, |ends| ends.target);
        let outgoing = by_node(program, layout, |ends| ends.source);
        for plan in &layout.nodes {
            here.clear();
            readers.clear();
            for (firing, planned) in program.firings_on(plan.node) {
                for (id, product) in program.products(planned) {
                    here.extend((0..product.words).map(|word| (id, word, None)));
                }
                for read in program.reads(planned) {
                    let reader = Reader::Firing { firing, lag: read.lag };
                    readers.extend((read.word..read.word + read.words).map(|word| (read.product, word, reader)));
                }
            }
            for link in links_of(&incoming, plan.node) {
                here.extend(program.frames_of(link).map(|(id, frame)| (frame.product, frame.word, Some((id, link)))));
            }
            for link in links_of(&outgoing, plan.node) {
                for (id, frame) in program.frames_of(link) {
                    readers.push((frame.product, frame.word, Reader::Frame(id)));
                    sites.frames.push((id, link));
                }
            }
            sites.frame_starts.push(narrow(sites.frames.len()));
            here.sort_unstable();
            readers.sort_unstable();
            sites.join(&here, &readers);
            sites.starts.push(narrow(sites.sites.len()));
        }
        sites
    }

    /// Appends the words of one node with their readers; both are sorted by word.
    fn join(&mut self, here: &[Here], readers: &[(ProductId, u32, Reader)]) {
        let mut readers = readers.iter().peekable();
        for &(product, word, brought) in here {
            let start = narrow(self.readers.len());
            while let Some(&(.., reader)) = readers.next_if(|&&(p, w, _)| (p, w) == (product, word)) {
                self.readers.push(reader);
            }
            if self.readers.len() > start as usize {
                self.sites.push(Site { product, word, brought, readers: start });
            }
        }
    }

    /// Words of node number `number` of the shard that are visible and still have a scheduled read, with their addresses.
    pub(super) fn live_words(&self, now: &Now<'_>, number: usize, mut take: impl FnMut(u32, Place)) {
        for position in self.starts[number] as usize..self.starts[number + 1] as usize {
            let site = &self.sites[position];
            let end = self.sites.get(position + 1).map_or(self.readers.len(), |next| next.readers as usize);
            let (address, written) = site.written(now);
            let ring = now.layout.ring(site.product);
            let readers = &self.readers[site.readers as usize..end];
            let mut each = |activation| take(address.at(activation), Place { ring, activation, word: site.word });
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
        let range = self.frame_starts[number] as usize..self.frame_starts[number + 1] as usize;
        for &(id, link) in &self.frames[range] {
            now.flying(id, link, |sent, place| take(link, sent, place));
        }
    }

    /// Bytes of the lists.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.starts)
            + size_of_val(&*self.sites)
            + size_of_val(&*self.readers)
            + size_of_val(&*self.frame_starts)
            + size_of_val(&*self.frames)
    }
}

/// Words of the frames that are on `link`, which touches nodes of the shard, in canonical order: by slot, then by tick.
pub(super) fn in_flight(now: &Now<'_>, link: LinkId, mut take: impl FnMut(Place)) {
    for (id, _) in now.program.frames_of(link) {
        now.flying(id, link, |_, place| take(place));
    }
}

impl Now<'_> {
    /// The activations of a frame that are sent and have not arrived: tick of sending, word.
    fn flying(&self, id: FrameId, link: LinkId, mut take: impl FnMut(Tick, Place)) {
        let frame = &self.program.frames[id];
        let arrives = Tick(frame.sent.0 + self.program.links[link].latency.0);
        let ring = self.layout.ring(frame.product);
        let before = |tick: Tick| self.extent.before(tick, frame.place, self.end);
        for activation in before(arrives)..before(frame.sent) {
            let sent = Tick(frame.sent.0 + activation * self.program.metacycle);
            take(sent, Place { ring, activation, word: frame.word });
        }
    }
}

impl Site {
    /// Where it is, and how many activations of it are written.
    fn written(&self, now: &Now<'_>) -> (RotatingAddress, i64) {
        match self.brought {
            None => {
                let (product, firing) = (&now.program.products[self.product], now.program.producer(self.product));
                let address = RotatingAddress { base: product.address.base + self.word, ..product.address };
                (address, now.extent.before(firing.last, firing.place, now.end))
            }
            Some((frame, link)) => {
                let latency = now.program.links[link].latency;
                let frame = &now.program.frames[frame];
                (frame.to, now.extent.before(Tick(frame.sent.0 + latency.0), frame.place, now.end))
            }
        }
    }
}

impl Reader {
    /// Activations of a site, of which `written` are written, that it reads before or at no time. Those before the first
    /// are initial tokens.
    fn alive(self, now: &Now<'_>, written: i64) -> Range<i64> {
        let (at, place, lag) = match self {
            Self::Firing { firing, lag } => {
                let firing = &now.program.firings[firing];
                (firing.last, firing.place, i64::from(lag))
            }
            Self::Frame(frame) => {
                let frame = &now.program.frames[frame];
                (frame.sent, frame.place, 0)
            }
        };
        let read = now.extent.before(at, place, now.end);
        read - lag..written.min(now.extent.activations(place) - lag)
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
