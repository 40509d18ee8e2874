//! Where a shard keeps words, and what each of its nodes does, in the form that the hot loop walks.
//!
//! Every firing has a *ring* of rows, one per activation that may be alive: it writes its outputs into a row, where their
//! consumers read them. The rings of a node lie side by side in one block. What a node does is its *shape*: its firings,
//! with every word that they touch given as (block, offset). Nodes that do the same share one shape; what is left of a
//! node is a short list of blocks and actors. So the calendar of a regular machine stays in the cache whatever its size.

use super::extent::Extent;
use super::window::{self, Plan, Window};
use super::{EngineError, check_words};
use crate::app::App;
use crate::ids::{ActorId, Id, IdVec, NodeId};
use crate::machine::Link;
use crate::program::{FrameId, PlannedFiring, ProductId, Program, Read};
use crate::shard::{NOTICE, Pace, Partition, ShardId};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Rows up to this width are gathered whole.
pub(super) const MOST_EVEN_WORDS: u64 = 8;

/// A shard's words and calendars.
pub(super) struct Layout {
    /// The shard's nodes, ascending.
    pub(super) nodes: Vec<NodePlan>,
    pub(super) shapes: Vec<Shape>,
    pub(super) firings: Vec<FiringShape>,
    pub(super) reads: Vec<ReadShape>,
    pub(super) copies: Vec<CopyShape>,
    /// The different ways in which entries go round rings.
    pub(super) turns: Vec<Turn>,
    /// Starts of blocks, by node.
    pub(super) sources: Vec<u32>,
    /// Actors, by node.
    pub(super) actors: Vec<ActorId>,
    /// Products that are kept here, ascending, and their rings.
    products: Stretches,
    rings: RingTable,
    /// Where the block of every node starts, if anything of it is kept here.
    blocks: IdVec<NodeId, u32>,
    /// Words of all rings, and [`MOST_EVEN_WORDS`] that let the last row be read whole from any of its words on.
    pub(super) words: usize,
    pub(super) window: Window,
}

/// What one node does.
pub(super) struct NodePlan {
    pub(super) node: NodeId,
    pub(super) shape: u32,
    /// Where its own block starts.
    pub(super) block: u32,
    /// Where its lists of sources and of actors start.
    pub(super) sources: u32,
    pub(super) actors: u32,
}

/// What nodes with equal calendars do.
pub(super) struct Shape {
    pub(super) firings: Range<u32>,
    /// Metacycles in which no firing depends on another one of the node, at least 1.
    pub(super) independent: i64,
}

/// A firing of a shape.
pub(super) struct FiringShape {
    /// Metacycles in which its last tick acts.
    pub(super) first: i64,
    pub(super) end: i64,
    /// Slot of its last tick.
    pub(super) slot: i64,
    /// Position in the node's list of actors.
    pub(super) actor: u32,
    pub(super) index: u32,
    pub(super) phase: u32,
    /// Firings of the actor per metacycle.
    pub(super) step: u32,
    pub(super) input_words: u32,
    pub(super) output_words: u32,
    pub(super) reads: Range<u32>,
    pub(super) pattern: Pattern,
    pub(super) copies: Range<u32>,
    /// Where its rows are, from the start of the node's block.
    pub(super) rows: RingShape,
}

/// A ring as an entry of a calendar sees it.
#[derive(Clone, Copy)]
pub(super) struct RingShape {
    /// From the start of a block to the first word in row 0.
    pub(super) offset: u32,
    /// Words of a row.
    pub(super) stride: u32,
    /// How the entry goes round it: a position among [`Layout::turns`].
    pub(super) turn: u32,
}

/// How an entry goes round a ring: in metacycle m it touches row (m + `ahead`) mod `rows`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn {
    pub(super) rows: u32,
    pub(super) ahead: u32,
}

/// Words that a firing reads.
#[derive(Clone, Copy)]
pub(super) struct ReadShape {
    /// Position in the node's list of sources.
    pub(super) source: u32,
    pub(super) words: u32,
    pub(super) ring: RingShape,
}

