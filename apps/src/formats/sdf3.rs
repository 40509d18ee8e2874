//! SDF3 XML, the form in which tools of the field exchange SDF and CSDF graphs.
//!
//! It owns the reading of that form, port by port; what makes a graph of actors and channels is [`super::graph`]'s affair.
//! Source: Stuijk, Geilen & Basten, "SDF3: SDF For Free", ACSD 2006, and the tool's `csdf/base` (lists: `base/sequence`).

use super::error::{byte_offset, did_you_mean, excerpt, visible};
use super::graph::{Draft, DraftActor, DraftChannel, GraphError, LIST_ENTRIES, Names, TOKEN_BITS};
use super::{FormatError, Spanned};
use roxmltree::{Document, Node};
use sim_core::App;
use sim_core::app::limits;
use std::ops::Range;

/// Why text is not an SDF3 file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Sdf3Error {
    /// The text is not XML.
    #[error("{}", xml_message(.error))]
    Xml {
        /// What the XML parser says.
        error: roxmltree::Error,
        /// Its place.
        span: Range<usize>,
    },
    /// XML of something else.
    #[error("the outermost element is `{found}`, expected `sdf3`")]
    Root {
        /// The element found.
        found: String,
        /// Its place.
        span: Range<usize>,
    },
    /// A model of computation that is not SDF or CSDF.
    #[error("the file holds a graph of type `{found}`")]
    Type {
        /// The type found.
        found: String,
        /// Its place.
        span: Range<usize>,
    },
    /// An element without a necessary child.
    #[error("element `{parent}` has {found} elements `{child}`, expected 1")]
    Children {
        /// The element.
        parent: String,
        /// The child's name.
        child: String,
        /// How many there are.
        found: usize,
        /// The place of the element.
        span: Range<usize>,
    },
    /// An element without a necessary attribute.
    #[error("element `{element}` has no attribute `{attribute}`")]
    MissingAttribute {
        /// The element.
        element: String,
        /// The attribute.
        attribute: &'static str,
        /// The place of the element.
        span: Range<usize>,
    },
    /// A direction of a port that is not "in" or "out".
    #[error("port `{port}` of actor `{actor}` has type `{found}`, expected `in` or `out`")]
    Direction {
        /// The actor's name.
        actor: String,
        /// The port's name.
        port: String,
        /// The type found.
        found: String,
        /// Its place.
        span: Range<usize>,
    },
    /// A list where SDF has one number.
    #[error("{what} is the list `{found}`, but graphs of type `sdf` have one number here")]
    ListInSdf {
        /// Which figure.
        what: &'static str,
        /// The list.
        found: String,
        /// Its place.
        span: Range<usize>,
    },
    /// A channel at a port that does not exist.
    #[error("actor `{actor}` has no port `{port}`")]
    NoSuchPort {
        /// The actor's name.
        actor: String,
        /// The port's name.
        port: String,
        /// A port that exists and is spelt alike.
        nearest: Option<String>,
        /// Where the port is named.
        span: Range<usize>,
    },
    /// A channel that leaves an input or enters an output.
    #[error("channel `{channel}` needs an `{needed}` port, but port `{port}` of actor `{actor}` has type `{found}`")]
    WrongDirection {
        /// The channel's name.
        channel: String,
        /// The actor's name.
        actor: String,
        /// The port's name.
        port: String,
        /// "in" or "out".
        needed: &'static str,
        /// "out" or "in".
        found: &'static str,
        /// Where the port is named.
        span: Range<usize>,
    },
    /// Two channels at one port.
    #[error("channels `{first}` and `{second}` share port `{port}` of actor `{actor}`")]
    SharedPort {
        /// The first channel's name.
        first: String,
        /// The second channel's name.
        second: String,
        /// The actor's name.
        actor: String,
        /// The port's name.
        port: String,
        /// Where the second channel names the port.
        span: Range<usize>,
    },
    /// A port without a channel.
    #[error("unconnected port: no channel uses port `{port}` of actor `{actor}`")]
    UnconnectedPort {
        /// The actor's name.
        actor: String,
        /// The port's name.
        port: String,
        /// Where it is declared.
        span: Range<usize>,
    },
    /// Properties of one thing in two places.
    #[error("a second `{element}` for `{name}`")]
    PropertiesTwice {
        /// The element.
        element: &'static str,
        /// What it is about.
        name: String,
        /// The place of the second.
        span: Range<usize>,
    },
}

