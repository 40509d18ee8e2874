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
    let hosted = run(spec(&program, &[])).stdout;
    assert!(hosted.lines().count() > 250, "the oracle ends early");
    let native = || {
        // Whoever has lost its port to another process waits for a connection for ever.
        let mut limited = Command::new("timeout");
        limited.args(["--foreground", "5"]).arg(&program).current_dir(folder.path()).stdin(Stdio::null());
        let native = limited.output().unwrap();
        String::from_utf8(native.stdout).unwrap()
    };
    // Natively timers run late on a busy machine, and ports may be another's: one run of several has to be undisturbed.
    let mut last = String::new();
    for _ in 0..10 {
        last = native();
        if last == hosted {
            return;
        }
    }
    let differences: Vec<_> = last.lines().zip(hosted.lines()).filter(|(native, hosted)| native != hosted).collect();
    panic!("{differences:#?}, {} and {} lines", last.lines().count(), hosted.lines().count());
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
