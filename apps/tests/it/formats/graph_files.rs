//! Published graphs are read with the right structure and payload, and survive our own form.

use super::{published, workspace};
use proptest::prelude::*;
use sim_core::app::{ActorState, InitialValues, SourcePlace};
use sim_core::digest::ChannelDigest;
use sim_core::{App, Firing, State};
use std::collections::VecDeque;
use std::fs;
use tidelock::formats::{read_graph, read_graph_ron, read_sdf3, to_ron};

fn read(text: &str) -> App {
    read_graph("test", text.as_bytes()).unwrap_or_else(|error| panic!("{error} at {:?} in {text}", error.span()))
}

/// What a graph is, without behaviour and places.
fn structure(app: &App) -> impl PartialEq + std::fmt::Debug + use<> {
    let actors: Vec<_> = app.actors().values().map(|a| (a.name.clone(), a.exec.clone(), a.state.clone())).collect();
    let channels = app.channels().values().map(|c| sim_core::Channel { place: None, ..c.clone() });
    (app.name().to_owned(), actors, channels.collect::<Vec<_>>())
}

/// The value of an attribute in one line of XML.
fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

/// `list` repeated to `phases` entries.
fn cycle(list: &str, phases: usize) -> Vec<u32> {
    let numbers: Vec<u32> = list.split(',').map(|number| number.parse().unwrap()).collect();
    numbers.into_iter().cycle().take(phases).collect()
}

/// Every line of every published file says what the application says.
#[test]
fn sdf3_structure_is_that_of_the_text() {
    let files = published();
    assert_eq!(files.len(), 14);
    for (stem, text) in files {
        let app = read(&text);
        assert_eq!(app.actors().len(), text.matches("<actor ").count(), "{stem}");
        assert_eq!(app.channels().len(), text.matches("<channel ").count(), "{stem}");
        for (id, actor) in app.actors().iter() {
            let block = text.split_once(&format!("<actor name=\"{}\"", actor.name)).unwrap().1;
            let block = block.split_once("</actor>").unwrap().0;
            let ports = |kind| {
                block.lines().filter(|line| line.contains("<port ") && attribute(line, "type") == Some(kind)).count()
            };
            assert_eq!(app.inputs(id).len(), ports("in"), "{stem}: {}", actor.name);
            assert_eq!(app.outputs(id).len(), ports("out"), "{stem}: {}", actor.name);
            let times = text
                .split_once(&format!("actorProperties actor=\"{}\"", actor.name))
                .map_or("0", |(_, rest)| attribute(rest, "time").unwrap());
            let exec: Vec<u32> = actor.exec.iter().map(|&ticks| u32::try_from(ticks).unwrap()).collect();
            assert_eq!(exec, cycle(times, exec.len()), "{stem}: {}", actor.name);
            assert_eq!(actor.state, ActorState::None);
        }
        for (line, channel) in text.lines().filter(|line| line.contains("<channel ")).zip(app.channels().values()) {
            let rates = |end: &str, phases: u64| {
                let actor = format!("<actor name=\"{}\"", attribute(line, &format!("{end}Actor")).unwrap());
                let port = format!("<port name=\"{}\"", attribute(line, &format!("{end}Port")).unwrap());
                let port = text.split_once(&actor).unwrap().1.split_once(&port).unwrap().1;
                cycle(attribute(port, "rate").unwrap(), usize::try_from(phases).unwrap())
            };
            let (source, target) = (&app.actors()[channel.source], &app.actors()[channel.target]);
            assert_eq!(Some(channel.name.as_str()), attribute(line, "name"), "{stem}");
            assert_eq!(Some(source.name.as_str()), attribute(line, "srcActor"), "{stem}: {}", channel.name);
            assert_eq!(Some(target.name.as_str()), attribute(line, "dstActor"), "{stem}: {}", channel.name);
            assert_eq!(channel.tokens.produce[..], rates("src", source.phases()), "{stem}: {}", channel.name);
            assert_eq!(channel.tokens.consume[..], rates("dst", target.phases()), "{stem}: {}", channel.name);
            let tokens = attribute(line, "initialTokens").unwrap_or("0");
            assert_eq!(channel.tokens.initial.count.to_string(), tokens, "{stem}: {}", channel.name);
            assert_eq!(channel.tokens.initial.values, InitialValues::Mix);
            let properties = text.split_once(&format!("channelProperties channel=\"{}\"", channel.name));
            let bits = properties.map_or("64", |(_, rest)| attribute(rest, "sz").unwrap());
            assert_eq!(channel.tokens.bits.to_string(), bits, "{stem}: {}", channel.name);
            assert_eq!(channel.place.as_ref().map(|place| shown(&text, place)), Some(line.trim()), "{stem}");
        }
    }
}