impl Sdf3Error {
    /// The bytes of the text that the error is about.
    #[must_use]
    pub fn span(&self) -> Range<usize> {
        match self {
            Self::Xml { span, .. }
            | Self::Root { span, .. }
            | Self::Type { span, .. }
            | Self::Children { span, .. }
            | Self::MissingAttribute { span, .. }
            | Self::Direction { span, .. }
            | Self::ListInSdf { span, .. }
            | Self::NoSuchPort { span, .. }
            | Self::WrongDirection { span, .. }
            | Self::SharedPort { span, .. }
            | Self::UnconnectedPort { span, .. }
            | Self::PropertiesTwice { span, .. } => span.clone(),
        }
    }

    /// What the user may do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::Xml { error: roxmltree::Error::DtdDetected, .. } => "remove the document type definition",
            Self::Type { .. } => "the types that can be read are `sdf` and `csdf`",
            Self::ListInSdf { .. } => "graphs with lists have type `csdf`",
            Self::NoSuchPort { nearest, .. } => return did_you_mean(nearest.as_ref()),
            Self::SharedPort { .. } => "give every channel a port of its own",
            Self::UnconnectedPort { .. } => "remove the port, or add the channel that it is for",
            _ => return None,
        };
        Some(help.to_owned())
    }

    /// A name of this kind of error that does not change between releases.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Xml { .. } => "sdf3::xml",
            Self::Root { .. } => "sdf3::wrong_kind",
            Self::Type { .. } => "sdf3::type",
            Self::Children { .. } => "sdf3::children",
            Self::MissingAttribute { .. } => "sdf3::missing_attribute",
            Self::Direction { .. } => "sdf3::direction",
            Self::ListInSdf { .. } => "sdf3::list_in_sdf",
            Self::NoSuchPort { .. } => "sdf3::no_such_port",
            Self::WrongDirection { .. } => "sdf3::wrong_direction",
            Self::SharedPort { .. } => "sdf3::shared_port",
            Self::UnconnectedPort { .. } => "sdf3::unconnected_port",
            Self::PropertiesTwice { .. } => "sdf3::properties_twice",
        }
    }
}