/// How regular the reads of a firing are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Each is one word of a row that is as wide as the inputs.
    Even,
    /// Each is one word.
    Single,
    /// Whatever else.
    Any,
}

impl Pattern {
    fn of(reads: &[ReadShape], input_words: u32) -> Self {
        match reads.iter().all(|read| read.words == 1) {
            false => Self::Any,
            true if reads.iter().all(|read| read.ring.stride == input_words) => Self::Even,
            true => Self::Single,
        }
    }
}

/// Outputs that are needed twice in a row, because the initial tokens of two channels differ that share a port.
#[derive(Clone, Copy)]
pub(super) struct CopyShape {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) words: u32,
}

/// Where a product is: word w of activation a at `base` + ((a + `phase`) mod `rows`) · `stride` + w.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    pub(super) base: u32,
    pub(super) rows: u32,
    pub(super) stride: u32,
    /// The row of activation 0.
    pub(super) phase: u32,
}

impl Ring {
    /// Index of a word; activations before the first are initial tokens.
    #[inline]
    pub(super) fn at(self, activation: i64, word: u32) -> usize {
        self.index(self.row(activation), word)
    }

    /// The row of an activation.
    #[inline]
    pub(super) fn row(self, activation: i64) -> u32 {
        (activation + i64::from(self.phase)).rem_euclid(i64::from(self.rows)) as u32
    }

    /// The ring as an entry sees it that touches row m − `behind` in metacycle m, in the block that starts at `block`.
    fn seen_from(self, block: u32, behind: i64, turns: &mut Numbered<Turn>) -> RingShape {
        let ahead = self.row(-behind);
        let turn = turns.number(Turn { rows: self.rows, ahead });
        // Rings without words lie nowhere.
        RingShape { offset: self.base.saturating_sub(block), stride: self.stride, turn }
    }

    /// Index of a word in a row.
    #[inline]
    pub(super) fn index(self, row: u32, word: u32) -> usize {
        self.base as usize + row as usize * self.stride as usize + word as usize
    }

    /// Indices of a word in `activation` and all later ones.
    pub(super) fn places(self, activation: i64, word: u32) -> Places {
        Places { ring: self, word, row: self.row(activation) }
    }
}

/// Where a word is in one activation after the other: without a division for each.
#[derive(Clone, Copy)]
pub(super) struct Places {
    ring: Ring,
    word: u32,
    row: u32,
}

impl Places {
    /// Where it is now; from then on, where it is one activation later.
    #[inline]
    pub(super) fn step(&mut self) -> usize {
        let place = self.ring.index(self.row, self.word);
        self.row = if self.row + 1 == self.ring.rows { 0 } else { self.row + 1 };
        place
    }
}

/// Many rings, of few different forms.
struct RingTable {
    /// Where each starts, and the position of its form.
    starts: Vec<(u32, u32)>,
    /// Rows, words of a row, and the row of activation 0.
    forms: Vec<(u32, u32, u32)>,
}

impl RingTable {
    fn new(rings: &[Ring]) -> Self {
        let mut forms = Numbered::default();
        let form = |ring: &Ring| (ring.rows, ring.stride, ring.phase);
        let starts = rings.iter().map(|ring| (ring.base, forms.number(form(ring)))).collect();
        Self { starts, forms: forms.list }
    }

    fn get(&self, place: usize) -> Ring {
        let (base, form) = self.starts[place];
        let (rows, stride, phase) = self.forms[form as usize];
        Ring { base, rows, stride, phase }
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.forms)
    }
}

/// An ascending list of products, as stretches of consecutive ones: the first of each, and its place in the list. Products are
/// numbered by node, so that there are few stretches.
struct Stretches(Vec<(ProductId, u32)>);

impl Stretches {
    fn new(products: &[ProductId]) -> Self {
        let listed = (0_u32..).zip(products);
        let begins = |place: u32| place == 0 || products[place as usize - 1].0 + 1 < products[place as usize].0;
        Self(listed.filter(|&(place, _)| begins(place)).map(|(place, &product)| (product, place)).collect())
    }

