//! The native kernel is the oracle: a program prints the same under the supervisor as without.

use super::support::{Folder, can_host, compiled, has, run, same, spec};
use std::process::{Command, Stdio};

/// Sockets, epoll edges, pipes, timers, futexes, signals, children, numbers of descriptors.
#[test]
fn what_calls_return_is_what_they_return_natively() {
    if !can_host() || !has("cc") {
        return;
    }
    let program = compiled("oracle", &[]);
    let folder = Folder::new();
    let native = Command::new(&program).current_dir(folder.path()).stdin(Stdio::null()).output().unwrap();
    let native = String::from_utf8(native.stdout).unwrap();
    let hosted = run(spec(&program, &[]));
    let differences = native.lines().zip(hosted.stdout.lines()).filter(|(native, hosted)| native != hosted);
    let differences: Vec<_> = differences.collect();
    assert!(differences.is_empty(), "{differences:#?}");
    assert_eq!(native.lines().count(), hosted.stdout.lines().count());
    assert!(native.lines().count() > 250, "the oracle ends early");
}

#[test]
fn the_same_static_program_does_the_same() {
    if !can_host() || !has("cc") {
        return;
    }
    let dynamic = run(spec(compiled("oracle", &[]), &[]));
    let fixed = same(3, &spec(compiled("oracle", &["-static"]), &[]));
    assert_eq!(dynamic.stdout, fixed.stdout);
}