/// Reads an SDF3 graph; its actors run the mix payload, ports are numbered by the order of channels in the file.
///
/// Read are `sdf3` (`type` "sdf" or "csdf") ▸ `applicationGraph` ▸ the element called like the type, with
/// - `actor` (`name`) ▸ `port` (`name`, `type` "in" or "out", `rate`);
/// - `channel` (`name`, `srcActor`, `srcPort`, `dstActor`, `dstPort`, `initialTokens`, 0 if absent);
///
/// and beside it `sdfProperties` or `csdfProperties` with
/// - `actorProperties` (`actor`) ▸ `processor` (`default`) ▸ `executionTime` (`time`): that of the first processor with
///   `default`, else of the first processor; an actor without one takes 0 ticks, which analyses accept and the compiler
///   takes as 1;
/// - `channelProperties` (`channel`) ▸ `tokenSize` (`sz` in bits, 64 if absent).
///
/// Rates and times of CSDF are lists, "1,0,3", in which "3*2" stands for "2,2,2"; a list that is shorter than its actor's
/// number of phases repeats. Other elements (`bufferSize`, `latency`, `bandwidth`, `memory`, `graphProperties`,
/// `storageDistribution`, `architectureGraph`, `mapping`, …) say nothing that a calendar depends on and are ignored, as
/// are other attributes. Document type definitions are refused.
///
/// # Errors
/// [`FormatError::Sdf3`] and [`FormatError::Graph`], the first that is found.
pub fn read_sdf3(text: &str) -> Result<App, FormatError> {
    let document = Document::parse(text).map_err(|error| Sdf3Error::Xml { span: xml_span(text, &error), error })?;
    let root = document.root_element();
    if !root.has_tag_name("sdf3") {
        return Err(Sdf3Error::Root { found: element_name(root), span: tag_span(root) }.into());
    }
    let kind = attribute(root, "type")?;
    let cyclic = match kind.value.as_str() {
        "sdf" => false,
        "csdf" => true,
        other => return Err(Sdf3Error::Type { found: excerpt(other), span: kind.span }.into()),
    };
    let application = only_child(root, "applicationGraph")?;
    let graph = only_child(application, &kind.value)?;
    let mut lists = Lists { cyclic, entries: 0 };
    let (mut actors, ports) = read_actors(graph, &mut lists)?;
    let mut channels = read_channels(graph, &actors, &ports)?;
    let properties = format!("{}Properties", kind.value);
    if children(application, &properties).next().is_some() {
        let properties = only_child(application, &properties)?;
        read_actor_properties(properties, &mut actors, &mut lists)?;
        read_channel_properties(properties, &mut channels)?;
    }
    let name = application.attribute("name").or(graph.attribute("name")).unwrap_or("graph").to_owned();
    Ok(Draft { name, place: tag_span(graph), actors, channels }.build()?)
}

/// A port of an actor as it is declared.
struct Port {
    name: Spanned<String>,
    outgoing: bool,
    rate: Spanned<Vec<u64>>,
}

/// The actors, and for each of them its ports.
fn read_actors(graph: Node<'_, '_>, lists: &mut Lists) -> Result<(Vec<DraftActor>, Vec<Vec<Port>>), FormatError> {
    let (mut actors, mut ports) = (Vec::new(), Vec::new());
    for node in children(graph, "actor") {
        let name = attribute(node, "name")?;
        ports.push(children(node, "port").map(|port| read_port(port, &name.value, lists)).collect::<Result<_, _>>()?);
        let place = tag_span(node);
        actors.push(DraftActor { name, exec: Spanned::new(vec![0], place.clone()), place });
    }
    Ok((actors, ports))
}

fn read_port(node: Node<'_, '_>, actor: &str, lists: &mut Lists) -> Result<Port, FormatError> {
    let (name, direction) = (attribute(node, "name")?, attribute(node, "type")?);
    let outgoing = match direction.value.as_str() {
        "in" => false,
        "out" => true,
        other => {
            let (actor, found) = (actor.to_owned(), excerpt(other));
            return Err(Sdf3Error::Direction { actor, port: name.value, found, span: direction.span }.into());
        }
    };
    let rate = lists.read(&attribute(node, "rate")?, "the rate", limits::RATE)?;
    Ok(Port { name, outgoing, rate })
}

