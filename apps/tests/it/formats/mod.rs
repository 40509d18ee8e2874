//! Graph files, pins files, RON text: what is read from good ones, what is said of bad ones.

mod bad_files;
mod graph_files;
mod hostile_bytes;
mod pins;

use proptest::prelude::ProptestConfig;
use std::fs;
use std::path::{Path, PathBuf};

/// A path from the workspace's root.
fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The published graphs: file stem and text.
fn published() -> Vec<(String, String)> {
    let entries = fs::read_dir(workspace("data/sdf")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "xml"));
    files.sort();
    let stem = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (stem(path), fs::read_to_string(path).unwrap())).collect()
}

/// How many random cases a law is tried on: 64, or as the environment says.
fn cases() -> ProptestConfig {
    let cases = std::env::var("TIDELOCK_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases.unwrap_or(64)) }
}
