//! Who takes part in a run, as a file: shards with their certificates, and what they agree on.
//!
//! `shard keygen` makes one, so that keys alone decide who takes part; a run leaves one beside its results. A manifest that
//! says what is run (build, configuration, calendars) is one for that run only.

use super::super::failure::{Exit, Failure};
use super::super::files;
use net_runtime::proto::rendezvous::{Manifest, Trust};
use net_runtime::proto::{Hash, ShardId};
use net_runtime::quic::{Agreement, Identity, KeyError};
use serde::{Deserialize, Serialize};
use sim_core::IdVec;
use std::path::{Path, PathBuf};

/// The name of the file in a folder.
pub(super) const MANIFEST_FILE: &str = "manifest.json";

/// The name of the file with a shard's key.
pub(super) fn key_file(shard: u32) -> String {
    format!("shard-{shard}.key")
}

/// Bytes in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(super) struct Hex<const N: usize>(pub(super) [u8; N]);

impl<const N: usize> From<Hex<N>> for String {
    fn from(hex: Hex<N>) -> Self {
        hex.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl<const N: usize> TryFrom<String> for Hex<N> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not of {} hexadecimal digits", 2 * N);
        if text.len() != 2 * N || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut bytes = [0; N];
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }
}

/// A shard in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) shard: u32,
    /// `HOST:PORT`; only that of shard 0 must be known beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) address: Option<String>,
    /// Hash of the certificate.
    pub(super) certificate: Hex<32>,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManifestFile {
    version: u32,
    run: Hex<16>,
    shards: Vec<Entry>,
    /// Hash of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    build: Option<Hex<32>>,
    /// Hash of application, options, partition and inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    configuration: Option<Hex<32>>,
    /// Hash of calendars and machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    calendars: Option<Hex<32>>,
}

impl ManifestFile {
    const VERSION: u32 = 1;

    /// One without shards, for a run with an id of its own.
    fn empty() -> Self {
        let fresh = Identity::fresh().pin();
        let run = Hex(*fresh.first_chunk().expect("a hash is longer"));
        Self { version: Self::VERSION, run, shards: Vec::new(), build: None, configuration: None, calendars: None }
    }

    /// Reads one, whether or not all shards are in it.
    fn read(path: &Path) -> Result<Self, Failure> {
        let source = files::read_source(path)?;
        let invalid = |message: String| {
            Failure::new(Exit::Invalid, "manifest::invalid", format!("`{}`: {message}", path.display()))
        };
        let file: Self = serde_json::from_str(&source.text).map_err(|error| invalid(error.to_string()))?;
        if file.version != Self::VERSION {
            let message = format!("it has version {}, this program reads {}", file.version, Self::VERSION);
            return Err(invalid(message));
        }
        Ok(file)
    }

    /// Reads one in which all shards are, in order.
    pub(super) fn load(path: &Path) -> Result<Self, Failure> {
        let mut file = Self::read(path)?;
        file.shards.sort_by_key(|entry| entry.shard);
        let missing = (0_u32..).zip(&file.shards).find(|(shard, entry)| *shard != entry.shard);
        let message = match missing {
            Some((shard, entry)) if entry.shard < shard => format!("shard {} is in it twice", entry.shard),
            Some((shard, _)) => format!("shard {shard} is missing"),
            None if file.shards.is_empty() => "there are no shards in it".to_owned(),
            None => return Ok(file),
        };
        let failure = Failure::new(Exit::Invalid, "manifest::shards", format!("`{}`: {message}", path.display()));
        Err(failure.help("`tidelock shard keygen --shard NUMBER -o DIR` adds one"))
    }