/// The channels, joined with the rates of their ports.
fn read_channels(
    graph: Node<'_, '_>,
    actors: &[DraftActor],
    ports: &[Vec<Port>],
) -> Result<Vec<DraftChannel>, FormatError> {
    let actor_names = Names::new("actor", actors.iter().map(|actor| &actor.name))?;
    let port_names = ports.iter().map(|ports| Names::new("port", ports.iter().map(|port| &port.name)));
    let port_names: Vec<Names<'_>> = port_names.collect::<Result<_, _>>()?;
    // Which channel uses a port, indexed by actor and port.
    let mut users: Vec<Vec<Option<String>>> = ports.iter().map(|ports| vec![None; ports.len()]).collect();
    let mut channels = Vec::new();
    for node in children(graph, "channel") {
        let name = attribute(node, "name")?;
        let mut connect = |actor_attribute, port_attribute, outgoing| {
            let (actor_name, port_name) = (attribute(node, actor_attribute)?, attribute(node, port_attribute)?);
            let actor_position = actor_names.find(&actor_name)?;
            let (actor, span) = (actor_name.value.clone(), port_name.span);
            let names = &port_names[actor_position];
            let Some(position) = names.get(&port_name.value) else {
                let nearest = names.nearest(&port_name.value);
                return Err(Sdf3Error::NoSuchPort { actor, port: port_name.value, nearest, span }.into());
            };
            let port = &ports[actor_position][position];
            if port.outgoing != outgoing {
                let (channel, port) = (name.value.clone(), port_name.value);
                let (needed, found) = if outgoing { ("out", "in") } else { ("in", "out") };
                return Err(Sdf3Error::WrongDirection { channel, actor, port, needed, found, span }.into());
            }
            if let Some(first) = users[actor_position][position].replace(name.value.clone()) {
                let second = name.value.clone();
                return Err(Sdf3Error::SharedPort { first, second, actor, port: port_name.value, span }.into());
            }
            Ok::<_, FormatError>((actor_name, port.rate.clone()))
        };
        let (source, produce) = connect("srcActor", "srcPort", true)?;
        let (target, consume) = connect("dstActor", "dstPort", false)?;
        let initial = match spanned_attribute(node, "initialTokens") {
            Some(text) => whole(&text.value, &text.span, "the number of initial tokens", limits::INITIAL_WORDS)?,
            None => 0,
        };
        let initial_span = spanned_attribute(node, "initialTokens").map_or(tag_span(node), |text| text.span);
        channels.push(DraftChannel {
            name,
            source,
            target,
            produce,
            consume,
            initial: Spanned::new(initial, initial_span),
            token_bits: 64,
            place: tag_span(node),
        });
    }
    for (actor, (ports, users)) in actors.iter().zip(ports.iter().zip(&users)) {
        if let Some((port, _)) = ports.iter().zip(users).find(|(_, user)| user.is_none()) {
            let (actor, port, span) = (actor.name.value.clone(), port.name.value.clone(), port.name.span.clone());
            return Err(Sdf3Error::UnconnectedPort { actor, port, span }.into());
        }
    }
    Ok(channels)
}

fn read_actor_properties(
    properties: Node<'_, '_>,
    actors: &mut [DraftActor],
    lists: &mut Lists,
) -> Result<(), FormatError> {
    let names: Vec<Spanned<String>> = actors.iter().map(|actor| actor.name.clone()).collect();
    let names = Names::new("actor", &names)?;
    let mut seen = vec![false; actors.len()];
    for node in children(properties, "actorProperties") {
        let name = attribute(node, "actor")?;
        let position = names.find(&name)?;
        if std::mem::replace(&mut seen[position], true) {
            let element = "actorProperties";
            return Err(Sdf3Error::PropertiesTwice { element, name: name.value, span: name.span }.into());
        }
        let is_default =
            |node: &Node<'_, '_>| node.attribute("default").is_some_and(|text| text != "false" && text != "0");
        let processor = children(node, "processor").find(is_default).or_else(|| children(node, "processor").next());
        if let Some(time) = processor.and_then(|processor| children(processor, "executionTime").next()) {
            actors[position].exec = lists.read(&attribute(time, "time")?, "the execution time", limits::EXEC)?;
        }
    }
    Ok(())
}

fn read_channel_properties(properties: Node<'_, '_>, channels: &mut [DraftChannel]) -> Result<(), FormatError> {
    let names: Vec<Spanned<String>> = channels.iter().map(|channel| channel.name.clone()).collect();
    let names = Names::new("channel", &names)?;
    let mut seen = vec![false; channels.len()];
    for node in children(properties, "channelProperties") {
        let name = attribute(node, "channel")?;
        let position = names.find(&name)?;
        if std::mem::replace(&mut seen[position], true) {
            let element = "channelProperties";
            return Err(Sdf3Error::PropertiesTwice { element, name: name.value, span: name.span }.into());
        }
        let size = children(node, "tokenSize").find_map(|size| spanned_attribute(size, "sz"));
        if let Some(size) = size {
            channels[position].token_bits = whole(&size.value, &size.span, "the token size in bits", TOKEN_BITS)?;
        }
    }
    Ok(())
}

