//! The command line of a launcher as that of a shard.

use std::ffi::{OsStr, OsString};

/// Options of launchers alone, and whether a value follows.
const OWN: [(&str, bool); 13] = [
    ("--local", true),
    ("--hosts", true),
    ("--slurm", false),
    ("--kubernetes", false),
    ("--print", false),
    ("--ssh", true),
    ("--remote-program", true),
    ("--address", true),
    ("--port", true),
    ("--time", true),
    ("--image", true),
    ("--name", true),
    ("--secret", true),
];

/// The words of this process, behind its name, as those of one of `shards` shards.
pub(super) fn shard_words(shards: u32) -> Vec<OsString> {
    of_shard(std::env::args_os().skip(1), shards)
}

fn of_shard(words: impl Iterator<Item = OsString>, shards: u32) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    let verb = words.iter().position(|word| word == "run" || word == "launch");
    let verb = verb.expect("this is a command that starts shards");
    let launches = words[verb] == "launch";
    words[verb] = "shard".into();
    let mut kept = Vec::new();
    let mut rest = words.into_iter();
    while let Some(word) = rest.next() {
        match OWN.iter().find(|(name, _)| launches && is(&word, name)) {
            None => kept.push(word),
            Some((name, true)) if word == *name => drop(rest.next()),
            Some(_) => {}
        }
    }
    if !kept.iter().any(|word| is(word, "--shards")) {
        kept.extend(["--shards".into(), shards.to_string().into()]);
    }
    kept
}

/// Whether a word is this option, maybe with its value behind `=`.
fn is(word: &OsStr, name: &str) -> bool {
    let word = word.as_encoded_bytes();
    word.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_becomes_a_shard() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let check = |text: &str, shard: &str| assert_eq!(of_shard(words(text).into_iter(), 2), words(shard), "{text}");
        check("run --app run -n 5 --shards 2", "shard --app run -n 5 --shards 2");
        check("--format json run g.xml -n 5 --shards=2", "--format json shard g.xml -n 5 --shards=2");
        check("launch --local 2 g.xml -n 5", "shard g.xml -n 5 --shards 2");
        check("launch g.xml --hosts a,b --ssh=x --print -n 5", "shard g.xml -n 5 --shards 2");
        // What is no option of the launcher stays, whatever it looks like.
        check("run --hostsfile x --shards 2", "shard --hostsfile x --shards 2");
    }
}