    /// The place of a product that is listed.
    fn place_of(&self, product: ProductId) -> usize {
        let after = self.0.partition_point(|&(first, _)| first <= product);
        let (first, place) = self.0[after - 1];
        (place + product.0 - first.0) as usize
    }
}

/// What a layout is made from.
pub(super) struct Parts<'p, 'a> {
    pub(super) app: &'a App,
    pub(super) program: &'p Program,
    pub(super) extent: &'p Extent,
    pub(super) partition: &'p Partition,
    pub(super) shard: ShardId,
    /// How the shard steps from one exchange with others to the next.
    pub(super) pace: Pace,
    /// Metacycles of a window, at most, if that is any.
    pub(super) longest: i64,
    /// Whether every frame is hashed or traced.
    pub(super) frames_observed: bool,
    /// Whether an actor's firings must be observed in order.
    pub(super) observed: &'p dyn Fn(ActorId) -> bool,
}

impl Parts<'_, '_> {
    pub(super) fn here(&self, node: NodeId) -> bool {
        self.partition.shard_of(node) == self.shard
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> {
        (0..self.program.nodes()).map(NodeId::from_index).filter(|&node| self.here(node))
    }

    /// Frames that leave nodes of this shard.
    pub(super) fn frames(&self) -> impl Iterator<Item = (FrameId, Link)> {
        let links = self.program.links.iter().filter(|(_, ends)| self.here(ends.source));
        links.flat_map(|(link, &ends)| self.program.frames_of(link).map(move |(id, _)| (id, ends)))
    }

    /// Ticks from the production of what is read to its reading.
    pub(super) fn distance(&self, firing: &PlannedFiring, product: ProductId, lag: u32) -> i64 {
        let lag = i64::from(lag).saturating_mul(self.program.metacycle);
        (firing.last.0 - self.program.producer(product).last.0).saturating_add(lag)
    }
}

impl Layout {
    /// Lays out one shard.
    ///
    /// # Errors
    /// [`EngineError::Memory`] if there are too many words.
    pub(super) fn new(parts: &Parts<'_, '_>) -> Result<Self, EngineError> {
        let products = kept(parts);
        let plan = window::plan(parts);
        let lives = lives(parts, &products, &plan.window);
        let Rings { rings, rows, words, .. } = Rings::new(parts, &products, &lives, &plan);
        let mut layout = Self {
            nodes: Vec::new(),
            shapes: Vec::new(),
            firings: Vec::new(),
            reads: Vec::new(),
            copies: Vec::new(),
            turns: Vec::new(),
            sources: Vec::new(),
            actors: Vec::new(),
            blocks: blocks(parts.program, &products, &rings),
            products: Stretches::new(&products),
            rings: RingTable::new(&rings),
            words: check_words("the words that are kept", words + MOST_EVEN_WORDS)?,
            window: plan.window,
        };
        let mut rows = rows.into_iter();
        let (mut known, mut turns) = (BTreeMap::new(), Numbered::default());
        for node in parts.nodes() {
            layout.add_node(parts, node, &mut rows, &mut known, &mut turns);
        }
        layout.turns = turns.list;
        layout.nodes.shrink_to_fit();
        layout.sources.shrink_to_fit();
        layout.actors.shrink_to_fit();
        Ok(layout)
    }

    /// The ring of a product that is kept here.
    pub(super) fn ring(&self, product: ProductId) -> Ring {
        self.rings.get(self.products.place_of(product))
    }

    /// Where the block of a node starts of which a product is kept here.
    pub(super) fn block(&self, node: NodeId) -> u32 {
        self.blocks[node]
    }

