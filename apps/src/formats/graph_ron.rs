//! Our own form of graph files: RON.
//!
//! Every field is kept as a piece of the text until its place is known, so that each error can point at the very word.

use super::graph::{Draft, DraftActor, DraftChannel, TOKEN_BITS};
use super::ron_text::{Source, Version1, given};
use super::{FormatError, Spanned};
use ron::value::RawValue;
use serde::Deserialize;
use sim_core::App;
use sim_core::app::limits;
use std::collections::BTreeSet;
use std::fmt::{self, Display, Write};

#[derive(Deserialize)]
#[serde(rename = "Graph", deny_unknown_fields)]
struct GraphText<'a> {
    #[serde(rename = "version")]
    _version: Version1,
    name: String,
    #[serde(borrow)]
    actors: Vec<&'a RawValue>,
    #[serde(borrow)]
    channels: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename = "Actor", deny_unknown_fields)]
struct ActorText<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "given")]
    exec: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename = "Channel", deny_unknown_fields)]
struct ChannelText<'a> {
    #[serde(borrow)]
    name: &'a RawValue,
    #[serde(borrow)]
    source: &'a RawValue,
    #[serde(borrow)]
    target: &'a RawValue,
    #[serde(borrow)]
    produce: &'a RawValue,
    #[serde(borrow)]
    consume: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "given")]
    initial_tokens: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "given")]
    token_bits: Option<&'a RawValue>,
}

/// Reads a graph in our own form; its actors run the mix payload, ports are numbered by the order of channels in the file.
///
/// ```text
/// Graph(
///     version: 1,
///     name: "stereo",
///     actors: [
///         (name: "mic", exec: 2),
///         (name: "mix", exec: [3, 1]),
///     ],
///     channels: [
///         (name: "samples", source: "mic", target: "mix", produce: 2, consume: [1, 3], initial_tokens: 4, token_bits: 32),
///     ],
/// )
/// ```
///
/// `exec` (ticks, 1 if left out), `produce` and `consume` (tokens per firing) are one number, or a list of one per phase
/// that repeats if other lists of the actor are longer. `initial_tokens` is 0 and `token_bits` is 64 if left out.
///
/// # Errors
/// [`FormatError::Ron`] and [`FormatError::Graph`], the first that is found.
pub fn read_graph_ron(text: &str) -> Result<App, FormatError> {
    let source = Source { text };
    let start = text.strip_prefix('\u{feff}').unwrap_or(text);
    let graph: GraphText<'_> = source.read(start)?;
    let actors = graph.actors.into_iter().map(|actor| read_actor(source, actor));
    let channels = graph.channels.into_iter().map(|channel| read_channel(source, channel));
    let draft = Draft {
        name: graph.name,
        place: source.span(start.trim()),
        actors: actors.collect::<Result<_, _>>()?,
        channels: channels.collect::<Result<_, _>>()?,
    };
    Ok(draft.build()?)
}

fn read_actor<'a>(source: Source<'a>, value: &'a RawValue) -> Result<DraftActor, FormatError> {
    let Spanned { value: actor, span: place } = source.spanned::<ActorText<'a>>(value)?;
    let exec = match actor.exec {
        Some(exec) => source.whole_list(exec, "`exec`", limits::EXEC)?,
        None => Spanned::new(vec![1], place.clone()),
    };
    Ok(DraftActor { name: source.spanned(actor.name)?, exec, place })
}

fn read_channel<'a>(source: Source<'a>, value: &'a RawValue) -> Result<DraftChannel, FormatError> {
    let Spanned { value: channel, span: place } = source.spanned::<ChannelText<'a>>(value)?;
    let initial = match channel.initial_tokens {
        Some(count) => source.whole(count, "`initial_tokens`", limits::INITIAL_WORDS)?,
        None => Spanned::new(0, place.clone()),
    };
    let token_bits = match channel.token_bits {
        Some(bits) => source.whole(bits, "`token_bits`", TOKEN_BITS)?.value,
        None => 64,
    };
    Ok(DraftChannel {
        name: source.spanned(channel.name)?,
        source: source.spanned(channel.source)?,
        target: source.spanned(channel.target)?,
        produce: source.whole_list(channel.produce, "`produce`", limits::RATE)?,
        consume: source.whole_list(channel.consume, "`consume`", limits::RATE)?,
        initial,
        token_bits,
        place,
    })
}

/// The graph of `app` in our own form: actors, channels and figures, one line each.
///
/// Reading it back gives the same graph if `app` came from a graph file. A file holds neither behaviour nor the values
/// of initial tokens, so other applications become their graph under the mix payload; an actor with state gets a
/// self-channel with one token instead, which keeps its firings in order likewise.
#[must_use]
pub fn to_ron(app: &App) -> String {
    let mut out = String::new();
    write_graph(app, &mut out).expect("a string takes all that is written");
    out
}

fn write_graph(app: &App, out: &mut String) -> fmt::Result {
    writeln!(out, "Graph(\n    version: 1,\n    name: {},\n    actors: [", quoted(app.name()))?;
    for actor in app.actors().values() {
        // The durations are written out in full, because their number says how many phases there are.
        writeln!(out, "        (name: {}, exec: {}),", quoted(&actor.name), one_or_list(&actor.exec))?;
    }
    writeln!(out, "    ],\n    channels: [")?;
    for channel in app.channels().values() {
        let [source, target] = [channel.source, channel.target].map(|actor| quoted(&app.actors()[actor].name));
        write!(out, "        (name: {}, source: {source}, target: {target}", quoted(&channel.name))?;
        let [produce, consume] =
            [&channel.tokens.produce, &channel.tokens.consume].map(|rates| one_or_list(shortest_cycle(rates)));
        write!(out, ", produce: {produce}, consume: {consume}")?;
        if channel.tokens.initial.count != 0 {
            write!(out, ", initial_tokens: {}", channel.tokens.initial.count)?;
        }
        if channel.tokens.bits != 64 {
            write!(out, ", token_bits: {}", channel.tokens.bits)?;
        }
        writeln!(out, "),")?;
    }
    let mut taken: BTreeSet<String> = app.channels().values().map(|channel| channel.name.to_string()).collect();
    for actor in app.actors().values().filter(|actor| actor.has_state()) {
        let mut name = format!("state_{}", actor.name);
        while !taken.insert(name.clone()) {
            name.push('_');
        }
        let [name, actor] = [name.as_str(), actor.name.as_str()].map(quoted);
        writeln!(
            out,
            "        (name: {name}, source: {actor}, target: {actor}, produce: 1, consume: 1, initial_tokens: 1),"
        )?;
    }
    writeln!(out, "    ],\n)")
}

fn quoted(name: &str) -> String {
    ron::to_string(name).expect("every string has a RON form")
}

/// One number as itself, several as a list.
fn one_or_list<T: Display>(list: &[T]) -> String {
    match list {
        [one] => one.to_string(),
        list => format!("[{}]", list.iter().map(T::to_string).collect::<Vec<_>>().join(", ")),
    }
}

/// The shortest beginning of `list` that gives `list` when it is repeated.
fn shortest_cycle(list: &[u32]) -> &[u32] {
    let repeats = |length: usize| list.len().is_multiple_of(length) && list[length..] == list[..list.len() - length];
    let length = (1..list.len()).find(|&length| repeats(length)).unwrap_or(list.len());
    &list[..length]
}
