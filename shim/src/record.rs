//! What a program did: a hash that rolls over every call with its result and the bytes it wrote, and the trace as text.

use crate::spec::TraceLevel;
use crate::time::Nanos;
use sim_core::mix;
use std::fmt::Write as _;
use std::io::{BufWriter, Write};
use std::path::Path;

/// The record of one node.
#[derive(Debug)]
pub(crate) struct Record {
    hash: u64,
    calls: u64,
    level: TraceLevel,
    file: Option<BufWriter<std::fs::File>>,
    line: String,
}

/// Who made a call, and what: as programs know it, so that it is the same in every run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) now: Nanos,
    /// Thread id within the node.
    pub(crate) thread: i32,
    /// The same thread for the host.
    pub(crate) host_thread: i32,
    /// The call's number.
    pub(crate) number: i32,
    /// Its name.
    pub(crate) name: &'a str,
    pub(crate) arguments: &'a [u64; 6],
    pub(crate) result: i64,
    /// Bytes that left the program by it.
    pub(crate) written: &'a [u8],
}

impl Record {
    pub(crate) fn new(level: TraceLevel, path: &Path) -> std::io::Result<Self> {
        let file = match level {
            TraceLevel::Off => None,
            _ => Some(BufWriter::new(std::fs::File::create(path)?)),
        };
        Ok(Self { hash: mix::fnv("trace"), calls: 0, level, file, line: String::new() })
    }

    /// The hash so far.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// Calls so far.
    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    /// Takes in a call.
    pub(crate) fn call(&mut self, entry: &Entry<'_>) {
        self.calls += 1;
        for word in [entry.now.0, entry.thread as u64, entry.number as u64, entry.result as u64] {
            self.word(word);
        }
        self.bytes(entry.written);
        if self.file.is_some() {
            self.line.clear();
            let a = entry.arguments;
            let Nanos(now) = entry.now;
            // Strings take all text.
            let _ = write!(self.line, "{:5}.{:09} {:3} ", now / Nanos::SECOND, now % Nanos::SECOND, entry.thread);
            if self.level == TraceLevel::Standard {
                let _ = write!(self.line, "[{}] ", entry.host_thread);
            }
            let _ = write!(
                self.line,
                "{}({:#x}, {:#x}, {:#x}, {:#x}, {:#x}, {:#x}) = {}",
                entry.name, a[0], a[1], a[2], a[3], a[4], a[5], entry.result
            );
            if !entry.written.is_empty() {
                const SHOWN: usize = 64;
                let shown = &entry.written[..entry.written.len().min(SHOWN)];
                let _ = write!(self.line, " {}\"{}\"", entry.written.len(), shown.escape_ascii());
            }
            self.end_line();
        }
    }

    /// Takes in something else that happened, such as a signal or an end.
    pub(crate) fn event(&mut self, now: Nanos, thread: i32, what: &str, number: i64) {
        self.word(mix::fnv(what));
        for word in [now.0, thread as u64, number as u64] {
            self.word(word);
        }
        if self.file.is_some() {
            self.line.clear();
            let _ = write!(self.line, "{:5}.{:09} {thread:3} ", now.seconds(), now.subsecond());
            let _ = write!(self.line, "--- {what} {number} ---");
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        self.line.push('\n');
        if let Some(file) = &mut self.file {
            // A full disk must not change what the program sees; the trace just ends.
            if file.write_all(self.line.as_bytes()).is_err() {
                self.file = None;
            }
        }
    }

    fn word(&mut self, word: u64) {
        self.hash = mix::mix64(self.hash ^ word);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.word(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.word(u64::from_le_bytes(word));
        }
    }
}