    /// Bytes per shard of everything that grows with nodes and calendars.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.nodes)
            + size_of_val(&*self.shapes)
            + size_of_val(&*self.firings)
            + size_of_val(&*self.reads)
            + size_of_val(&*self.copies)
            + size_of_val(&*self.turns)
            + size_of_val(&*self.sources)
            + size_of_val(&*self.actors)
            + size_of_val(&*self.products.0)
            + self.rings.bytes()
            + self.words * size_of::<u64>()
            + self.window.bytes()
    }

    fn add_node(
        &mut self,
        parts: &Parts<'_, '_>,
        node: NodeId,
        rows: &mut impl Iterator<Item = Rows>,
        known: &mut BTreeMap<Vec<u64>, u32>,
        turns: &mut Numbered<Turn>,
    ) {
        let mut draft = Draft::new(node, self.blocks[node]);
        for (_, firing) in parts.program.firings_on(node) {
            draft.add(parts, self, firing, rows.next().expect("every firing has rows"), turns);
        }
        let plan = NodePlan {
            node,
            shape: 0,
            block: draft.block,
            sources: u32::try_from(self.sources.len()).expect("blocks are fewer than words"),
            actors: u32::try_from(self.actors.len()).expect("actors are counted in 32 bits"),
        };
        self.sources.extend(&draft.sources.list);
        self.actors.extend(&draft.actors.list);
        let independent = draft.independent(parts);
        let key = draft.key(independent);
        let next = u32::try_from(self.shapes.len()).expect("shapes are fewer than nodes");
        let shape = *known.entry(key).or_insert(next);
        if shape == next {
            self.add_shape(draft, independent);
        }
        self.nodes.push(NodePlan { shape, ..plan });
    }

    fn add_shape(&mut self, draft: Draft, independent: i64) {
        let end = |len: usize| u32::try_from(len).expect("operands are fewer than words");
        let (reads, copies) = (end(self.reads.len()), end(self.copies.len()));
        let first = end(self.firings.len());
        let shift = |range: Range<u32>, by: u32| range.start + by..range.end + by;
        self.firings.extend(draft.firings.into_iter().map(|firing| FiringShape {
            reads: shift(firing.reads.clone(), reads),
            copies: shift(firing.copies.clone(), copies),
            ..firing
        }));
        self.reads.extend(draft.reads);
        self.copies.extend(draft.copies);
        self.shapes.push(Shape { firings: first..end(self.firings.len()), independent });
    }
}

/// The position of `product` in the ascending list of those that are kept.
fn place_of(products: &[ProductId], product: ProductId) -> usize {
    // Where all are kept, as in a run without shards, the number is the position.
    let guess = product.index();
    if products.get(guess) == Some(&product) {
        return guess;
    }
    products.binary_search(&product).expect("whatever is used here is kept here")
}

fn blocks(program: &Program, products: &[ProductId], rings: &[Ring]) -> IdVec<NodeId, u32> {
    let mut blocks = IdVec::filled(u32::MAX, program.nodes());
    for (&product, ring) in products.iter().zip(rings) {
        let block = &mut blocks[program.producer(product).node];
        *block = ring.base.min(*block);
    }
    blocks
}

/// Products that a shard produces, reads, or sends on.
fn kept(parts: &Parts<'_, '_>) -> Vec<ProductId> {
    let program = parts.program;
    let mut own = Vec::new();
    let mut foreign = BTreeSet::new();
    for node in parts.nodes() {
        for (_, firing) in program.firings_on(node) {
            own.extend(firing.products.clone().map(ProductId));
            let read = program.reads(firing).iter().map(|read| read.product);
            foreign.extend(read.filter(|&product| !parts.here(program.producer(product).node)));
        }
    }
    let sent = parts.frames().map(|(frame, _)| program.frames[frame].product);
    foreign.extend(sent.filter(|&product| !parts.here(program.producer(product).node)));
    own.extend(foreign);
    own.sort_unstable();
    own.shrink_to_fit();
    own
}

/// How long a product is used.
#[derive(Clone, Copy, Default)]
struct Life {
    /// Ticks from its production to its last use here, that one included, even if it is executed late.
    ticks: i64,
    /// Most initial tokens that a reader sees in its place.
    lag: u32,
}

