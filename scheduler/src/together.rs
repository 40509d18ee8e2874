//! What belongs together: nodes of a graph on a common cycle, and the firings of an actor that has one home.

use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;
use sim_core::{ActorId, App, Channel};

/// An actor with state has one home; one whose self-channel lets no two firings overlap would pay a hop per firing elsewhere.
pub(crate) fn stays_together(app: &App, actor: ActorId) -> bool {
    let serial = |channel: &Channel| {
        let tokens = u64::from(channel.tokens.consume.iter().copied().max().unwrap_or(0));
        channel.target == actor && channel.tokens.initial.count < 2 * tokens
    };
    app.actors()[actor].has_state() || app.outputs(actor).iter().any(|&c| serial(&app.channels()[c]))
}

/// Strongly connected components in topological order, members ascending.
pub(crate) fn components(nodes: usize, edges: impl Iterator<Item = (u32, u32)>) -> Vec<Vec<usize>> {
    let mut graph: DiGraph<(), ()> = DiGraph::with_capacity(nodes, 0);
    for _ in 0..nodes {
        graph.add_node(());
    }
    for (from, to) in edges {
        graph.add_edge(from.into(), to.into(), ());
    }
    let mut found: Vec<Vec<usize>> = kosaraju_scc(&graph)
        .into_iter()
        .map(|c| c.into_iter().map(petgraph::graph::NodeIndex::index).collect())
        .collect();
    found.reverse();
    for members in &mut found {
        members.sort_unstable();
    }
    found
}
