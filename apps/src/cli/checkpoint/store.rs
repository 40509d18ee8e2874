//! The folder of a run's checkpoints: how it is written so that a crash at any point loses at most the newest, and read.

use super::super::failure::{Exit, Failure};
use super::super::files::not_stored;
use super::super::results::quoted;
use super::super::session::Session;
use super::super::spec::{self, INPUT, Spec};
use super::record::{COMMIT, Record};
use net_runtime::engine::Standing;
use net_runtime::proto::Hash;
use net_runtime::quic::Files;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The folder with the files of the run.
const RUN: &str = "run";
/// Before the tick in the name of a checkpoint.
const TICK: &str = "tick-";
/// Checkpoints that are kept.
const KEPT: usize = 3;

/// Where checkpoints of one run are kept.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    configuration: Hash,
    calendars: Hash,
    build: Hash,
    iterations: u64,
}

/// A run that goes on.
pub(crate) struct Resumed {
    pub(crate) spec: Spec,
    /// Its files.
    pub(crate) files: Files,
    /// Where; `None` if there is no whole checkpoint yet, so that it starts at tick 0.
    pub(crate) start: Option<Standing>,
}

impl Store {
    /// The store in `folder`, into which `files` are written unless it has them.
    ///
    /// # Errors
    /// They cannot be stored, or are those of another run.
    pub(crate) fn new(
        folder: &Path,
        files: &Files,
        iterations: u64,
        calendars: Hash,
        build: Hash,
    ) -> Result<Self, Failure> {
        let configuration = spec::configuration(files);
        let store = Self { folder: folder.to_owned(), configuration, calendars, build, iterations };
        let run = folder.join(RUN);
        if !run.exists() {
            std::fs::create_dir_all(folder).map_err(|error| not_stored(folder, &error))?;
            let named = files.iter().map(|(name, content)| (escaped(name), content.as_slice()));
            write_folder(&folder.join(".run.partial"), &run, named)?;
        } else if spec::configuration(&read_files(&run)?) != configuration {
            let message = format!("`{}` has checkpoints of another run", folder.display());
            return Err(Failure::new(Exit::Storage, "checkpoint::taken", message).help("name another directory"));
        }
        Ok(store)
    }