    /// What a run that has come together leaves behind.
    pub(super) fn of_run(manifest: &Manifest, agreement: &Agreement) -> Self {
        let entry = |(shard, member): (ShardId, &net_runtime::proto::rendezvous::Member)| Entry {
            shard: shard.0,
            // Shard 0 does not know under which of its addresses the others have found it.
            address: Some(member.address).filter(|a| !a.ip().is_unspecified()).map(|address| address.to_string()),
            certificate: Hex(member.pin),
        };
        Self {
            version: Self::VERSION,
            run: Hex(manifest.run),
            shards: manifest.members.iter().map(entry).collect(),
            build: Some(Hex(agreement.build)),
            configuration: Some(Hex(agreement.configuration)),
            calendars: Some(Hex(agreement.calendars)),
        }
    }

    /// The text of the file.
    pub(super) fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("numbers and texts") + "\n"
    }

    /// The number of shards.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.shards.len()).expect("shards are few")
    }

    /// Where a shard is to be, if that is known.
    pub(super) fn address(&self, shard: u32) -> Option<&str> {
        self.shards.get(shard as usize)?.address.as_deref()
    }

    /// Who may take part.
    pub(super) fn trust(&self) -> Trust {
        let pins: IdVec<ShardId, Hash> = self.shards.iter().map(|entry| entry.certificate.0).collect();
        Trust::Pinned { run: self.run.0, pins }
    }

    /// Whether it is for what is run.
    pub(super) fn check(&self, agreement: &Agreement) -> Result<(), Failure> {
        let Agreement { build, configuration, calendars, .. } = agreement;
        for (field, pinned, found) in [
            ("build", self.build, build),
            ("configuration", self.configuration, configuration),
            ("calendars", self.calendars, calendars),
        ] {
            if let Some(pinned) = pinned.filter(|pinned| pinned.0 != *found) {
                let (pinned, found) = (String::from(pinned), String::from(Hex(*found)));
                let message = format!("{field} differs: {pinned} in the manifest, {found} here");
                let failure = Failure::new(Exit::Disagreed, "manifest::differs", message);
                return Err(failure.help("this manifest is for another run; without that field it is for any"));
            }
        }
        Ok(())
    }
}

/// A key that was made.
#[derive(Serialize)]
pub(super) struct MadeKey {
    shard: u32,
    certificate: String,
    pub(super) key: PathBuf,
}

/// Makes keys for `shards` in `folder`, and enters them into the manifest there.
pub(super) fn make_keys(folder: &Path, shards: &[u32], address: Option<&str>) -> Result<Vec<MadeKey>, Failure> {
    std::fs::create_dir_all(folder).map_err(|error| files::not_stored(folder, &error))?;
    let path = folder.join(MANIFEST_FILE);
    let mut file = if path.exists() { ManifestFile::read(&path)? } else { ManifestFile::empty() };
    let mut made = Vec::new();
    for &shard in shards {
        if file.shards.iter().any(|entry| entry.shard == shard) {
            let message = format!("`{}` has a shard {shard} already", path.display());
            return Err(Failure::new(Exit::Storage, "manifest::exists", message).help("nothing is overwritten"));
        }
        let (identity, key) = (Identity::fresh(), folder.join(key_file(shard)));
        identity.save(&key).map_err(|error: KeyError| Failure::new(Exit::Storage, "shard::key", error.to_string()))?;
        let certificate = Hex(identity.pin());
        // One address is that of the first shard.
        let address = address.filter(|_| Some(&shard) == shards.first()).map(str::to_owned);
        file.shards.push(Entry { shard, address, certificate });
        made.push(MadeKey { shard, certificate: certificate.into(), key });
    }
    file.shards.sort_by_key(|entry| entry.shard);
    let partial = path.with_extension("partial");
    files::write(&partial, file.text())?;
    std::fs::rename(&partial, &path).map_err(|error| files::not_stored(&path, &error))?;
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits() {
        let hex = Hex([0x0a, 0xff]);
        assert_eq!(String::from(hex), "0aff");
        assert_eq!(Hex::<2>::try_from("0aFF".to_owned()), Ok(hex));
        for text in ["0af", "0aff0", "0ag0", "+a00", "é00"] {
            assert!(Hex::<2>::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
