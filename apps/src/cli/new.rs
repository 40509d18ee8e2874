//! `new`: a crate of the user's own that builds and runs at once.

use super::failure::{Exit, Failure};
use super::files::NewFolder;
use super::session::Session;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Write a crate with an application of your own
#[derive(clap::Args, Debug)]
pub(crate) struct New {
    /// Directory to make; its last part is the name of the crate
    #[arg(value_name = "NAME")]
    directory: PathBuf,
    /// Checkout of tidelock that the crate depends on [default: the one that this program was built from]
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
}

#[derive(Serialize)]
struct NewJson<'a> {
    name: &'a str,
    directory: &'a Path,
    files: [&'static str; FILES.len()],
}

/// What is written from a template; `NAME` and `TIDELOCK` in it are replaced.
const FILES: [(&str, &str); 5] = [
    ("Cargo.toml", include_str!("new/Cargo.toml.txt")),
    ("README.md", include_str!("new/README.md.txt")),
    ("src/main.rs", include_str!("new/main.rs.txt")),
    ("rust-toolchain.toml", include_str!("../../../rust-toolchain.toml")),
    (".gitignore", "/target\n/out\n"),
];

/// The package `tidelock` of the checkout that this program was built from.
const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

impl New {
    pub(crate) fn run(&self, session: &Session) -> Result<Option<Exit>, Failure> {
        let name = self.name()?;
        let package = self.package()?;
        let folder = NewFolder::create(&self.directory)?;
        for (file, template) in FILES {
            let toml = package.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
            folder.write(file, template.replace("NAME", name).replace("TIDELOCK", &toml))?;
        }
        // The versions that the checkout was tested with; cargo leaves out what the new crate does not need.
        if let Ok(lock) = std::fs::read(package.join("../Cargo.lock")) {
            folder.write("Cargo.lock", lock)?;
        }
        let directory = folder.finish()?;
        let json = NewJson { name, directory: &directory, files: FILES.map(|(file, _)| file) };
        session.print(|| format!("{}\n", directory.display()), &json)?;
        if !session.is_json() {
            session.talk(format_args!(
                "try it: cd {} && cargo run -- run --machine torus:4x4 --iterations 100",
                directory.display()
            ));
        }
        Ok(None)
    }

    /// The crate's name, which cargo must accept.
    fn name(&self) -> Result<&str, Failure> {
        const RESERVED: [&str; 6] = ["test", "core", "std", "alloc", "proc-macro", "tidelock"];
        let name = self.directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let legal = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !legal || RESERVED.contains(&name) {
            let message = format!("`{name}` cannot be the name of a crate");
            return Err(Failure::new(Exit::Invalid, "new::name", message)
                .help("begin with a letter, go on with letters, digits, `-` and `_`, such as `my-app`"));
        }
        Ok(name)
    }

    /// The package to depend on: the folder `apps` of a checkout.
    fn package(&self) -> Result<PathBuf, Failure> {
        let Some(path) = &self.path else { return Ok(PACKAGE.into()) };
        let inside = path.join("apps");
        let package = if inside.join("Cargo.toml").exists() { inside } else { path.clone() };
        let missing = |_| {
            let message = format!("`{}` is no checkout of tidelock", path.display());
            Failure::new(Exit::Invalid, "new::path", message)
                .help("--path names the directory with tidelock's Cargo.toml")
        };
        package.join("Cargo.toml").canonicalize().map_err(missing)?;
        package.canonicalize().map_err(missing)
    }
}