/// How long the products of a shard are used. That nodes run ahead of those that read their words is not in it: the plan of
/// windows says by how much.
fn lives(parts: &Parts<'_, '_>, products: &[ProductId], window: &Window) -> Vec<Life> {
    let program = parts.program;
    let ticks = window.metacycles * program.metacycle;
    let mut lives = vec![Life::default(); products.len()];
    let mut used = |product: ProductId, used: i64, late: i64, lag: u32| {
        // Words of other shards are put in place for a window before any of it is executed, and for a relay with notice.
        let late = if parts.here(program.producer(product).node) { late } else { ticks + NOTICE.0 };
        let life = &mut lives[place_of(products, product)];
        life.ticks = life.ticks.max(used.saturating_add(late));
        life.lag = life.lag.max(lag);
    };
    for node in parts.nodes() {
        let own = |read: &Read| program.producer(read.product).node == node;
        let firings = || program.firings_on(node).map(|(_, firing)| firing);
        let reads = || firings().flat_map(|firing| program.reads(firing).iter().map(move |read| (firing, read)));
        let distance = |(firing, read): (&PlannedFiring, &Read)| parts.distance(firing, read.product, read.lag);
        let least = reads().filter(|(_, read)| own(read)).map(distance).min().unwrap_or(0);
        // A node executes entry by entry what does not depend on each other.
        let runs = (least / program.metacycle).clamp(1, window.runs);
        for (firing, read) in reads() {
            let late = if own(read) { runs * program.metacycle } else { 1 };
            used(read.product, distance((firing, read)), late, read.lag);
        }
    }
    for (id, ends) in parts.frames() {
        let frame = &program.frames[id];
        // Frames are looked at when the window is over, or the part of it after which they leave the shard.
        let late = match parts.frames_observed {
            true => ticks,
            false if parts.here(ends.target) => 1,
            false => ticks.min(parts.pace.step.0),
        };
        // A word in flight belongs to the state of its sender until it arrives.
        let arrives = frame.sent.0 + ends.latency.0;
        used(frame.product, arrives - program.producer(frame.product).last.0, late, 0);
    }
    lives
}

/// The rings of a shard.
struct Rings {
    /// By position of the product.
    rings: Vec<Ring>,
    /// By position of the firing.
    rows: Vec<Rows>,
    words: u64,
}

/// Where a firing writes, and what it writes twice.
struct Rows {
    ring: Ring,
    copies: Vec<CopyShape>,
}

impl Rings {
    /// Gives every firing rows for all activations that are alive at once.
    fn new(parts: &Parts<'_, '_>, products: &[ProductId], lives: &[Life], plan: &Plan) -> Self {
        let program = parts.program;
        let none = Ring { base: 0, rows: 1, stride: 0, phase: 0 };
        let mut all = Self { rings: vec![none; products.len()], rows: Vec::new(), words: 0 };
        for (node, &start) in parts.nodes().zip(&plan.starts) {
            for (_, firing) in program.firings_on(node) {
                let first = firing.products.start;
                let place = if firing.products.is_empty() { 0 } else { place_of(products, ProductId(first)) };
                let ahead = (plan.rows[all.rows.len()], plan.window.steps.phase + i64::from(start));
                all.add(parts, firing, place..place + firing.products.len(), products, lives, ahead);
            }
        }
        let mut place = 0;
        while let Some(&product) = products.get(place) {
            let firing = program.products[product].firing;
            let end = place + products[place..].partition_point(|&other| program.products[other].firing <= firing);
            if !parts.here(program.firings[firing].node) {
                all.add_foreign(parts, &program.firings[firing], place..end, products, lives);
            }
            place = end;
        }
        all
    }

