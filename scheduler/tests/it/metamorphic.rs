//! Laws that relate two compilations: of the same thing under other names, labels and latencies, or of a little more of it.

use crate::graphs::{Draft, acyclic_draft, cases, live_draft};
use crate::machines::{Wiring, connected_wiring, labels};
use num_rational::Ratio;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use scheduler::schedule::Transport;
use scheduler::{Compiled, Options, compile};
use sim_core::{ActorId, App, ChannelId, Id, Link, LinkId, LogicalLatency, Machine, Node, NodeId, RunOptions, engine};
use std::sync::Arc;

fn compiled(app: &App, machine: &Machine, options: &Options) -> Result<Compiled, TestCaseError> {
    compile(app, machine, options).map_err(|error| TestCaseError::fail(error.to_string()))
}

fn same(one: &Compiled, other: &Compiled) -> Result<(), TestCaseError> {
    prop_assert_eq!(&one.schedule, &other.schedule);
    prop_assert_eq!(calendars::to_ron(&one.calendars), calendars::to_ron(&other.calendars));
    prop_assert_eq!(&one.report, &other.report);
    Ok(())
}

/// Names whose order is the reverse of that of the things named.
fn backwards(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |at| format!("z{:04}", count - at))
}

/// A node linked both ways to node 0, over which nothing needs to go.
fn with_extra_node(wiring: &Wiring) -> Wiring {
    let mut wiring = wiring.clone();
    let extra = NodeId::from_index(wiring.nodes.len());
    wiring.nodes.push(Node::new("extra", 1));
    wiring.labels.push(0);
    for (source, target) in [(extra, NodeId(0)), (NodeId(0), extra)] {
        wiring.links.push(Link { source, target, latency: LogicalLatency(3) });
    }
    wiring
}

fn with_core_more(wiring: &Wiring) -> Wiring {
    let mut wiring = wiring.clone();
    wiring.nodes.iter_mut().filter(|node| node.cores > 0).for_each(|node| node.cores += 1);
    wiring
}

/// Every firing `execs` times as long, every token `tokens` times as large.
fn scaled(draft: &Draft, execs: u64, tokens: u64) -> Draft {
    let mut draft = draft.clone();
    draft.actors.iter_mut().flat_map(|actor| Arc::make_mut(&mut actor.exec)).for_each(|exec| *exec *= execs);
    draft.channels.iter_mut().for_each(|channel| channel.tokens.bits *= tokens);
    draft
}

/// The links of every word of a metacycle.
fn routes(compiled: &Compiled) -> Vec<(ChannelId, u32, u32, Vec<LinkId>)> {
    let schedule = compiled.schedule.as_ref().unwrap();
    let links = |transport: &Transport| schedule.hops(transport).iter().map(|hop| hop.link).collect();
    schedule.transports.iter().map(|t| (t.channel, t.token, t.word, links(t))).collect()
}

/// Few iterations in a metacycle: enough for what is compared, and quick.
const MAX_UNROLL: u32 = 2;

/// Pins of some actors, drawn like in a file.
fn pins(draft: &Draft, wiring: &Wiring, drawn: &[[Index; 2]]) -> Options {
    let hosts = wiring.hosts();
    let pin =
        |[actor, node]: &[Index; 2]| (ActorId(actor.index(draft.actors.len()) as u32), hosts[node.index(hosts.len())]);
    Options { pins: drawn.iter().map(pin).collect(), max_unroll: MAX_UNROLL, ..Options::default() }
}

fn unpinned() -> Options {
    Options { max_unroll: MAX_UNROLL, ..Options::default() }
}

fn drawn_pins() -> impl Strategy<Value = Vec<[Index; 2]>> {
    prop::collection::vec(any::<[Index; 2]>(), 0..=3)
}

