//! Whether a control loop is stable: the sampled proportional loop, by the largest eigenvalue of the network's Laplacian.
//!
//! An estimate for warnings, in floating point: no result of a simulation depends on it.
//! With a = k_P·p·μ and δ = d/p the loop is stable if and only if a(1 − 2δ) < 2 and aδ < 1; latencies are neglected.

use super::controller::{Control, Law};
use super::network::ClockNetwork;
use crate::ids::{IdVec, NodeId};

/// How a loop stands against its stability bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stability {
    /// The gain, per frame and relative to the nominal frequency.
    pub gain: f64,
    /// The largest gain that is stable.
    pub gain_most: f64,
    /// The largest eigenvalue of the Laplacian.
    pub eigenvalue: f64,
}

impl Stability {
    /// Whether the gain is below its bound.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        self.gain < self.gain_most
    }
}

/// The stability of `control` on `network`; `None` for laws without a proportional gain that matters: an actuator that
/// knows up and down only is bounded by its steps.
#[must_use]
pub fn stability(network: &ClockNetwork, control: &Control) -> Option<Stability> {
    if matches!(control.law, Law::Free | Law::Pump { .. }) {
        return None;
    }
    let gain = control.proportional_gain(network.nominal()) / network.nominal().per_nanosecond();
    let eigenvalue = largest_eigenvalue(network, control.by_degree);
    let slowest = network.nodes().values().max_by_key(|node| node.period)?;
    let (period, delay) = (slowest.period as f64, slowest.delay as f64 / slowest.period as f64);
    let by_overshoot = if delay < 0.5 { 2.0 / (1.0 - 2.0 * delay) } else { f64::INFINITY };
    let by_delay = if delay > 0.0 { 1.0 / delay } else { f64::INFINITY };
    Some(Stability { gain, gain_most: by_overshoot.min(by_delay) / (period * eigenvalue), eigenvalue })
}

/// By power iteration from below.
fn largest_eigenvalue(network: &ClockNetwork, by_degree: bool) -> f64 {
    const STEPS: usize = 200;
    let nodes = network.nodes();
    let mut degree: IdVec<NodeId, f64> = IdVec::filled(0.0, nodes.len());
    for link in network.links().values() {
        degree[link.target] += 1.0;
    }
    // An alternating start with something of every eigenvector in it.
    let mut x: Vec<f64> = (0..nodes.len()).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 } + i as f64 / 1e3).collect();
    let mut largest = 0.0;
    for _ in 0..STEPS {
        let mut y: IdVec<NodeId, f64> = nodes.ids().zip(&x).map(|(node, value)| degree[node] * value).collect();
        for link in network.links().values() {
            y[link.target] -= x[link.source.0 as usize];
        }
        if by_degree {
            for (node, value) in y.iter_mut() {
                *value /= degree[node].max(1.0);
            }
        }
        let length = y.values().map(|value| value * value).sum::<f64>().sqrt();
        if length == 0.0 {
            break;
        }
        let before = x.iter().map(|value| value * value).sum::<f64>().sqrt();
        largest = length / before;
        x = y.values().map(|value| value / length).collect();
    }
    largest
}
