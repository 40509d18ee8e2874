//! The batch script for Slurm, under stubs of `sbatch`, `srun` and `scontrol`.

use super::{RUN, assert_same, command, expected, folder, script, told};
use std::fs;
use std::process::Command;

/// Starts as many tasks as the job has, each in an empty directory of its own, and ends as the worst of them.
const SRUN: &str = r#"#!/bin/bash
[ "$1" = --kill-on-bad-exit=0 ] || exit 99
shift
stat --format %a "${@: -1}" > "$STUB/secret.mode"
echo "${@: -1}" > "$STUB/secret.path"
tasks=()
for ((rank = 0; rank < SLURM_NTASKS; rank++)); do
    mkdir "$STUB/task$rank"
    (cd "$STUB/task$rank" && SLURM_PROCID=$rank exec "$@" > out 2> err) &
    tasks+=($!)
done
worst=0
for task in "${tasks[@]}"; do
    wait "$task" || { code=$?; ((code > worst)) && worst=$code; }
done
cat "$STUB/task0/out"
exit "$worst"
"#;

const SCONTROL: &str = r#"#!/bin/bash
[ "$1 $2 $3" = "show hostnames 127.0.0.[1-2]" ] && printf '%s\n' 127.0.0.1 127.0.0.2
"#;

#[test]
fn the_batch_script_runs() {
    let folder = folder("launch_slurm");
    script(&folder.join("srun"), SRUN);
    script(&folder.join("scontrol"), SCONTROL);
    let words = format!("launch --slurm --shards 4 --time 00:10:00 --name it-s-a-test {RUN} --format json");
    let printed = command(&words, &folder).output().unwrap();
    assert!(printed.status.success(), "{}", told(&printed));
    let text = String::from_utf8(printed.stdout).unwrap();
    // What sbatch reads.
    let directive = |name: &str| text.lines().find_map(|line| line.strip_prefix(&format!("#SBATCH --{name}=")));
    assert_eq!(directive("time"), Some("00:10:00"));
    assert_eq!(directive("job-name"), Some("it-s-a-test"));
    assert_eq!(directive("signal"), Some("TERM@60"));
    let tasks = directive("ntasks").unwrap();
    assert_eq!(tasks, "4");
    fs::write(folder.join("job.sh"), &text).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut job = Command::new("bash");
    job.arg("job.sh").current_dir(&folder).env("PATH", path).env("STUB", &folder).env("SLURM_NTASKS", tasks);
    job.env("SLURM_JOB_ID", std::process::id().to_string()).env("SLURM_JOB_NODELIST", "127.0.0.[1-2]");
    let output = job.env("SLURM_SUBMIT_DIR", &folder).output().unwrap();
    let said = |rank: u32| fs::read_to_string(folder.join(format!("task{rank}/err"))).unwrap_or_default();
    assert!(output.status.success(), "{} {}", told(&output), (0..4).map(said).collect::<String>());
    assert_same(&output, &expected(&folder));
    // Nobody else could read the secret, and it is gone.
    assert_eq!(fs::read_to_string(folder.join("secret.mode")).unwrap().trim(), "600");
    let secret = fs::read_to_string(folder.join("secret.path")).unwrap();
    assert!(!std::path::Path::new(secret.trim()).exists());
}
