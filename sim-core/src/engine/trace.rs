//! Events with their words, for whoever looks for the first difference between two runs.

use crate::ids::{ActorId, LinkId, NodeId};
use crate::time::Tick;

/// Something that a node did in one tick. Events order by tick, node and kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// When: the last tick of a firing, the tick in which a frame is sent.
    pub tick: Tick,
    /// Who.
    pub node: NodeId,
    /// What.
    pub what: What,
}

/// What a node did.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A firing ended.
    Fired {
        /// The actor.
        actor: ActorId,
        /// Number of the firing over the whole run.
        index: u64,
        /// Words that it consumed.
        inputs: Box<[u64]>,
        /// Words that it produced.
        outputs: Box<[u64]>,
    },
    /// A frame was sent.
    Sent {
        /// The link.
        link: LinkId,
        /// The word.
        word: u64,
    },
}

impl Event {
    pub(super) fn firing(
        node: NodeId,
        tick: Tick,
        actor: ActorId,
        index: u64,
        inputs: &[u64],
        outputs: &[u64],
    ) -> Self {
        Self { tick, node, what: What::Fired { actor, index, inputs: inputs.into(), outputs: outputs.into() } }
    }

    pub(super) fn frame(node: NodeId, tick: Tick, link: LinkId, word: u64) -> Self {
        Self { tick, node, what: What::Sent { link, word } }
    }
}
