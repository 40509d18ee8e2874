//! How long words may take: the time from sending each frame to the first use of its word.

use crate::csr::Csr;
use crate::ids::{IdVec, LinkId, NodeId};
use crate::program::{FrameId, ProductId, Program};
use crate::time::Ticks;

/// A word that a frame brings to a node.
type Brought = (ProductId, u32, FrameId);

/// The slack of every frame for relays: ticks from sending it to sending its word on, the largest span for words that nobody
/// relays.
pub(super) fn relay_slacks(program: &Program) -> IdVec<FrameId, Ticks> {
    let mut slacks = IdVec::filled(Ticks(i64::MAX), program.frames.len());
    for frame in program.frames.values() {
        if let Some(before) = frame.relayed {
            let slack = Ticks(frame.sent.0 - program.frames[before].sent.0);
            slacks[before] = slacks[before].min(slack);
        }
    }
    slacks
}

/// The slack of every frame: ticks from its sending to the first use of its word, by a firing in its last tick or by sending
/// it on, which is what `slacks` say so far. The largest span for words that nobody uses, and for those read on links that
/// are not `wanted`. Near-linear in frames and reads.
pub(super) fn add_reads(program: &Program, slacks: &mut IdVec<FrameId, Ticks>, wanted: impl Fn(LinkId) -> bool + Copy) {
    let links = program.links.iter().filter(|(link, _)| wanted(*link));
    let incoming: Csr<NodeId, LinkId> = Csr::group(program.nodes(), links.map(|(link, ends)| (ends.target, link)));
    let mut brought: Vec<Brought> = Vec::new();
    for node in (0..program.nodes() as u32).map(NodeId) {
        brought.clear();
        for &link in incoming.row(node) {
            brought.extend(program.frames_of(link).map(|(id, frame)| (frame.product, frame.word, id)));
        }
        if !brought.is_empty() {
            brought.sort_unstable();
            reads(program, node, &brought, slacks);
        }
    }
}

/// What the firings of `node` use of the words that are `brought` to it, in order.
fn reads(program: &Program, node: NodeId, brought: &[Brought], slacks: &mut IdVec<FrameId, Ticks>) {
    for (_, firing) in program.firings_on(node) {
        for read in program.reads(firing) {
            let at = firing.last.0.saturating_add(i64::from(read.lag).saturating_mul(program.metacycle));
            let start = brought.partition_point(|&(product, word, _)| (product, word) < (read.product, read.word));
            let end = read.word + read.words;
            let used = brought[start..].iter().take_while(|&&(product, word, _)| product == read.product && word < end);
            for &(.., frame) in used {
                slacks[frame] = slacks[frame].min(Ticks(at - program.frames[frame].sent.0));
            }
        }
    }
}
