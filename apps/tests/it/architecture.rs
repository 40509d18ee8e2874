//! The rules of the workspace, read from its manifests and sources: who may import whom, and what the core never touches.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Folders of the workspace with the folders whose crates they may import. Some come later; a new one must be entered here.
const MAY_IMPORT: [(&str, &[&str]); 7] = [
    ("sim-core", &[]),
    ("calendars", &["sim-core"]),
    ("scheduler", &["calendars", "sim-core"]),
    ("shim", &["sim-core"]),
    ("net-runtime", &["calendars", "sim-core"]),
    ("apps", &["net-runtime", "scheduler", "shim", "calendars", "sim-core"]),
    ("examples", &["apps"]),
];

/// The only crate that may hold `unsafe` code.
const UNSAFE: &str = "shim";

/// Pure crates: the same input gives the same bytes, on every machine, at any time.
const CORE: [&str; 3] = ["sim-core", "calendars", "scheduler"];

/// What talks to the world outside, draws from its entropy, or runs tasks. Not `libc`, which detecting a processor's abilities
/// needs on some platforms.
const WORLDLY: [&str; 15] = [
    "async-std",
    "chrono",
    "crossbeam",
    "getrandom",
    "mio",
    "nix",
    "quinn",
    "rayon",
    "rustix",
    "smol",
    "socket2",
    "tempfile",
    "time",
    "tokio",
    "windows-sys",
];

/// Names that stand for a clock, an unordered container or an identity of the moment.
const FORBIDDEN_NAMES: [&str; 9] = [
    "DefaultHasher",
    "HashMap",
    "HashSet",
    "Instant",
    "RandomState",
    "SystemTime",
    "ThreadId",
    "UNIX_EPOCH",
    "thread_rng",
];

/// Modules of `std` that reach out of the process, or ask it who it is.
const FORBIDDEN_MODULES: [&str; 5] = ["env", "fs", "net", "process", "thread"];

/// Functions of the platform's mathematics library, whose last bit depends on the platform. Square roots are exact.
const PLATFORM_MATHEMATICS: [&str; 22] = [
    "acos", "asin", "atan", "atan2", "cbrt", "cos", "cosh", "exp", "exp2", "exp_m1", "hypot", "ln", "ln_1p", "log",
    "log10", "log2", "powf", "powi", "sin", "sin_cos", "sinh", "tanh",
];

/// Where a forbidden name is allowed: file, name, reason.
const EXCEPTIONS: [(&str, &str, &str); 6] = [
    ("calendars/src/verify/mod.rs", "HashSet", "asked whether it holds an item, never iterated"),
    ("sim-core/src/app.rs", "HashSet", "asked whether it holds a name, never iterated"),
    ("sim-core/src/engine/threads.rs", "thread", "workers of a run, whose results do not depend on them"),
    ("sim-core/src/shard/progress.rs", "thread", "parks and wakes workers"),
    ("sim-core/src/shard/sync.rs", "thread", "so that a model checker can put its own in place"),
    (
        "sim-core/src/clock/engine/mod.rs",
        "thread",
        "scoped threads compute disjoint shards; data flow alone decides values",
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package is in the workspace").to_path_buf()
}

fn table(path: &str) -> Table {
    let text = fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Folders of the workspace's crates.
fn members() -> Vec<String> {
    let members = table("Cargo.toml")["workspace"]["members"].clone();
    members.as_array().unwrap().iter().map(|member| member.as_str().unwrap().to_owned()).collect()
}

fn manifest(folder: &str) -> Table {
    table(&format!("{folder}/Cargo.toml"))
}

fn package_of(folder: &str) -> String {
    if folder == "apps" { "tidelock".to_owned() } else { format!("tidelock-{folder}") }
}

/// The tables of dependencies of a manifest, those of targets included; `kinds` are their names.
fn dependency_tables<'a>(manifest: &'a Table, kinds: &[&str]) -> Vec<&'a Table> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let places = std::iter::once(manifest).chain(targets.filter_map(Value::as_table));
    places.flat_map(|place| kinds.iter().filter_map(|&kind| place.get(kind)?.as_table())).collect()
}