fn shown<'a>(text: &'a str, place: &SourcePlace) -> &'a str {
    match place {
        SourcePlace::Text(span) => &text[span.clone()],
        SourcePlace::Code(_) => panic!("the graph is from a file"),
    }
}

/// Tokens and digest of every channel after `firings` (by actor) firings; fires whatever can fire.
fn token_game(app: &App, firings: &[u64]) -> Vec<(u64, ChannelDigest)> {
    let channels = app.channels();
    let mut queues: Vec<VecDeque<u64>> = vec![VecDeque::new(); channels.len()];
    for (queue, channel) in queues.iter_mut().zip(channels.values()) {
        let mut words = vec![0; channel.token_words() as usize];
        for token in 0..channel.tokens.initial.count {
            channel.write_initial(token, &mut words);
            queue.extend(&words);
        }
    }
    let mut streams: Vec<(u64, ChannelDigest)> = channels.values().map(|c| (0, ChannelDigest::new(&c.name))).collect();
    let mut fired = vec![0; app.actors().len()];
    while fired != firings {
        let before = fired.clone();
        for (id, actor) in app.actors().iter() {
            let n = fired[id.0 as usize];
            let phase = (n % actor.phases()) as u32;
            let consumed = |c| channels[c].tokens.consume[phase as usize] as usize * channels[c].token_words() as usize;
            let ready = app.inputs(id).iter().all(|&c| queues[c.0 as usize].len() >= consumed(c));
            if n == firings[id.0 as usize] || !ready {
                continue;
            }
            let inputs: Vec<u64> = app
                .inputs(id)
                .iter()
                .flat_map(|&c| queues[c.0 as usize].drain(..consumed(c)).collect::<Vec<_>>())
                .collect();
            let mut outputs = vec![0; app.output_words(id, phase)];
            actor.behaviour.fire(Firing { index: n, phase }, State::Words(&mut []), &inputs, &mut outputs);
            for &c in app.outputs(id) {
                let tokens = channels[c].tokens.produce[phase as usize];
                let rest = outputs.split_off(tokens as usize * channels[c].token_words() as usize);
                queues[c.0 as usize].extend(&outputs);
                streams[c.0 as usize].0 += u64::from(tokens);
                streams[c.0 as usize].1.update(&outputs);
                outputs = rest;
            }
            fired[id.0 as usize] += 1;
        }
        assert_ne!(fired, before, "{} is deadlocked", app.name());
    }
    streams
}

/// An independent program computed the expected digests from the same files; our own form does not change them.
#[test]
fn mix_digests_are_the_published_ones() {
    let expected: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(workspace("data/sdf/expected.json")).unwrap()).unwrap();
    let mut compared = 0;
    for (stem, text) in published() {
        let expected = &expected[&stem];
        let Some(digests) = expected["mix_digests"].as_object() else {
            assert!(expected["consistent"] == false || !expected["deadlock"].is_null(), "{stem} has no digests");
            continue;
        };
        let (app, iterations) = (read(&text), digests["iterations"].as_u64().unwrap());
        let cycles = |name: &str| expected["repetition_vector"][name].as_u64().unwrap();
        let firings: Vec<u64> =
            app.actors().values().map(|actor| iterations * actor.phases() * cycles(&actor.name)).collect();
        let streams = token_game(&app, &firings);
        assert_eq!(token_game(&read(&to_ron(&app)), &firings), streams, "{stem} in our own form");
        for (channel, (tokens, digest)) in app.channels().values().zip(streams) {
            let expected = &digests["channels"][channel.name.as_str()];
            assert_eq!(expected["tokens"], tokens, "{stem}: {}", channel.name);
            assert_eq!(expected["digest"], digest.to_string(), "{stem}: {}", channel.name);
        }
        compared += 1;
    }
    assert_eq!(compared, 11);
}

/// Writing a graph in our own form and reading it back gives the same graph and the same streams.
#[test]
fn own_form_keeps_graphs() {
    for (stem, text) in published() {
        let app = read(&text);
        let own = to_ron(&app);
        let again = read(&own);
        assert_eq!(structure(&again), structure(&app), "{stem}: {own}");
        assert_eq!(to_ron(&again), own, "{stem}");
    }
}

