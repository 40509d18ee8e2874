//! `mpirun`, which starts shards without any of them knowing MPI.

use super::{RUN, assert_same, expected, folder, free_port, is_there};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

#[test]
fn mpirun_starts_shards() {
    if !is_there("mpirun") {
        return;
    }
    let folder = folder("launch_mpi");
    let secret = folder.join("secret");
    fs::write(&secret, "of this test").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let mut mpirun = Command::new("mpirun");
    // Tests run as root in containers, on machines with fewer cores than shards.
    mpirun.args(["--allow-run-as-root", "--oversubscribe", "-n", "4"]).arg(env!("CARGO_BIN_EXE_tidelock"));
    mpirun.arg("shard").args(RUN.split_whitespace()).args(["--format", "json", "--secret-file", "secret"]);
    mpirun.args(["--rendezvous", &format!("127.0.0.1:{}", free_port())]).current_dir(&folder);
    assert_same(&mpirun.output().unwrap(), &expected(&folder));
}