/// Packages that a crate of the workspace depends on. Every one is stated in the workspace's table, once for all.
fn packages(folder: &str, kinds: &[&str]) -> BTreeSet<String> {
    let workspace = table("Cargo.toml")["workspace"]["dependencies"].as_table().unwrap().clone();
    let manifest = manifest(folder);
    let mut packages = BTreeSet::new();
    for (name, value) in dependency_tables(&manifest, kinds).into_iter().flatten() {
        assert_eq!(value.get("workspace"), Some(&Value::Boolean(true)), "{folder}: `{name}` has a version of its own");
        let package = workspace[name].get("package").and_then(Value::as_str);
        packages.insert(package.unwrap_or(name).to_owned());
    }
    packages
}

const ALL_KINDS: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

#[test]
fn crates_import_only_what_they_may() {
    let folders: BTreeSet<&str> = MAY_IMPORT.iter().map(|&(folder, _)| folder).collect();
    for folder in members() {
        assert!(folders.contains(folder.as_str()), "`{folder}` has no place in the architecture yet");
        assert_eq!(manifest(&folder)["package"]["name"].as_str(), Some(package_of(&folder).as_str()));
        let (_, may) = MAY_IMPORT.iter().find(|(name, _)| *name == folder).unwrap();
        let imported = packages(&folder, &ALL_KINDS);
        let imported = folders.iter().filter(|other| imported.contains(&package_of(other)));
        for other in imported {
            assert!(may.contains(other), "`{folder}` must not import `{other}`");
        }
    }
}

/// Follows the lock file from the core's own dependencies; what its tests need does not count.
#[test]
fn the_core_depends_on_nothing_that_talks_to_the_world() {
    let lock = table("Cargo.lock");
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock["package"].as_array().unwrap() {
        let dependencies = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
        // A dependency is a name, with the version behind it where there are several.
        let names = dependencies.map(|name| name.as_str().unwrap().split(' ').next().unwrap());
        needs.entry(package["name"].as_str().unwrap()).or_default().extend(names);
    }
    for folder in CORE {
        let own = packages(folder, &["dependencies", "build-dependencies"]);
        let mut found: BTreeSet<&str> = BTreeSet::new();
        let mut open: Vec<&str> = own.iter().map(String::as_str).collect();
        while let Some(package) = open.pop() {
            // The lock file does not tell what only tests of our own crates need: each is walked by itself.
            if !package.starts_with("tidelock") && found.insert(package) {
                open.extend(&needs[package]);
            }
        }
        let worldly: Vec<_> = found.iter().filter(|package| WORLDLY.contains(package)).collect();
        assert!(worldly.is_empty(), "`{folder}` depends on {worldly:?}");
    }
}

#[test]
fn every_crate_inherits_lints_and_licence() {
    let workspace = table("Cargo.toml")["workspace"].clone();
    assert_eq!(workspace["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    assert_eq!(workspace["package"]["edition"].as_str(), Some("2024"));
    assert_eq!(workspace["package"]["license"].as_str(), Some("MIT OR Apache-2.0"));
    let inherited: Table = "workspace = true".parse().unwrap();
    for folder in members() {
        let manifest = manifest(&folder);
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            assert_eq!(manifest["package"][key].as_table(), Some(&inherited), "{folder}: {key}");
        }
        if folder != UNSAFE {
            assert_eq!(manifest["lints"].as_table(), Some(&inherited), "{folder}: lints");
        }
    }
}

/// All Rust files below `folder`, as paths from the root.
fn sources(folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/"));
            }
        }
    }
    files.sort();
    files
}