proptest! {
    #![proptest_config(cases())]

    /// Where the nodes' counters start is nobody's business: schedule, calendars and run digests are the same.
    #[test]
    fn relabelled_counters_change_nothing(draft in live_draft(), wiring in connected_wiring(), labels in labels()) {
        let app = draft.app();
        let run = |machine: &Machine| {
            let compiled = compiled(&app, machine, &unpinned())?;
            let program = calendars::lower(&app, machine, &compiled.calendars).unwrap();
            let options = RunOptions { iterations: 2, ..RunOptions::default() };
            Ok::<_, TestCaseError>((compiled, engine::run(&app, &program, &options).unwrap()))
        };
        let (one, other) = (run(&wiring.machine())?, run(&wiring.relabelled(&labels).machine())?);
        same(&one.0, &other.0)?;
        prop_assert_eq!(one.1, other.1);
    }

    #[test]
    fn names_change_nothing(draft in live_draft(), wiring in connected_wiring()) {
        let (mut renamed, mut rewired) = (draft.clone(), wiring.clone());
        renamed.actors.iter_mut().zip(backwards(draft.actors.len())).for_each(|(actor, name)| actor.name = name.into());
        renamed.channels.iter_mut().zip(backwards(draft.channels.len())).for_each(|(channel, name)| channel.name = name.into());
        rewired.nodes.iter_mut().zip(backwards(wiring.nodes.len())).for_each(|(node, name)| node.name = name.into());
        let one = compiled(&draft.app(), &wiring.machine(), &unpinned())?;
        same(&one, &compiled(&renamed.app(), &rewired.machine(), &unpinned())?)?;
    }

    /// The same bytes, on whatever thread.
    #[test]
    fn compiling_twice_gives_identical_bytes(draft in live_draft(), wiring in connected_wiring(), drawn in drawn_pins()) {
        let (app, machine, options) = (draft.app(), wiring.machine(), pins(&draft, &wiring, &drawn));
        let one = compiled(&app, &machine, &options)?;
        let other = std::thread::scope(|scope| scope.spawn(|| compiled(&app, &machine, &options)).join().unwrap())?;
        same(&one, &other)?;
    }

    /// Without cycles latency costs no throughput: the bounds and the period stay, and so do nodes and routes.
    #[test]
    fn doubled_latencies_cost_acyclic_graphs_nothing(
        draft in acyclic_draft(),
        wiring in connected_wiring(),
        drawn in drawn_pins(),
    ) {
        let mut doubled = wiring.clone();
        doubled.links.iter_mut().for_each(|link| link.latency.0 *= 2);
        let options = pins(&draft, &wiring, &drawn);
        let one = compiled(&draft.app(), &wiring.machine(), &options)?;
        let other = compiled(&draft.app(), &doubled.machine(), &options)?;
        prop_assert_eq!(one.report.bound, other.report.bound);
        prop_assert_eq!(one.report.placed_bound, other.report.placed_bound);
        prop_assert_eq!(one.report.iteration_period, other.report.iteration_period);
        prop_assert_eq!(routes(&one), routes(&other));
    }

    /// The bound for any placement falls or stays when there is more to choose from or less to do.
    #[test]
    fn bounds_are_monotonic(
        draft in live_draft(),
        wiring in connected_wiring(),
        drawn in drawn_pins(),
        which in any::<Index>(),
    ) {
        let options = pins(&draft, &wiring, &drawn);
        let bound = |draft: &Draft, wiring: &Wiring, options: &Options| {
            Ok::<_, TestCaseError>(compiled(&draft.app(), &wiring.machine(), options)?.report.bound.ticks)
        };
        let before = bound(&draft, &wiring, &options)?;
        prop_assert!(bound(&draft, &with_extra_node(&wiring), &options)? <= before, "an idle node more");
        prop_assert!(bound(&draft, &with_core_more(&wiring), &options)? <= before, "a core more on every node");
        let removable: Vec<usize> = (0..draft.channels.len()).filter(|&at| !draft.is_shared(at)).collect();
        if !removable.is_empty() {
            let less = draft.without(removable[which.index(removable.len())]);
            prop_assert!(bound(&less, &wiring, &options)? <= before, "a channel less");
        }
        prop_assert!(bound(&draft, &wiring, &unpinned())? <= before, "no pins");
    }

    /// Durations of 0 are compiled as 1, words are rounded up: k times as much takes at most k times as long.
    #[test]
    fn k_times_the_work_has_at_most_k_times_the_bound(
        draft in live_draft(),
        wiring in connected_wiring(),
        drawn in drawn_pins(),
        k in 2..20_u64,
    ) {
        let options = pins(&draft, &wiring, &drawn);
        let bound = |draft: &Draft| {
            Ok::<_, TestCaseError>(compiled(&draft.app(), &wiring.machine(), &options)?.report.bound.ticks)
        };
        let before = bound(&draft)?;
        for (execs, tokens) in [(k, 1), (1, k), (k, k)] {
            let after = bound(&scaled(&draft, execs, tokens))?;
            prop_assert!(before <= after && after <= before * k as i64, "{before} becomes {after}");
        }
    }
}

/// The heuristic's period with a core or a node more, relative to that without; the worst is printed. 5 % worse is allowed:
/// the schedules with fewer cores, and with a node less, are candidates.
#[test]
fn more_cores_or_nodes_are_hardly_ever_worse() {
    let mut runner = TestRunner::new_with_rng(cases(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let drafts = (live_draft(), connected_wiring());
    let none = (Ratio::from_integer(1), String::new());
    let mut worst = [none.clone(), none];
    for _ in 0..cases().cases {
        let (draft, wiring) = drafts.new_tree(&mut runner).unwrap().current();
        let period = |wiring: &Wiring| {
            compile(&draft.app(), &wiring.machine(), &Options::default()).unwrap().report.iteration_period
        };
        let before = period(&wiring);
        for (more, worst) in [with_core_more(&wiring), with_extra_node(&wiring)].iter().zip(&mut worst) {
            let after = period(more);
            if after / before > worst.0 {
                *worst = (after / before, format!("{before} becomes {after}\n{wiring:?}\n{draft:?}"));
            }
        }
    }
    for ((what, limit), (ratio, case)) in [("a core", 105), ("a node", 105)].into_iter().zip(worst) {
        println!("{what} more, the worst of {} cases: {ratio} {case}", cases().cases);
        assert!(ratio <= Ratio::new(limit, 100), "{what} more: {case}");
    }
}
