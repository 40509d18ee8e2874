//! Text forms of what users write: graph files (our own RON, SDF3 XML), pins files, partition files, and RON text in general.
//!
//! Reading is pure: text in, a checked value or a [`FormatError`] with the place out. Nothing here opens a file. No text,
//! however broken, makes reading panic, and none asks for memory out of proportion to what applications may hold.

pub mod clocks;
mod error;
mod graph;
mod graph_ron;
mod names;
mod partition;
mod pins;
mod ron_text;
mod sdf3;
mod ugns;

pub use clocks::{ClockFileError, ClockSpec, Uniform, read_clocks};
pub(crate) use error::byte_offset;
pub use error::{FormatError, Spanned};
pub use graph::{GraphError, LIST_ENTRIES};
pub use graph_ron::{read_graph_ron, to_ron};
pub use names::nearest;
pub use partition::{PartitionFile, PartitionFileError, partition_to_ron, read_partition};
pub use pins::{Pin, PinError, Pins, PinsFileError, read_pins};
pub use ron_text::{RonError, read_ron};
pub use sdf3::{Sdf3Error, read_sdf3};
pub use ugns::{Ugns, read_ugns};

use sim_core::App;

/// Reads a graph file in either form.
///
/// Text that begins with `<` is SDF3 XML, text that begins otherwise is RON; only for blank text the end of `file_name`
/// decides (`.xml`, `.sdf3`), so that the error speaks of the form that was meant.
///
/// # Errors
/// [`FormatError`], the first that is found.
///
/// # Examples
/// ```
/// let text = r#"Graph(
///     version: 1, name: "pair",
///     actors: [(name: "a", exec: 2), (name: "b")],
///     channels: [(name: "x", source: "a", target: "c", produce: 1, consume: 3)],
/// )"#;
/// let error = tidelock::formats::read_graph("pair.ron", text.as_bytes()).unwrap_err();
/// assert_eq!(error.to_string(), "there is no actor `c`");
/// assert_eq!(error.span().map(|span| &text[span]), Some(r#""c""#));
/// ```
pub fn read_graph(file_name: &str, bytes: &[u8]) -> Result<App, FormatError> {
    let text = read_text(bytes)?;
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let named_xml = || [".xml", ".sdf3"].iter().any(|end| file_name.to_lowercase().ends_with(end));
    if start.starts_with('<') || start.is_empty() && named_xml() { read_sdf3(text) } else { read_graph_ron(text) }
}

/// The bytes of a file as text.
///
/// # Errors
/// [`FormatError::NotUtf8`].
pub fn read_text(bytes: &[u8]) -> Result<&str, FormatError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let offset = error.valid_up_to();
        FormatError::NotUtf8 { offset, byte: bytes[offset] }
    })
}
