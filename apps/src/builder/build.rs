//! From a builder's notes to a frozen [`App`]: what only the whole program can tell is wrong.

use super::ports::PortId;
use super::{AppBuilder, Connection, Declared, Place};
use scheduler::analysis::{AnalysisError, analyse};
use sim_core::{Actor, ActorId, App, AppError, Channel, ChannelTokens, Id, SourcePlace};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Why a program does not make an application.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Ports without a channel, all of them.
    #[error("not connected: {}", list(.ports))]
    Unconnected {
        /// The ports, by actor.
        ports: Vec<UnconnectedPort>,
    },
    /// Two actors of one name.
    #[error("two actors are called `{name}`: at {first} and at {second}")]
    DuplicateActor {
        /// The name.
        name: String,
        /// Where the first was declared.
        first: Place,
        /// Where the second was declared.
        second: Place,
    },
    /// A port of one builder connected by another.
    #[error("the connection at {place} has a port of another `AppBuilder`")]
    ForeignPort {
        /// Where it was connected.
        place: Place,
    },
    /// Rates, sizes or names that no application may have.
    #[error(transparent)]
    App(#[from] AppError),
    /// Rates that clash, or firings that wait for each other in vain.
    #[error(transparent)]
    Analysis(#[from] Box<AnalysisError>),
}

/// A port without a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnconnectedPort {
    /// The actor's name.
    pub actor: String,
    /// Input or output.
    pub side: Side,
    /// The port's number.
    pub port: u32,
    /// Where the actor was declared.
    pub place: Place,
}

/// A side of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Where it consumes.
    Input,
    /// Where it produces.
    Output,
}

impl fmt::Display for UnconnectedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Input => "input",
            Side::Output => "output",
        };
        write!(f, "{side} {} of actor `{}` ({})", self.port, self.actor, self.place)
    }
}

fn list(ports: &[UnconnectedPort]) -> String {
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl AppBuilder {
    /// Checks the whole and freezes it.
    ///
    /// # Errors
    /// [`BuildError`]: ports that are not connected, names that are not unique, figures beyond the limits.
    pub fn build(self) -> Result<App, BuildError> {
        if let Some(place) = self.foreign {
            return Err(BuildError::ForeignPort { place });
        }
        check_names(&self.actors)?;
        check_connected(&self.actors, &self.channels)?;
        let joined = count_joined(&self.channels);
        let channels = self.channels.iter().map(|c| c.freeze(&self.actors, joined[&(c.from.actor, c.to.actor)]));
        let channels: Vec<Channel> = channels.collect();
        let actors: Vec<Actor> = self.actors.into_iter().map(Declared::freeze).collect();
        freeze(self.name, actors, channels)
    }
}

fn freeze(name: String, actors: Vec<Actor>, channels: Vec<Channel>) -> Result<App, BuildError> {
    let app = App::new(name, actors, channels)?;
    analyse(&app).map_err(Box::new)?;
    Ok(app)
}

fn check_names(actors: &[Declared]) -> Result<(), BuildError> {
    let mut places = BTreeMap::new();
    for actor in actors {
        if let Some(first) = places.insert(&actor.name, actor.place) {
            return Err(BuildError::DuplicateActor { name: actor.name.clone(), first, second: actor.place });
        }
    }
    Ok(())
}

fn check_connected(actors: &[Declared], channels: &[Connection]) -> Result<(), BuildError> {
    let key = |port: PortId, side| (port.actor.index(), side, port.port);
    let connected: BTreeSet<_> =
        channels.iter().flat_map(|c| [key(c.from, Side::Output), key(c.to, Side::Input)]).collect();
    let mut ports = Vec::new();
    for (index, actor) in actors.iter().enumerate() {
        for (side, shapes) in [(Side::Input, &actor.inputs), (Side::Output, &actor.outputs)] {
            let unconnected = (0..).zip(shapes).filter(|&(port, _)| !connected.contains(&(index, side, port)));
            ports.extend(unconnected.map(|(port, _)| UnconnectedPort {
                actor: actor.name.clone(),
                side,
                port,
                place: actor.place,
            }));
        }
    }
    if ports.is_empty() { Ok(()) } else { Err(BuildError::Unconnected { ports }) }
}

/// How many channels without a name of their own join two actors.
fn count_joined(channels: &[Connection]) -> BTreeMap<(ActorId, ActorId), u32> {
    let mut joined = BTreeMap::new();
    for channel in channels {
        *joined.entry((channel.from.actor, channel.to.actor)).or_default() += u32::from(channel.name.is_none());
    }
    joined
}

impl Connection {
    /// `joined`: how many channels without a name of their own join the same two actors.
    fn freeze(&self, actors: &[Declared], joined: u32) -> Channel {
        let (from, to) = (&actors[self.from.actor.index()], &actors[self.to.actor.index()]);
        let (output, input) = (from.outputs[self.from.port as usize], to.inputs[self.to.port as usize]);
        let automatic = || match joined {
            1 => format!("{}->{}", from.name, to.name),
            _ => format!("{}.{}->{}.{}", from.name, self.from.port, to.name, self.to.port),
        };
        Channel {
            name: self.name.clone().unwrap_or_else(automatic).into(),
            source: self.from.actor,
            source_port: self.from.port,
            target: self.to.actor,
            target_port: self.to.port,
            tokens: ChannelTokens {
                produce: [output.rate].into(),
                consume: [input.rate].into(),
                bits: output.token_bits,
                initial: self.initial.clone(),
            }
            .into(),
            place: Some(Box::new(SourcePlace::Code(self.place))),
        }
    }
}

impl Declared {
    fn freeze(self) -> Actor {
        let settings = self.settings.get();
        Actor {
            name: self.name.into(),
            exec: [settings.exec].into(),
            state: self.state,
            behaviour: self.behaviour,
            pin: settings.pin,
            fed: self.fed,
            place: Some(Box::new(SourcePlace::Code(self.place))),
        }
    }
}