    /// Adds a firing of this shard, of which so many rows are needed while nodes are apart, and whose longest runs start in
    /// such a metacycle of the window. Its rows hold its outputs as its behaviour writes them.
    fn add(
        &mut self,
        parts: &Parts<'_, '_>,
        firing: &PlannedFiring,
        places: Range<usize>,
        products: &[ProductId],
        lives: &[Life],
        (least, start): (i64, i64),
    ) {
        let mut columns = Vec::with_capacity(places.len());
        let mut copies = Vec::new();
        let mut stride = firing.output_words;
        for place in places.clone() {
            let product = &parts.program.products[products[place]];
            // Channels that share a port share its words; but initial tokens are of one channel alone.
            let shared = |other: usize| {
                let words = &parts.program.products[products[other]];
                let after = product.staged + product.words;
                lives[other].lag > 0 && words.staged < after && product.staged < words.staged + words.words
            };
            let before = (places.start..place).any(shared);
            columns.push(if lives[place].lag > 0 && before { stride } else { product.staged });
            if columns.last() == Some(&stride) {
                copies.push(CopyShape { from: product.staged, to: stride, words: product.words });
                stride += product.words;
            }
        }
        let mut ring = self.ring(parts, firing, &lives[places.clone()], least, stride);
        // Runs that start in row 0 seldom wrap.
        ring.phase = ring.row(firing.last.0 / parts.program.metacycle - start);
        for (place, column) in places.zip(columns) {
            self.rings[place] = Ring { base: ring.base + column, ..ring };
        }
        self.rows.push(Rows { ring, copies });
    }

    /// Adds products of another shard.
    fn add_foreign(
        &mut self,
        parts: &Parts<'_, '_>,
        firing: &PlannedFiring,
        places: Range<usize>,
        products: &[ProductId],
        lives: &[Life],
    ) {
        let words: u32 = products[places.clone()].iter().map(|&product| parts.program.products[product].words).sum();
        // Rows as long as at home are read like those of this shard.
        let stride =
            if u64::from(firing.output_words) <= MOST_EVEN_WORDS { words.max(firing.output_words) } else { words };
        let ring = self.ring(parts, firing, &lives[places.clone()], 1, stride);
        let mut column = 0;
        for place in places {
            self.rings[place] = Ring { base: ring.base + column, ..ring };
            column += parts.program.products[products[place]].words;
        }
    }

    /// A ring of at least `least` rows of `stride` words, for activations of `firing` that live as long as `lives` say.
    fn ring(&mut self, parts: &Parts<'_, '_>, firing: &PlannedFiring, lives: &[Life], least: i64, stride: u32) -> Ring {
        let ticks = lives.iter().map(|life| life.ticks).max().unwrap_or(1);
        let lag = lives.iter().map(|life| i64::from(life.lag)).max().unwrap_or(0);
        let alive = ((ticks - 1) / parts.program.metacycle).saturating_add(1);
        // All initial tokens are there from the start.
        let alive = alive.max(lag).max(least);
        // No more than are ever there: all activations and the initial tokens before them.
        let all = parts.extent.activations(firing.place).saturating_add(lag).max(1);
        let rows = if stride == 0 { 1 } else { alive.clamp(1, all) };
        let base = self.words;
        self.words = self.words.saturating_add((rows as u64).saturating_mul(u64::from(stride)));
        // What does not fit 32 bits is refused before it is used.
        let rows = u32::try_from(rows).unwrap_or(u32::MAX);
        Ring { base: u32::try_from(base).unwrap_or(u32::MAX), rows, stride, phase: 0 }
    }
}

/// A node's shape in the making, and the lists that are its own.
struct Draft {
    node: NodeId,
    block: u32,
    firings: Vec<FiringShape>,
    reads: Vec<ReadShape>,
    copies: Vec<CopyShape>,
    sources: Numbered<u32>,
    actors: Numbered<ActorId>,
    /// Least ticks between two firings of this node of which one reads what the other wrote.
    distance: i64,
}

impl Draft {
    fn new(node: NodeId, block: u32) -> Self {
        Self {
            node,
            block,
            firings: Vec::new(),
            reads: Vec::new(),
            copies: Vec::new(),
            sources: Numbered::default(),
            actors: Numbered::default(),
            distance: i64::MAX,
        }
    }

