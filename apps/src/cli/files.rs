//! Reading and writing files. Whole folders appear at once: they are written under another name and renamed.

use super::failure::{Exit, Failure, SourceText};
use crate::formats::read_text;
use std::io;
use std::path::{Path, PathBuf};

/// The bytes of an input file.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        let message = format!("cannot read `{}`: {}", path.display(), says(&error));
        Failure::new(Exit::Invalid, "file::unreadable", message)
    })
}

/// The text of an input file.
pub(crate) fn read_source(path: &Path) -> Result<SourceText, Failure> {
    let (bytes, name) = (read_bytes(path)?, path.display().to_string());
    match read_text(&bytes) {
        Ok(text) => Ok(SourceText { name, text: text.to_owned() }),
        Err(error) => {
            let failure = Failure::new(Exit::Invalid, error.code(), format!("`{name}`: {error}"));
            Err(failure.help(error.help().unwrap_or_default()))
        }
    }
}

/// What the operating system says, in lower case and without its number.
fn says(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().expect("a split text has a first part");
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_lowercase().to_string()).unwrap_or_default();
    first + chars.as_str()
}

/// That something could not be stored.
pub(crate) fn not_stored(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Storage, "file::not_written", format!("cannot write `{}`: {}", path.display(), says(error)))
}

/// Writes a file.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), Failure> {
    std::fs::write(path, content).map_err(|error| not_stored(path, &error))
}

/// A folder that is being filled; it gets its name in the end, or is removed.
#[derive(Debug)]
pub(crate) struct NewFolder {
    temporary: PathBuf,
    target: PathBuf,
    done: bool,
}

impl NewFolder {
    /// Starts the folder `target`, which must not exist or be empty.
    pub(crate) fn create(target: &Path) -> Result<Self, Failure> {
        check_free(target)?;
        let name = target.file_name().map_or_else(|| "new".into(), |name| name.to_string_lossy().into_owned());
        let temporary = parent(target).join(format!(".{name}.{}.partial", std::process::id()));
        std::fs::create_dir_all(&temporary).map_err(|error| not_stored(target, &error))?;
        Ok(Self { temporary, target: target.to_owned(), done: false })
    }

    /// Where its files are for the time being.
    pub(crate) fn path(&self) -> &Path {
        &self.temporary
    }

    /// Writes a file into it, making folders on the way.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<(), Failure> {
        let path = self.temporary.join(name);
        std::fs::create_dir_all(parent(&path)).map_err(|error| not_stored(&path, &error))?;
        write(&path, content)
    }

    /// Gives it its name.
    pub(crate) fn finish(mut self) -> Result<PathBuf, Failure> {
        std::fs::rename(&self.temporary, &self.target).map_err(|error| not_stored(&self.target, &error))?;
        self.done = true;
        Ok(self.target.clone())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if !self.done {
            // The command has failed already; what cannot be removed either stays as a hidden folder.
            let _ = std::fs::remove_dir_all(&self.temporary);
        }
    }
}

/// Refuses a folder that something is in.
pub(crate) fn check_free(path: &Path) -> Result<(), Failure> {
    if is_free(path) {
        return Ok(());
    }
    let message = format!("`{}` exists and is not empty: nothing is overwritten", path.display());
    Err(Failure::new(Exit::Storage, "file::exists", message).help("name another directory"))
}

/// Whether nothing, or an empty folder, is at `path`.
pub(crate) fn is_free(path: &Path) -> bool {
    match std::fs::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => std::fs::symlink_metadata(path).is_err(),
    }
}

/// The folder that `path` lies in.
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
