//! The record that makes files a checkpoint: JSON in one line for all that belongs to it, and the hash of that line.

use super::section::{self, SectionError, short};
use net_runtime::engine::Standing;
use net_runtime::proto::Hash;
use serde::{Deserialize, Serialize};
use sim_core::digest::{DigestLevel, RunDigest};
use sim_core::engine::{Sections, ShardState, Snapshot};
use sim_core::{Id, Tick};
use std::collections::BTreeMap;
use std::path::Path;

/// The file that is written last.
pub(super) const COMMIT: &str = "commit";

const VERSION: u32 = 1;

/// A checkpoint, as its record says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    version: u32,
    tick: i64,
    iterations: u64,
    level: u8,
    digest: String,
    calendars: String,
    configuration: String,
    build: String,
    /// Section files by name, with bytes and hash; none if a state is opaque.
    sections: BTreeMap<String, (u64, String)>,
}

/// Why a folder is no checkpoint.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordError {
    /// A file that cannot be read.
    #[error("`{file}` cannot be read: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A record that is cut off or changed.
    #[error("its record is damaged")]
    Record,
    /// Another version.
    #[error("its record has version {found}, this program reads version {VERSION}")]
    Version {
        /// What was found.
        found: u32,
    },
    /// A section that is cut off or changed.
    #[error("`{file}` is damaged: {source}")]
    Damaged {
        /// The file.
        file: String,
        /// How.
        source: SectionError,
    },
    /// A section of another checkpoint.
    #[error("`{file}` is that of another checkpoint: BLAKE3 {found} instead of {expected}")]
    Other {
        /// The file.
        file: String,
        /// Hash of the file.
        found: String,
        /// Hash in the record.
        expected: String,
    },
    /// A checkpoint of another run.
    #[error("it is of another run: the configuration is {found}, that of this folder {expected}")]
    Configuration {
        /// Hash in the record.
        found: String,
        /// Hash of the folder's files.
        expected: String,
    },
}

impl RecordError {
    /// Whether it is whole, but of something else.
    pub(super) fn is_foreign(&self) -> bool {
        matches!(self, Self::Configuration { .. })
    }
}

impl Record {
    /// The record and the section files of `start`, of a run with these hashes.
    pub(super) fn new(
        start: &Standing,
        iterations: u64,
        calendars: &Hash,
        configuration: &Hash,
        build: &Hash,
    ) -> (Self, Vec<(&'static str, Vec<u8>)>) {
        let (tick, digest) = (start.tick(), start.digest());
        let (mut files, mut sections) = (Vec::new(), BTreeMap::new());
        if let Standing::State(snapshot) = start {
            let ShardState { nodes, links, channels, .. } = &snapshot.state;
            for (name, words) in [("nodes", words(nodes)), ("links", words(links)), ("channels", words(channels))] {
                let (bytes, hash) = section::encode(&words);
                sections.insert(name.to_owned(), (bytes.len() as u64, hash.to_hex().to_string()));
                files.push((name, bytes));
            }
        }
        let record = Self {
            version: VERSION,
            tick: tick.0,
            iterations,
            level: level_number(digest.level()),
            digest: hex(digest.chain()),
            calendars: hex(calendars),
            configuration: hex(configuration),
            build: hex(build),
            sections,
        };
        (record, files)
    }

    /// The form on the disk.
    pub(super) fn encode(&self) -> Vec<u8> {
        let line = serde_json::to_string(self).expect("numbers and texts") + "\n";
        format!("{line}{}\n", blake3::hash(line.as_bytes()).to_hex()).into_bytes()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (line, hash) = text.split_once('\n').map(|(line, hash)| (&text[..=line.len()], hash))?;
        let written = blake3::Hash::from_hex(hash.strip_suffix('\n')?).ok()?;
        (blake3::hash(line.as_bytes()) == written).then(|| serde_json::from_str(line).ok())?
    }

    /// The build that wrote it.
    pub(super) fn is_by(&self, build: &Hash) -> bool {
        self.build == hex(build)
    }

    /// Reads the checkpoint in `folder`, of the run with the hash `configuration`.
    pub(super) fn load(folder: &Path, configuration: &Hash) -> Result<(Self, Standing), RecordError> {
        let read = |file: &str| {
            let unreadable = |source| RecordError::Unreadable { file: file.to_owned(), source };
            std::fs::read(folder.join(file)).map_err(unreadable)
        };
        let record = Self::decode(&read(COMMIT)?).ok_or(RecordError::Record)?;
        if record.version != VERSION {
            return Err(RecordError::Version { found: record.version });
        }
        if record.configuration != hex(configuration) {
            let (found, expected) = (first(&record.configuration), first(&hex(configuration)));
            return Err(RecordError::Configuration { found, expected });
        }
        let (digest, identity) = record.digest().zip(unhex(&record.calendars)).ok_or(RecordError::Record)?;
        let tick = Tick(record.tick);
        if record.sections.is_empty() {
            return Ok((record, Standing::Opaque { tick, digest }));
        }
        let section = |file: &str| {
            let damaged = |source| RecordError::Damaged { file: file.to_owned(), source };
            let (_, expected) = record.sections.get(file).ok_or(RecordError::Record)?;
            let (words, hash) = section::decode(&read(file)?).map_err(damaged)?;
            if hash.to_hex().as_str() != expected {
                let (file, expected) = (file.to_owned(), first(expected));
                return Err(RecordError::Other { file, found: short(&hash), expected });
            }
            Ok(words)
        };
        let state = ShardState {
            tick,
            nodes: sections(&section("nodes")?)?,
            links: sections(&section("links")?)?,
            channels: sections(&section("channels")?)?,
        };
        let snapshot = Snapshot { identity, iterations: record.iterations, digest, state };
        Ok((record, Standing::State(Box::new(snapshot))))
    }

    fn digest(&self) -> Option<RunDigest> {
        let level = [DigestLevel::Off, DigestLevel::State, DigestLevel::Events];
        let level = level.into_iter().find(|&level| level_number(level) == self.level)?;
        Some(RunDigest::resumed(level, unhex(&self.digest)?))
    }
}

fn words<I: Id>(sections: &Sections<I>) -> Vec<u64> {
    let mut words = Vec::new();
    sections.to_words(&mut words);
    words
}

fn sections<I: Id>(words: &[u64]) -> Result<Sections<I>, RecordError> {
    let mut rest = words;
    Sections::from_words(&mut rest).filter(|_| rest.is_empty()).ok_or(RecordError::Record)
}

fn level_number(level: DigestLevel) -> u8 {
    match level {
        DigestLevel::Off => 0,
        DigestLevel::State => 1,
        DigestLevel::Events => 2,
    }
}

/// The first digits of a hash, for people.
fn first(hash: &str) -> String {
    hash.chars().take(16).collect()
}

fn hex(hash: &Hash) -> String {
    blake3::Hash::from(*hash).to_hex().to_string()
}

fn unhex(text: &str) -> Option<Hash> {
    blake3::Hash::from_hex(text).ok().map(Hash::from)
}