/// The names in a line of code, each with what stands before and behind it. Comments, which take whole lines or a line's end,
/// may say what they like.
fn names(line: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let code = line.split("//").next().expect("a split text has a first part");
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut end = 0;
    std::iter::from_fn(move || {
        let start = end + code[end..].find(is_part)?;
        end = code[start..].find(|c| !is_part(c)).map_or(code.len(), |length| start + length);
        Some((&code[..start], &code[start..end], &code[end..]))
    })
}

/// What a line of the core mentions although it must not.
fn forbidden(line: &str) -> Option<&str> {
    let bad = |&(before, name, behind): &(&str, &str, &str)| {
        let in_path = before.ends_with("std::") || before.contains("use std::{") || behind.starts_with("::");
        FORBIDDEN_NAMES.contains(&name) || FORBIDDEN_MODULES.contains(&name) && in_path
    };
    names(line).find(bad).map(|(_, name, _)| name)
}

/// The function of the platform's mathematics library that a line calls.
fn platform_mathematics(line: &str) -> Option<&str> {
    let bad = |&(before, name, behind): &(&str, &str, &str)| {
        let method = before.ends_with('.') && behind.starts_with('(');
        let function = before.ends_with("f64::") || before.ends_with("f32::");
        PLATFORM_MATHEMATICS.contains(&name) && (method || function)
    };
    names(line).find(bad).map(|(_, name, _)| name)
}

/// Places in the files below `folders` where `rule` finds something: file, line number, name.
fn places(folders: &[String], rule: impl Fn(&str) -> Option<&str>) -> Vec<(String, usize, String)> {
    let mut places = Vec::new();
    for file in folders.iter().flat_map(|folder| sources(folder)) {
        let text = fs::read_to_string(root().join(&file)).unwrap();
        let found = text.lines().enumerate().filter_map(|(at, line)| Some((at + 1, rule(line)?.to_owned())));
        places.extend(found.map(|(line, name)| (file.clone(), line, name)));
    }
    places
}

#[test]
fn the_core_reads_no_clock_no_environment_no_file_and_iterates_no_hash_map() {
    let found = places(&CORE.map(|folder| format!("{folder}/src")), forbidden);
    let allowed = |file: &str, name: &str| EXCEPTIONS.iter().any(|&(at, what, _)| at == file && what == name);
    let bad: Vec<_> = found.iter().filter(|(file, _, name)| !allowed(file, name)).collect();
    assert!(bad.is_empty(), "{bad:?}");
    for (file, name, reason) in EXCEPTIONS {
        let used = found.iter().any(|(at, _, what)| at == file && what == name);
        assert!(used, "`{name}` is no longer in {file} ({reason}): remove the exception");
    }
}

/// Digests and recorded tokens would differ between processors.
#[test]
fn no_code_calls_the_platforms_mathematics() {
    let folders = members().into_iter().map(|folder| match folder.as_str() {
        "examples" => folder,
        _ => format!("{folder}/src"),
    });
    let found = places(&folders.collect::<Vec<_>>(), platform_mathematics);
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn the_scan_sees_what_it_looks_for() {
    for line in [
        "use std::time::Instant;",
        "let now = std::time::SystemTime::now();",
        "use std::{collections::BTreeMap, thread};",
        "let home = std::env::var(\"HOME\");",
        "fs::write(path, text)?;",
        "let mut seen: HashMap<u32, u32> = HashMap::new();",
    ] {
        assert!(forbidden(line).is_some(), "{line}");
    }
    for line in ["let thread = 3; // std::thread", "//! reads no std::env", "env!(\"CARGO_MANIFEST_DIR\")", "offs::x()"]
    {
        assert_eq!(forbidden(line), None, "{line}");
    }
    assert_eq!(platform_mathematics("let y = x.sin();"), Some("sin"));
    assert_eq!(platform_mathematics("xs.map(f64::exp)"), Some("exp"));
    assert_eq!(platform_mathematics("libm::sin(x) + x.sqrt() + math::exp(y)"), None);
}