/// Reads lists of numbers and watches over their total length.
struct Lists {
    /// Whether the graph's type allows more than one number.
    cyclic: bool,
    /// Entries of all lists so far.
    entries: u64,
}

impl Lists {
    /// Reads "n", or for CSDF "n,n,…", where each n may be "count*n".
    fn read(
        &mut self,
        text: &Spanned<String>,
        what: &'static str,
        limit: u64,
    ) -> Result<Spanned<Vec<u64>>, FormatError> {
        let span = &text.span;
        if !self.cyclic && text.value.contains([',', '*']) {
            return Err(Sdf3Error::ListInSdf { what, found: excerpt(&text.value), span: span.clone() }.into());
        }
        let mut list = Vec::new();
        for item in text.value.split(',') {
            let (count, number) = match item.split_once('*') {
                Some((count, number)) => (whole(count, span, "the count before `*`", limits::PHASES)?, number),
                None => (1, item),
            };
            let number = whole(number, span, what, limit)?;
            self.entries += count;
            if self.entries > LIST_ENTRIES {
                return Err(GraphError::ListEntries { entries: self.entries, span: span.clone() }.into());
            }
            list.extend(std::iter::repeat_n(number, usize::try_from(count).expect("counts are limited")));
        }
        Ok(Spanned::new(list, span.clone()))
    }
}

/// A whole number from 0 to `limit`, blanks around it allowed.
fn whole(text: &str, span: &Range<usize>, what: &'static str, limit: u64) -> Result<u64, GraphError> {
    match text.trim().parse::<u64>() {
        Ok(number) if number <= limit => Ok(number),
        _ => Err(GraphError::Number { what, found: excerpt(text.trim()), limit, span: span.clone() }),
    }
}

fn children<'a, 'input: 'a>(node: Node<'a, 'input>, name: &str) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(move |child| child.has_tag_name(name))
}

fn only_child<'a, 'input>(node: Node<'a, 'input>, name: &str) -> Result<Node<'a, 'input>, Sdf3Error> {
    let found = children(node, name).count();
    match children(node, name).next() {
        Some(child) if found == 1 => Ok(child),
        _ => {
            let (parent, child) = (element_name(node), name.to_owned());
            Err(Sdf3Error::Children { parent, child, found, span: tag_span(node) })
        }
    }
}

/// An attribute that must be there.
fn attribute(node: Node<'_, '_>, attribute: &'static str) -> Result<Spanned<String>, Sdf3Error> {
    spanned_attribute(node, attribute).ok_or_else(|| Sdf3Error::MissingAttribute {
        element: element_name(node),
        attribute,
        span: tag_span(node),
    })
}

fn spanned_attribute(node: Node<'_, '_>, attribute: &str) -> Option<Spanned<String>> {
    node.attribute_node(attribute).map(|found| Spanned::new(found.value().to_owned(), found.range_value()))
}

fn element_name(node: Node<'_, '_>) -> String {
    excerpt(node.tag_name().name())
}

/// The bytes of an element's opening tag.
fn tag_span(node: Node<'_, '_>) -> Range<usize> {
    let whole = node.range();
    whole.start..node.first_child().map_or(whole.end, |child| child.range().start)
}

fn xml_message(error: &roxmltree::Error) -> String {
    // The place is shown, not told.
    error.to_string().replace(&format!(" at {}", error.pos()), "")
}

fn xml_span(text: &str, error: &roxmltree::Error) -> Range<usize> {
    use roxmltree::Error as E;
    let start = match error {
        E::NoRootNode | E::UnclosedRootNode | E::UnexpectedEndOfStream => text.len(),
        E::DtdDetected => {
            const START: &str = "<!DOCTYPE";
            return text.find(START).map_or(0..0, |start| start..start + START.len());
        }
        error => byte_offset(text, error.pos().row as usize, error.pos().col as usize),
    };
    visible(text, start..start)
}