/// Sample files read, and say what they seem to say.
#[test]
fn sample_graphs_are_legal() {
    let read_sample = |name: &str| read(&fs::read_to_string(workspace("examples/graphs").join(name)).unwrap());
    let stereo = read_sample("stereo.ron");
    assert_eq!((stereo.actors().len(), stereo.channels().len()), (6, 6));
    let mix = stereo.actor_named("mix").unwrap();
    assert_eq!(stereo.inputs(mix).len(), 3);
    assert_eq!(stereo.channels()[stereo.channel_named("left").unwrap()].tokens.bits, 24);
    let interleave = read_sample("interleave.ron");
    let merge = interleave.actor_named("merge").unwrap();
    assert_eq!(interleave.actors()[merge].exec[..], [1, 1, 2, 1]);
    let odd = &interleave.channels()[interleave.channel_named("odd").unwrap()];
    assert_eq!((&odd.tokens.produce[..], &odd.tokens.consume[..]), ([1].as_slice(), [0, 1, 0, 1].as_slice()));
}

#[test]
fn defaults_lists_and_comments() {
    let app = read(
        r#"/* all forms */ Graph(version: 1, name: "n\u{e9}", actors: [Actor(name: "a"), (name: "b", exec: [0, 0x10],),],
        channels: [
            (name: "c", source: "a", target: "b", produce: /* two */ 2, consume: [1_0, 0, 3]), // shorter lists repeat
            Channel(name: "d", source: "b", target: "b", produce: 1, consume: [1], initial_tokens: 7, token_bits: 0),
        ])"#,
    );
    assert_eq!(app.name(), "né");
    let execs: Vec<_> = app.actors().values().map(|actor| actor.exec.to_vec()).collect();
    assert_eq!(execs, [vec![1], vec![0, 16, 0, 16, 0, 16]]);
    let channels = app.channels().as_slice();
    assert_eq!(
        (&channels[0].tokens.produce[..], &channels[0].tokens.consume[..]),
        ([2].as_slice(), [10, 0, 3, 10, 0, 3].as_slice())
    );
    assert_eq!((channels[0].tokens.initial.count, channels[0].tokens.bits, channels[0].token_words()), (0, 64, 1));
    assert_eq!((channels[1].tokens.initial.count, channels[1].tokens.bits, channels[1].token_words()), (7, 0, 1));
    assert_eq!((channels[1].source_port, channels[1].target_port), (0, 1));
}

#[test]
fn sdf3_lists_and_elements_of_other_tools() {
    let app = read_sdf3(
        r#"<?xml version="1.0"?>
        <sdf3 type="csdf" version="1.0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="x.xsd">
          <applicationGraph name='g &amp; co'>
            <csdf name='g' type='G'>
              <actor name='a' type='A'><port type='out' name='p' rate=' 3*2, 1 ' argNr='0'/></actor>
              <actor name='b' type='B'><port name='p' type='in' rate='7'/></actor>
              <channel name='c' srcActor='a' srcPort='p' dstActor='b' dstPort='p' size='1' initialTokens='2'/>
              <annotation/>
            </csdf>
            <csdfProperties>
              <actorProperties actor='a'>
                <processor type='arm'><executionTime time='99'/></processor>
                <processor type='dsp' default='true'><executionTime time='4*5'/><memory><stateSize max='9'/></memory></processor>
              </actorProperties>
              <channelProperties channel='c'><bufferSize sz='3'/><tokenSize sz='65'/><latency min='0'/></channelProperties>
              <graphProperties><timeConstraints><throughput>0.1</throughput></timeConstraints></graphProperties>
            </csdfProperties>
          </applicationGraph>
          <architectureGraph name='tile'/>
        </sdf3>"#,
    )
    .unwrap();
    assert_eq!(app.name(), "g & co");
    assert_eq!(app.actors().as_slice()[0].exec[..], [5, 5, 5, 5]);
    assert_eq!(app.actors().as_slice()[1].exec[..], [0]);
    let channel = &app.channels().as_slice()[0];
    assert_eq!((&channel.tokens.produce[..], &channel.tokens.consume[..]), ([2, 2, 2, 1].as_slice(), [7].as_slice()));
    assert_eq!((channel.tokens.initial.count, channel.tokens.bits), (2, 65));
}

