//! Directories as messages: how files of nodes travel between shards, which share no file system.

use super::failure::{Exit, Failure};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

/// Bytes of a file in one item, at most.
const BYTES: u64 = 1 << 20;

/// One thing in a directory, by its path in it; the directory itself has an empty one, and may be a single file as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Item {
    path: Vec<u8>,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum What {
    Folder,
    /// Bytes that follow those of earlier items of this path.
    File {
        mode: u32,
        bytes: Vec<u8>,
    },
    Link {
        target: Vec<u8>,
    },
}

/// Takes `root` apart. What is neither a file, nor a directory, nor a symbolic link is left out.
pub(crate) fn pack(root: &Path, take: &mut dyn FnMut(Item)) -> io::Result<()> {
    pack_below(root, Path::new(""), take)
}

fn pack_below(root: &Path, path: &Path, take: &mut dyn FnMut(Item)) -> io::Result<()> {
    let place = if path.as_os_str().is_empty() { root.to_owned() } else { root.join(path) };
    // What the user names is followed, links that lie in it are kept.
    let known = if path.as_os_str().is_empty() { place.metadata()? } else { place.symlink_metadata()? };
    let item = |what| Item { path: path.as_os_str().as_bytes().to_vec(), what };
    if known.is_symlink() {
        take(item(What::Link { target: fs::read_link(&place)?.as_os_str().as_bytes().to_vec() }));
    } else if known.is_dir() {
        take(item(What::Folder));
        let entries: Result<Vec<_>, _> = fs::read_dir(&place)?.collect();
        let mut names: Vec<_> = entries?.into_iter().map(|entry| entry.file_name()).collect();
        names.sort();
        for name in names {
            pack_below(root, &path.join(name), take)?;
        }
    } else if known.is_file() {
        let mut file = File::open(&place)?;
        let mode = known.permissions().mode() & 0o777;
        loop {
            let mut bytes = Vec::new();
            let more = (&mut file).take(BYTES).read_to_end(&mut bytes)? as u64 == BYTES;
            take(item(What::File { mode, bytes }));
            if !more {
                break;
            }
        }
    }
    Ok(())
}

/// A directory that is put together again.
#[derive(Debug)]
pub(crate) struct Unpacking {
    root: PathBuf,
    /// Made in the end, so that nothing is written through them.
    links: Vec<(PathBuf, PathBuf)>,
}

impl Unpacking {
    /// At `root`, where nothing is yet.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, links: Vec::new() }
    }

    /// Takes what [`pack`] gave, in that order.
    ///
    /// # Errors
    /// It cannot be stored; [`ErrorKind::InvalidData`] for a path that leads out of the directory.
    pub(crate) fn put(&mut self, item: Item) -> io::Result<()> {
        let path = Path::new(OsStr::from_bytes(&item.path));
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(ErrorKind::InvalidData.into());
        }
        let place = if item.path.is_empty() { self.root.clone() } else { self.root.join(path) };
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        match item.what {
            What::Folder => fs::create_dir_all(&place),
            What::File { mode, bytes } => {
                File::options().create(true).append(true).open(&place)?.write_all(&bytes)?;
                // Who has made it may write on; programs may have taken that right away.
                fs::set_permissions(&place, Permissions::from_mode(mode | 0o600))
            }
            What::Link { target } => {
                self.links.push((PathBuf::from(OsStr::from_bytes(&target)), place));
                Ok(())
            }
        }
    }

    /// Makes what had to wait.
    pub(crate) fn finish(self) -> io::Result<()> {
        self.links.into_iter().try_for_each(|(target, place)| symlink(target, place))
    }
}

/// A file that should travel and cannot be read.
pub(crate) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Invalid, "file::read", format!("cannot read `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory for a test, which goes with it.
    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_directory_survives_the_way() {
        let folder = Folder(std::env::temp_dir().join(format!("tidelock-tree-{}", std::process::id())));
        let (from, to) = (folder.0.join("from"), folder.0.join("to"));
        fs::create_dir_all(from.join("a/empty")).unwrap();
        fs::write(from.join("a/long"), vec![7; 2 * BYTES as usize + 3]).unwrap();
        fs::write(from.join("exact"), vec![9; BYTES as usize]).unwrap();
        fs::write(from.join("script"), "#!/bin/sh").unwrap();
        fs::set_permissions(from.join("script"), Permissions::from_mode(0o755)).unwrap();
        symlink("/etc", from.join("link")).unwrap();
        let items = |root: &Path| {
            let mut items = Vec::new();
            pack(root, &mut |item| items.push(item)).unwrap();
            items
        };
        let mut unpacking = Unpacking::new(to.clone());
        items(&from).into_iter().for_each(|item| unpacking.put(item).unwrap());
        unpacking.finish().unwrap();
        assert_eq!(items(&to), items(&from));
        assert_eq!(items(&from).len(), 10);
        // A single file is its own directory.
        let mut unpacking = Unpacking::new(folder.0.join("single"));
        items(&from.join("script")).into_iter().for_each(|item| unpacking.put(item).unwrap());
        assert_eq!(fs::read(folder.0.join("single")).unwrap(), b"#!/bin/sh");
    }

    #[test]
    fn nothing_is_written_outside() {
        for path in ["../x", "/etc/x", "a/../../x"] {
            let item = Item { path: path.into(), what: What::File { mode: 0o644, bytes: Vec::new() } };
            let error = Unpacking::new(std::env::temp_dir()).put(item).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{path}");
        }
    }
}
