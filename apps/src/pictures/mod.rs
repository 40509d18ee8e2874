//! Pictures of calendars, machines, clocks and sharded runs, as SVG and PNG.
//!
//! Two steps: a *scene* is plain data, made from calendars or by hand; a drawing function lays it out on a canvas of
//! 1 000 logical pixels and writes it. Files go exactly where the caller says; nothing else is read or written, and equal
//! scenes give equal bytes.
//!
//! ```
//! use sim_core::{Link, LogicalLatency, Machine, Node, NodeId};
//! use tidelock::pictures::{self, Layout, TopologyScene};
//!
//! let wire = |source, target| Link { source: NodeId(source), target: NodeId(target), latency: LogicalLatency(1) };
//! let nodes = vec![Node::new("left", 1), Node::new("right", 1)];
//! let machine = Machine::new("pair", nodes, vec![wire(0, 1), wire(1, 0)])?;
//! let scene = TopologyScene::new(&machine, None, Layout::Line);
//! assert!(pictures::topology_svg(&scene).contains("<title>left→right</title>"));
//! # Ok::<(), sim_core::MachineError>(())
//! ```

pub mod calendar;
pub mod clocks;
pub mod shards;
pub mod topology;

mod axis;
mod bitmap;
mod canvas;
mod font;
mod palette;
mod svg;

pub use calendar::{Bar, BarDetail, CalendarScene, FrameChannels, Lane, LaneKind, LinkLane, NodeLanes};
pub use clocks::{Band, ClocksScene, Curve, Panel};
pub use shards::{Crossing, Doing, ShardLane, ShardsScene, Stretch};
pub use topology::{Layout, TopologyLink, TopologyNode, TopologyScene};

use canvas::Canvas;
use std::path::{Path, PathBuf};

/// Width of every picture in logical pixels.
const WIDTH: u32 = 1000;
/// Sizes of text, in logical pixels per em.
const TITLE_SIZE: f64 = 20.0;
const AXIS_SIZE: f64 = 14.0;
const TICK_SIZE: f64 = 12.0;

/// The form of a picture's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Vector graphics; text stays text, and elements say what they are when pointed at.
    Svg,
    /// Pixels, two per logical pixel along each axis.
    Png,
}

impl Format {
    /// The format that the extension of `path` names, in upper or lower case.
    ///
    /// # Errors
    /// [`PictureError::Extension`] if it is neither `svg` nor `png`.
    pub fn of(path: &Path) -> Result<Self, PictureError> {
        match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            _ => Err(PictureError::Extension { path: path.to_owned() }),
        }
    }
}

/// Why a picture was not written.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// The file name does not say which format is wanted.
    #[error("the name of picture `{}` must end in .svg or .png", path.display())]
    Extension {
        /// The path that was given.
        path: PathBuf,
    },
    /// The file could not be written.
    #[error("cannot write picture `{}`", path.display())]
    Write {
        /// The path of the page that failed.
        path: PathBuf,
        /// What the file system says.
        source: std::io::Error,
    },
    /// The pixels could not be encoded or written.
    #[error("cannot write picture `{}`", path.display())]
    Encode {
        /// The path of the page that failed.
        path: PathBuf,
        /// What the encoder or the file system says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Draws the calendars of `scene` into `path` and returns the files written: `x.svg`, and `x-p2.svg`, `x-p3.svg`, … when
/// the nodes need several pages.
///
/// # Errors
/// [`PictureError`]. Pages before the one that failed stay.
pub fn calendar(scene: &CalendarScene, path: &Path) -> Result<Vec<PathBuf>, PictureError> {
    let format = Format::of(path)?;
    let mut written = Vec::new();
    for (index, page) in calendar::draw::pages(scene).iter().enumerate() {
        let path = page_path(path, index + 1);
        write(page, format, &path)?;
        written.push(path);
    }
    Ok(written)
}

/// The calendars of `scene` as SVG documents, one per page.
#[must_use]
pub fn calendar_svg(scene: &CalendarScene) -> Vec<String> {
    calendar::draw::pages(scene).iter().map(svg::render).collect()
}

/// Draws the machine of `scene` into `path` and returns it.
///
/// # Errors
/// [`PictureError`].
pub fn topology(scene: &TopologyScene, path: &Path) -> Result<PathBuf, PictureError> {
    page(path, || topology::draw::canvas(scene))
}

/// The machine of `scene` as an SVG document.
#[must_use]
pub fn topology_svg(scene: &TopologyScene) -> String {
    svg::render(&topology::draw::canvas(scene))
}

/// Draws how clocks converge into `path` and returns it.
///
/// # Errors
/// [`PictureError`].
pub fn clocks(scene: &ClocksScene, path: &Path) -> Result<PathBuf, PictureError> {
    page(path, || clocks::draw::canvas(scene))
}

/// How clocks converge as an SVG document.
#[must_use]
pub fn clocks_svg(scene: &ClocksScene) -> String {
    svg::render(&clocks::draw::canvas(scene))
}

/// Draws a run in shards into `path` and returns it.
///
/// # Errors
/// [`PictureError`].
pub fn shards(scene: &ShardsScene, path: &Path) -> Result<PathBuf, PictureError> {
    page(path, || shards::draw::canvas(scene))
}

/// A run in shards as an SVG document.
#[must_use]
pub fn shards_svg(scene: &ShardsScene) -> String {
    svg::render(&shards::draw::canvas(scene))
}

/// Draws a picture of one page, if its format is known.
fn page(path: &Path, draw: impl FnOnce() -> Canvas) -> Result<PathBuf, PictureError> {
    let format = Format::of(path)?;
    write(&draw(), format, path)?;
    Ok(path.to_owned())
}

/// The file of page `page` (from 1): the first one has the path as given.
fn page_path(path: &Path, page: usize) -> PathBuf {
    if page == 1 {
        return path.to_owned();
    }
    let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
    path.with_file_name(format!("{}-p{page}.{}", part(path.file_stem()), part(path.extension())))
}

fn write(canvas: &Canvas, format: Format, path: &Path) -> Result<(), PictureError> {
    match format {
        Format::Svg => std::fs::write(path, svg::render(canvas))
            .map_err(|source| PictureError::Write { path: path.to_owned(), source }),
        Format::Png => {
            bitmap::write(canvas, path).map_err(|source| PictureError::Encode { path: path.to_owned(), source })
        }
    }
}

/// The grey line at the foot of every picture.
fn version_line() -> String {
    format!("tidelock {}", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_is_the_format() {
        assert_eq!(Format::of(Path::new("a/b.svg")).unwrap(), Format::Svg);
        assert_eq!(Format::of(Path::new("b.x.PNG")).unwrap(), Format::Png);
        for bad in ["x", "x.pdf", ".svg", "svg", ""] {
            assert!(matches!(Format::of(Path::new(bad)), Err(PictureError::Extension { .. })), "{bad}");
        }
    }

    #[test]
    fn pages_are_numbered_before_the_extension() {
        assert_eq!(page_path(Path::new("out/x.svg"), 1), Path::new("out/x.svg"));
        assert_eq!(page_path(Path::new("out/x.y.svg"), 2), Path::new("out/x.y-p2.svg"));
    }
}
