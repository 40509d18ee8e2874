//! Manifests for Kubernetes: an Indexed Job with its headless Service. Ranks are the Job's completion indices.

use super::template::fill;
use serde::Serialize;
use std::ffi::OsString;

/// What the manifests are made of.
pub(super) struct IndexedJob<'a> {
    pub(super) shards: u32,
    pub(super) name: &'a str,
    pub(super) image: &'a str,
    /// The Secret that holds the secret of the run, under the key `secret`.
    pub(super) secret: &'a str,
    /// The UDP port of shard 0.
    pub(super) port: u16,
    /// The program in the image.
    pub(super) program: &'a str,
    pub(super) words: &'a [OsString],
}

impl IndexedJob<'_> {
    pub(super) fn manifests(&self) -> String {
        let Self { shards, name, image, secret, port, program, words } = self;
        let mut command = vec![(*program).to_owned()];
        command.extend(words.iter().map(|word| word.to_string_lossy().into_owned()));
        // The pod of index 0 has this name, by the Service.
        command.extend(["--rendezvous".to_owned(), format!("{name}-0.{name}:{port}")]);
        command.extend(["--secret-file", "/run/secrets/tidelock/secret"].map(str::to_owned));
        let values = [
            ("shards", shards.to_string()),
            ("name", (*name).to_owned()),
            ("image", yaml(image)),
            ("secret", (*secret).to_owned()),
            ("port", port.to_string()),
            ("command", yaml(&command)),
        ];
        fill(include_str!("kubernetes.yaml"), &values)
    }
}

/// A value in one line. JSON is YAML.
fn yaml(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("texts")
}

/// Whether Kubernetes and DNS take it as a name, with room for what they put behind it.
pub(super) fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 50
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.ends_with(inner)
        && name.chars().all(|c| inner(c) || c == '-')
}
