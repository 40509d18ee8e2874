//! How commands fail: the exit code, and what the user is shown. Errors of the libraries become [`Failure`]s in `explain`.

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use serde::Serialize;
use std::fmt::{self, Write};
use std::ops::Range;
use std::process::ExitCode;

/// Exit codes that are not success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// A fault of this program.
    Internal = 1,
    /// Usage, file or application invalid.
    Invalid = 2,
    /// No feasible calendar.
    Infeasible = 3,
    /// A check of the simulated system failed.
    CheckFailed = 4,
    /// Something could not be stored.
    Storage = 5,
    /// Another shard can no longer be reached.
    PeerLost = 6,
    /// Shards disagree on what is to be run, or on who they are.
    Disagreed = 7,
    /// A shard sent what it must not send.
    Violated = 8,
    /// A process host failed, or its program is not in the state that is expected.
    HostFailed = 9,
    /// Runs that should be the same are not.
    DigestsDiffer = 10,
    /// The user interrupted the run.
    Interrupted = 130,
    /// The system asked the run to end.
    Terminated = 143,
}

impl Exit {
    /// The exit of a process of this program, by its code.
    pub(crate) fn from_code(code: u8) -> Self {
        use Exit::{
            CheckFailed, DigestsDiffer, Disagreed, HostFailed, Infeasible, Internal, Interrupted, Invalid, PeerLost,
            Storage, Terminated, Violated,
        };
        let all = [
            Invalid,
            Infeasible,
            CheckFailed,
            Storage,
            PeerLost,
            Disagreed,
            Violated,
            HostFailed,
            DigestsDiffer,
            Interrupted,
            Terminated,
        ];
        all.into_iter().find(|exit| *exit as u8 == code).unwrap_or(Internal)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A text that was read, for errors that point into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceText {
    /// The file as the user named it.
    pub(crate) name: String,
    /// Its text.
    pub(crate) text: String,
}

/// Why a command did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    code: &'static str,
    message: String,
    help: Option<String>,
    /// One line each, for what comes in numbers.
    details: Vec<String>,
    /// Boxed, because results are as large as their errors.
    place: Option<Box<Place>>,
}

/// Bytes of a file that an error is about.
#[derive(Debug)]
struct Place {
    source: NamedSource<String>,
    spans: Vec<Range<usize>>,
    /// What they are.
    label: Option<String>,
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { exit, code, message, help: None, details: Vec::new(), place: None }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn details(mut self, details: Vec<String>) -> Self {
        self.details = details;
        self
    }

    /// Points at bytes of `source`.
    pub(crate) fn at(mut self, source: &SourceText, spans: impl IntoIterator<Item = Range<usize>>) -> Self {
        let (source, spans) = (NamedSource::new(&source.name, source.text.clone()), spans.into_iter().collect());
        self.place = Some(Box::new(Place { source, spans, label: None }));
        self
    }

    /// Says what the places are.
    pub(crate) fn label(mut self, label: &str) -> Self {
        if let Some(place) = &mut self.place {
            place.label = Some(label.to_owned());
        }
        self
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// The text for people, in colour or not, in lines of at most `width` characters.
    pub(crate) fn render(&self, colour: bool, width: usize) -> String {
        const SHOWN: usize = 20;
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(width);
        let mut text = String::new();
        handler.render_report(&mut text, self).expect("strings take text");
        for detail in self.details.iter().take(SHOWN) {
            writeln!(text, "  - {detail}").expect("strings take text");
        }
        if self.details.len() > SHOWN {
            writeln!(text, "  and {} more", self.details.len() - SHOWN).expect("strings take text");
        }
        text
    }

    /// The form for programs.
    pub(crate) fn json(&self) -> FailureJson<'_> {
        let shown = self.place.as_ref().and_then(|place| Some((&place.source, place.spans.first()?)));
        let place = shown.map(|(source, span)| {
            let before = &source.inner()[..span.start];
            let line_start = before.rfind('\n').map_or(0, |at| at + 1);
            PlaceJson {
                file: source.name(),
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
                span: [span.start, span.end],
            }
        });
        let Self { exit, code, message, help, details, .. } = self;
        FailureJson { code, exit: *exit as u8, message, help: help.as_deref(), place, details }
    }
}

/// A failure as JSON.
#[derive(Serialize)]
pub(crate) struct FailureJson<'a> {
    code: &'a str,
    exit: u8,
    message: &'a str,
    help: Option<&'a str>,
    place: Option<PlaceJson<'a>>,
    details: &'a [String],
}

/// Where in a file; lines and columns count from 1, bytes of the span from 0.
#[derive(Serialize)]
struct PlaceJson<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    span: [usize; 2],
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Diagnostic for Failure {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as _)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.place.as_ref().map(|place| &place.source as _)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let place = self.place.as_ref()?;
        let label = |span: &Range<usize>| LabeledSpan::new_with_span(place.label.clone(), span.clone());
        Some(Box::new(place.spans.iter().map(label)))
    }
}
