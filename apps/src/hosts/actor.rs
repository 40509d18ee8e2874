//! The actor of one node: hands what arrives to its program, and what the program sends to the slots.

use super::clock::NodeClock;
use super::fleet::{HostNode, Stop};
use super::processors;
use shim::wire::{Egress, Ingress, WireError};
use shim::{ExitStatus, Host, HostError, HostSpec, Input, Nanos, Output, Packet, Report, Segment};
use sim_core::{Behaviour, Firing, State};
use std::any::Any;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, OnceLock};

/// Why a node cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Its host failed.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Words that no node has sent.
    #[error("node `{node}`: from `{neighbour}`: {error}")]
    Wire {
        /// The node.
        node: String,
        /// Where the words come from.
        neighbour: String,
        /// What is wrong.
        error: WireError,
    },
}

/// What an actor and the run that it is part of tell each other.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) begin: OnceLock<Begin>,
    pub(super) end: Mutex<End>,
}

/// What an actor knows once a run begins.
#[derive(Debug)]
pub(super) struct Begin {
    pub(super) clock: NodeClock,
    /// The program, with all that depends on the run.
    pub(super) spec: HostSpec,
}

/// What is left when a run is over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    pub(super) report: Option<Report>,
    pub(super) error: Option<NodeError>,
}

/// The behaviour of one node.
#[derive(Debug)]
pub(super) struct HostActor {
    pub(super) node: HostNode,
    /// Those it is joined to, in the order of its ports: names and addresses.
    pub(super) neighbours: Vec<(String, Ipv4Addr)>,
    pub(super) slot_words: usize,
    pub(super) shared: Arc<Shared>,
}

/// What a node keeps from firing to firing.
struct NodeState {
    /// The program, from its start to the end of the run.
    host: Option<Host>,
    shared: Arc<Shared>,
    stopped: bool,
    ended: Option<ExitStatus>,
    deadline: Option<Nanos>,
    congested: bool,
    egress: Vec<Egress>,
    ingress: Vec<Ingress>,
}

impl Drop for NodeState {
    fn drop(&mut self) {
        // The engine goes on the thread that has started it, and that has been one of those which drive nodes.
        processors::leave();
        let Some(host) = self.host.take() else { return };
        let mut end = self.shared.end.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match host.finish() {
            Ok(report) => end.report = Some(report),
            Err(error) if end.error.is_none() => end.error = Some(error.into()),
            Err(_) => {}
        }
    }
}

impl Behaviour for HostActor {
    fn fire(&self, firing: Firing, state: State<'_>, inputs: &[u64], outputs: &mut [u64]) {
        let State::Opaque(state) = state else { unreachable!("the actor is declared as opaque") };
        let state: &mut NodeState = state.downcast_mut().expect("the state is the one that this behaviour makes");
        if let Err(error) = self.advance(firing, state, inputs, outputs) {
            let mut end = self.shared.end.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let message = error.to_string();
            end.error.get_or_insert(error);
            // Ends the run without a word: whoever runs the fleet finds the error itself.
            std::panic::resume_unwind(Box::new(message));
        }
    }

    fn opaque_state(&self) -> Option<Box<dyn Any + Send>> {
        let ingress = |&(_, address): &(String, Ipv4Addr)| Ingress::new(address, self.node.spec.address);
        Some(Box::new(NodeState {
            host: None,
            shared: Arc::clone(&self.shared),
            stopped: false,
            ended: None,
            deadline: None,
            congested: false,
            egress: vec![Egress::default(); self.neighbours.len()],
            ingress: self.neighbours.iter().map(ingress).collect(),
        }))
    }
}

impl HostActor {
    fn advance(
        &self,
        firing: Firing,
        state: &mut NodeState,
        inputs: &[u64],
        outputs: &mut [u64],
    ) -> Result<(), NodeError> {
        let Begin { clock, spec } = self.shared.begin.get().expect("a fleet is begun before it is run");
        if let Some(processor) = spec.cpu {
            processors::stay(processor);
        }
        let (now, until) = (clock.at(firing.index), clock.at(firing.index + 1));
        let mut packets = Vec::new();
        let slots = inputs.chunks_exact(self.slot_words);
        for ((ingress, slot), (neighbour, _)) in state.ingress.iter_mut().zip(slots).zip(&self.neighbours) {
            ingress.take(slot, &mut packets).map_err(|error| NodeError::Wire {
                node: self.node.spec.node.clone(),
                neighbour: neighbour.clone(),
                error,
            })?;
        }
        let starts = state.host.is_none() && self.node.start <= now;
        if starts {
            state.host = Some(Host::spawn(spec.clone()).map_err(HostError::from)?);
        }
        // The node outlives its program: what that has written last still has to leave.
        let up = state.host.is_some();
        let signal = match &self.node.stop {
            Some(Stop { at, signal }) if up && state.ended.is_none() && !state.stopped && *at <= now => {
                state.stopped = true;
                Some(*signal)
            }
            _ => None,
        };
        if !up {
            self.refuse(&packets, state);
        } else if starts
            || signal.is_some()
            || !packets.is_empty()
            || state.congested
            || state.deadline.is_some_and(|deadline| deadline <= now)
        {
            let backlog = self.neighbours.iter().zip(&state.egress);
            let backlog: BTreeMap<_, _> = backlog.map(|((_, to), egress)| (*to, egress.length() as u64)).collect();
            let host = state.host.as_mut().expect("it is up");
            let Output { packets, deadline, congested, status, .. } =
                host.advance(Input { now, until: Some(until), packets, backlog, signal })?;
            (state.deadline, state.congested, state.ended) = (deadline, congested, status);
            self.send(&packets, state);
        }
        for (egress, slot) in state.egress.iter_mut().zip(outputs.chunks_exact_mut(self.slot_words)) {
            egress.fill(slot);
        }
        Ok(())
    }

    fn send(&self, packets: &[Packet], state: &mut NodeState) {
        for packet in packets {
            let to = self.neighbours.iter().position(|(_, address)| address == packet.target.ip());
            // Programs reach only their neighbours: to anyone else there is no route, which they were told.
            if let Some(to) = to {
                state.egress[to].push(packet);
            }
        }
    }

    /// What a machine without the program answers: that nobody is there. Datagrams are lost.
    fn refuse(&self, packets: &[Packet], state: &mut NodeState) {
        let asked = packets.iter().filter(|packet| matches!(packet.segment, Segment::Open | Segment::Data(_)));
        let answer = |packet: &Packet| Packet { source: packet.target, target: packet.source, segment: Segment::Reset };
        let answers: Vec<Packet> = asked.map(answer).collect();
        self.send(&answers, state);
    }
}