    /// The file with the tokens of source `name`.
    pub(crate) fn input(folder: &Path, name: &str) -> PathBuf {
        folder.join(RUN).join(escaped(&format!("{INPUT}{name}")))
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps one more checkpoint, and the newest before it.
    ///
    /// # Errors
    /// It cannot be stored; those that are there stay.
    pub(crate) fn commit(&self, start: &Standing) -> Result<(), Failure> {
        let (record, mut files) =
            Record::new(start, self.iterations, &self.calendars, &self.configuration, &self.build);
        files.push((COMMIT, record.encode()));
        let target = self.folder.join(format!("{TICK}{:020}", start.tick().0));
        if target.exists() {
            // One of the same tick is the same, or damaged.
            remove(&target)?;
        }
        let named = files.iter().map(|(name, content)| ((*name).to_owned(), content.as_slice()));
        write_folder(&self.folder.join(".tick.partial"), &target, named)?;
        for (_, old) in checkpoints(&self.folder).into_iter().skip(KEPT) {
            remove(&old)?;
        }
        Ok(())
    }
}

impl Resumed {
    /// Reads the newest whole checkpoint in `folder`, and says which are passed over.
    ///
    /// # Errors
    /// There is none that is whole, although there are some; or the files of the run are of no use.
    pub(crate) fn load(session: &Session, folder: &Path, build: &Hash) -> Result<Self, Failure> {
        let run = folder.join(RUN);
        if !run.is_dir() {
            let message = format!("`{}` has no checkpoints of a run", folder.display());
            return Err(Failure::new(Exit::Invalid, "checkpoint::none", message)
                .help("`tidelock run --checkpoint-every …` makes them, and so does an interrupted run"));
        }
        let files = read_files(&run)?;
        let configuration = spec::configuration(&files);
        let start = newest(session, folder, &configuration, build)?;
        Ok(Self { spec: spec::read(session, &files)?, files, start })
    }
}

/// The newest whole checkpoint in `folder`; `None` if there is not any.
fn newest(session: &Session, folder: &Path, configuration: &Hash, build: &Hash) -> Result<Option<Standing>, Failure> {
    let mut passed = Vec::new();
    for (tick, path) in checkpoints(folder) {
        match Record::load(&path, configuration) {
            Ok((record, start)) => {
                for (tick, error) in &passed {
                    session.talk(format_args!("warning: the checkpoint at tick {tick} is passed over: {error}"));
                }
                if !record.is_by(build) {
                    session.talk("warning: the checkpoint was made by another build; firings may differ");
                }
                return Ok(Some(start));
            }
            Err(error) => passed.push((tick, error)),
        }
    }
    let Some((tick, error)) = passed.first() else { return Ok(None) };
    let exit = if passed.iter().all(|(_, error)| error.is_foreign()) { Exit::Disagreed } else { Exit::Storage };
    let message = format!("no checkpoint in `{}` is whole; that at tick {tick}: {error}", folder.display());
    Err(Failure::new(exit, "checkpoint::damaged", message).help("run again from the start"))
}

/// The folders that look like checkpoints, newest first.
fn checkpoints(folder: &Path) -> Vec<(i64, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let tick = |name: &str| name.strip_prefix(TICK)?.parse().ok();
    let mut found: Vec<(i64, PathBuf)> =
        entries.filter_map(|entry| Some((tick(entry.file_name().to_str()?)?, entry.path()))).collect();
    found.sort_unstable_by_key(|&(tick, _)| std::cmp::Reverse(tick));
    found
}

/// Writes a folder that has its name only once all of it is on the disk. The last of `files` is written when all others are
/// there.
fn write_folder<'a>(
    temporary: &Path,
    target: &Path,
    files: impl Iterator<Item = (String, &'a [u8])>,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| not_stored(target, &error);
    if temporary.exists() {
        // Left by a run that was killed.
        std::fs::remove_dir_all(temporary).map_err(failed)?;
    }
    std::fs::create_dir(temporary).map_err(failed)?;
    for (name, content) in files {
        let mut file = File::create(temporary.join(name)).map_err(failed)?;
        file.write_all(content).and_then(|()| file.sync_all()).map_err(failed)?;
    }
    sync(temporary).and_then(|()| std::fs::rename(temporary, target)).map_err(failed)?;
    sync(target.parent().expect("checkpoints lie in a folder")).map_err(failed)
}

/// Removes a checkpoint: first its name, so that what is left of it is never taken for one.
fn remove(path: &Path) -> Result<(), Failure> {
    let removed = path.with_file_name(".removed");
    let failed = |error: std::io::Error| not_stored(path, &error);
    if removed.exists() {
        std::fs::remove_dir_all(&removed).map_err(failed)?;
    }
    std::fs::rename(path, &removed).and_then(|()| std::fs::remove_dir_all(&removed)).map_err(failed)
}

fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn read_files(folder: &Path) -> Result<Files, Failure> {
    let unreadable = |error: std::io::Error| {
        let message = format!("cannot read `{}`: {error}", folder.display());
        Failure::new(Exit::Storage, "checkpoint::unreadable", message)
    };
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_str().and_then(unescaped);
        let name = name.ok_or_else(|| unreadable(std::io::ErrorKind::InvalidFilename.into()))?;
        files.insert(name, std::fs::read(entry.path()).map_err(unreadable)?);
    }
    Ok(files)
}

/// A name as that of a file: what is no letter, digit, dot, dash or underscore as %XX.
fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn unescaped(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name.as_bytes();
    while let Some((&first, others)) = rest.split_first() {
        rest = others;
        if first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &rest[2..];
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The command that goes on from `folder` with as many shards, if something is there to go on from.
pub(crate) fn resume(folder: &Path, shards: u32) -> Option<String> {
    folder.join(RUN).is_dir().then(|| command(folder, Some(shards)))
}

/// The command that goes on from `folder`.
pub(crate) fn command(folder: &Path, shards: Option<u32>) -> String {
    let program = std::env::args().next().unwrap_or("tidelock".to_owned());
    let folder = std::path::absolute(folder).unwrap_or(folder.to_owned());
    let shards = shards.map(|shards| format!(" --shards {shards}")).unwrap_or_default();
    format!("{} run --resume {}{shards}", quoted(&program), quoted(&folder.display().to_string()))
}