/// Content decides; the file's name only speaks for blank files.
#[test]
fn forms_are_told_apart() {
    let (_, xml) = published().swap_remove(0);
    let own = to_ron(&read(&xml));
    assert!(read_graph("a.ron", format!("\u{feff}\n{}", &xml[xml.find("<sdf3").unwrap()..]).as_bytes()).is_ok());
    assert!(read_graph("a.xml", format!("\u{feff}{own}").as_bytes()).is_ok());
    let code = |name: &str| read_graph(name, b" ").unwrap_err().code();
    assert_eq!(
        [code("a.XML"), code("a.sdf3"), code("a.ron"), code("a")],
        ["sdf3::xml", "sdf3::xml", "ron::wrong_kind", "ron::wrong_kind"]
    );
}

/// Names with quotes, backslashes, control characters and other alphabets come back unharmed.
#[test]
fn any_name_survives_our_own_form() {
    for name in ["\"", "\\", "a\nb", "\u{0}", "größe", "音", "}),(", "\u{202e}"] {
        let own = to_ron(&read(r#"Graph(version: 1, name: "g", actors: [(name: "NAME")], channels: [])"#));
        let quoted = ron::to_string(name).unwrap();
        let app = read_graph_ron(&own.replace("\"NAME\"", &quoted)).unwrap();
        assert_eq!(app.actors().as_slice()[0].name, name);
        assert_eq!(structure(&read(&to_ron(&app))), structure(&app));
    }
}

/// State is not written, but it orders an actor's firings, and so does a self-channel.
#[test]
fn state_becomes_a_self_channel() {
    let text = r#"Graph(version: 1, name: "g", actors: [(name: "a", exec: [1, 2]), (name: "b")],
        channels: [(name: "state_a", source: "a", target: "b", produce: 1, consume: 2)])"#;
    let app = read(text);
    let mut actors = app.actors().clone();
    for actor in actors.values_mut() {
        actor.state = ActorState::Plain(vec![0]);
    }
    let again = read(&to_ron(&App::new("g", actors, app.channels().clone()).unwrap()));
    let ends = |name: &str| {
        let channel = &again.channels()[again.channel_named(name).unwrap()];
        (
            channel.source.0,
            channel.target.0,
            channel.tokens.produce.to_vec(),
            channel.tokens.consume.to_vec(),
            channel.tokens.initial.count,
        )
    };
    assert_eq!(again.channels().len(), 3);
    assert_eq!(ends("state_a_"), (0, 0, vec![1, 1], vec![1, 1], 1));
    assert_eq!(ends("state_b"), (1, 1, vec![1], vec![1], 1));
}

proptest! {
    #![proptest_config(super::cases())]

    /// Random graphs, drawn as text, say after reading what was drawn, and survive our own form.
    #[test]
    fn random_graphs_are_read_as_drawn(
        execs in prop::collection::vec(prop::collection::vec(0..50_u64, 1..4), 1..6),
        channels in prop::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), rates(), rates(), 0..9_u64, 0..200_u64), 0..8),
    ) {
        let mut text = "Graph(version: 1, name: \"random\", actors: [".to_owned();
        for (i, exec) in execs.iter().enumerate() {
            text += &format!("(name: \"a{i}\", exec: {exec:?}),");
        }
        text += "], channels: [";
        for (i, (source, target, produce, consume, tokens, bits)) in channels.iter().enumerate() {
            let (source, target) = (source.index(execs.len()), target.index(execs.len()));
            text += &format!(
                "(name: \"c{i}\", source: \"a{source}\", target: \"a{target}\", produce: {produce:?}, consume: {consume:?}, \
                 initial_tokens: {tokens}, token_bits: {bits}),"
            );
        }
        let app = read(&(text + "])"));
        for (actor, exec) in app.actors().values().zip(&execs) {
            let drawn: Vec<u64> = exec.iter().copied().cycle().take(actor.exec.len()).collect();
            prop_assert_eq!(&actor.exec[..], &drawn[..]);
            prop_assert_eq!(actor.exec.len() % exec.len(), 0);
        }
        for (channel, (_, _, produce, consume, tokens, bits)) in app.channels().values().zip(&channels) {
            for (read, drawn, actor) in [(&channel.tokens.produce, produce, channel.source), (&channel.tokens.consume, consume, channel.target)] {
                prop_assert_eq!(read.len(), app.actors()[actor].exec.len());
                prop_assert!(read.iter().eq(drawn.iter().cycle().take(read.len())));
            }
            prop_assert_eq!((channel.tokens.initial.count, channel.tokens.bits), (*tokens, *bits));
        }
        prop_assert_eq!(structure(&read(&to_ron(&app))), structure(&app));
    }
}

/// One to four rates, not all 0.
fn rates() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(0..5_u32, 1..5)
        .prop_filter("rates may not all be 0", |rates| rates.iter().any(|&rate| rate > 0))
}
