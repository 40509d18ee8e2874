//! `schedule.json`: the schedule of one metacycle in a form that other programs read.

use scheduler::Report;
use scheduler::schedule::{Buffer, Schedule, ScheduledFiring, Transport};
use serde::Serialize;
use sim_core::{App, Link, Machine, Node};

/// The schedule of U iterations. Ticks are normal-form ticks and may exceed the metacycle; nodes and links are indices.
#[derive(Serialize)]
pub(crate) struct ScheduleJson<'a> {
    version: u32,
    app: &'a str,
    machine: MachineJson<'a>,
    iteration_period: String,
    unroll: u32,
    metacycle: i64,
    firings: Vec<FiringJson<'a>>,
    transports: Vec<TransportJson<'a>>,
    buffers: Vec<BufferJson<'a>>,
}

#[derive(Serialize)]
struct MachineJson<'a> {
    name: &'a str,
    nodes: Vec<NodeJson<'a>>,
    links: Vec<LinkJson>,
}

#[derive(Serialize)]
struct NodeJson<'a> {
    name: &'a str,
    cores: u32,
    /// `None` is unlimited.
    memory_words: Option<u32>,
}

#[derive(Serialize)]
struct LinkJson {
    source: u32,
    target: u32,
    latency: i64,
}

#[derive(Serialize)]
struct FiringJson<'a> {
    actor: &'a str,
    index: u32,
    node: u32,
    core: u32,
    start: i64,
    exec: i64,
}

#[derive(Serialize)]
struct TransportJson<'a> {
    channel: &'a str,
    token: u32,
    word: u32,
    hops: Vec<HopJson>,
}

#[derive(Serialize)]
struct HopJson {
    link: u32,
    send: i64,
}

/// A rotating buffer: `count` copies, `stride` words apart. `words` are those of one token, of which it holds `slots`;
/// `tokens` pass per metacycle.
#[derive(Serialize)]
struct BufferJson<'a> {
    node: u32,
    channel: &'a str,
    role: &'static str,
    base: u32,
    stride: u32,
    count: u32,
    words: u32,
    tokens: u32,
    slots: u32,
}

impl<'a> ScheduleJson<'a> {
    pub(crate) fn new(app: &'a App, machine: &'a Machine, schedule: &Schedule, report: &Report) -> Self {
        let node = |node: &'a Node| NodeJson { name: &node.name, cores: node.cores, memory_words: node.memory_words };
        let link = |link: &Link| LinkJson { source: link.source.0, target: link.target.0, latency: link.latency.0 };
        let firing = |firing: &ScheduledFiring| FiringJson {
            actor: &app.actors()[firing.actor].name,
            index: firing.index,
            node: firing.node.0,
            core: firing.core,
            start: firing.start,
            exec: firing.exec,
        };
        let transport = |transport: &Transport| TransportJson {
            channel: &app.channels()[transport.channel].name,
            token: transport.token,
            word: transport.word,
            hops: schedule.hops(transport).iter().map(|hop| HopJson { link: hop.link.0, send: hop.send }).collect(),
        };
        let buffer = |buffer: &Buffer| BufferJson {
            node: buffer.node.0,
            channel: &app.channels()[buffer.channel].name,
            role: buffer.role.name(),
            base: buffer.base,
            stride: buffer.stride(),
            count: buffer.count(),
            words: buffer.words,
            tokens: buffer.tokens,
            slots: buffer.slots,
        };
        Self {
            version: 1,
            app: app.name(),
            machine: MachineJson {
                name: machine.name(),
                nodes: machine.nodes().values().map(node).collect(),
                links: machine.links().values().map(link).collect(),
            },
            iteration_period: report.iteration_period.to_string(),
            unroll: schedule.unroll,
            metacycle: schedule.metacycle,
            firings: schedule.firings.iter().map(firing).collect(),
            transports: schedule.transports.iter().map(transport).collect(),
            buffers: schedule.buffers.iter().map(buffer).collect(),
        }
    }
}