    fn add(
        &mut self,
        parts: &Parts<'_, '_>,
        layout: &Layout,
        firing: &PlannedFiring,
        rows: Rows,
        turns: &mut Numbered<Turn>,
    ) {
        let program = parts.program;
        let first = firing.last.0 / program.metacycle;
        let (reads, copies) = (self.reads.len() as u32, self.copies.len() as u32);
        for read in program.reads(firing) {
            let producer = program.producer(read.product).node;
            let ring = layout.ring(read.product);
            let start = if producer == self.node { self.block } else { layout.blocks[producer] };
            let source = self.sources.number(start);
            let ring = Ring { base: ring.base + read.word, ..ring };
            let ring = ring.seen_from(start, first + i64::from(read.lag), turns);
            self.reads.push(ReadShape { source, words: read.words, ring });
            if producer == self.node {
                self.distance = self.distance.min(parts.distance(firing, read.product, read.lag));
            }
        }
        self.copies.extend(rows.copies);
        let step = program.actors[firing.actor].firings;
        self.firings.push(FiringShape {
            first,
            end: first + parts.extent.activations(firing.place),
            slot: firing.last.0 % program.metacycle,
            actor: self.actors.number(firing.actor),
            index: firing.index,
            phase: firing.phase,
            step: u32::try_from(step).expect("firings of a metacycle are counted in 32 bits"),
            input_words: firing.input_words,
            output_words: firing.output_words,
            reads: reads..self.reads.len() as u32,
            pattern: Pattern::of(&self.reads[reads as usize..], firing.input_words),
            copies: copies..self.copies.len() as u32,
            rows: rows.ring.seen_from(self.block, first, turns),
        });
    }

    /// Metacycles whose firings may be executed in any order, entry by entry.
    fn independent(&self, parts: &Parts<'_, '_>) -> i64 {
        let ordered = |actor: ActorId| parts.app.actors()[actor].has_state() || (parts.observed)(actor);
        let mut firings = vec![0; self.actors.list.len()];
        self.firings.iter().for_each(|firing| firings[firing.actor as usize] += 1);
        let in_order = self.actors.list.iter().zip(firings).any(|(&actor, firings)| firings > 1 && ordered(actor));
        if in_order { 1 } else { (self.distance / parts.program.metacycle).max(1) }
    }

    /// Equal for nodes that can share a shape.
    fn key(&self, independent: i64) -> Vec<u64> {
        let pair = |a: u32, b: u32| u64::from(a) << 32 | u64::from(b);
        let mut key = vec![independent as u64, pair(self.firings.len() as u32, self.reads.len() as u32)];
        for f in &self.firings {
            key.extend([f.first as u64, f.end as u64, f.slot as u64, pair(f.actor, f.index), pair(f.phase, f.step)]);
            key.extend([pair(f.input_words, f.output_words), pair(f.reads.end, f.copies.end)]);
            key.extend(f.rows.key());
        }
        key.extend(self.reads.iter().flat_map(|r| [[pair(r.source, r.words), 0], r.ring.key()]).flatten());
        key.extend(self.copies.iter().flat_map(|c| [pair(c.from, c.to), u64::from(c.words)]));
        key
    }
}

impl RingShape {
    fn key(self) -> [u64; 2] {
        [u64::from(self.offset) << 32 | u64::from(self.stride), u64::from(self.turn)]
    }
}

/// Items in the order in which they came first.
pub(super) struct Numbered<T> {
    pub(super) list: Vec<T>,
    numbers: BTreeMap<T, u32>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { list: Vec::new(), numbers: BTreeMap::new() }
    }
}

impl<T: Copy + Ord> Numbered<T> {
    pub(super) fn number(&mut self, item: T) -> u32 {
        *self.numbers.entry(item).or_insert_with(|| {
            self.list.push(item);
            u32::try_from(self.list.len() - 1).expect("a node's lists are counted in 32 bits")
        })
    }
}
