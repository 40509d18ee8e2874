//! Shards as processes of this host: starts them, passes on what they say, and waits for them.

use super::super::checkpoint::resume;
use super::super::failure::{Exit, Failure};
use super::super::files::not_stored;
use super::super::run::Run;
use super::super::session::Session;
use super::progress::Board;
use super::stop::LastLine;
use net_runtime::quic::{Identity, Interrupts, write_private};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often children are looked after.
const LOOK: Duration = Duration::from_millis(5);

/// Starts this very command as `shards` shards on this host, instead of doing it here.
pub(crate) fn local(session: &Session, run: &Run, shards: u32) -> Result<Option<Exit>, Failure> {
    let mut words = shard_words(std::env::args_os().skip(1));
    let checkpoints = run.checkpoint_folder();
    if run.checkpoint.resume.is_none() && run.checkpoint.checkpoints.is_none() && run.clocks.is_none() {
        // Shards that are killed cannot say where they kept them.
        words.extend(["--checkpoints".into(), checkpoints.clone().into()]);
    }
    let folder = Scratch::new()?;
    let (secret, address) = (folder.path.join("secret"), folder.path.join("address"));
    write_private(&secret, Identity::secret_text().as_bytes())
        .map_err(|error| Failure::new(Exit::Storage, "launch::secret", error.to_string()))?;
    let interrupts = Interrupts::from_signals_of_process()
        .map_err(|error| Failure::new(Exit::Internal, "launch::signals", error.to_string()))?;
    let board = Arc::new(Board::new(run.quiet || session.is_json(), shards));
    let start = |rank: u32, more: &[&str]| {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(&words).args(["--rank", &rank.to_string(), "--secret-file"]).arg(&secret).args(more);
        // A Ctrl-C on the terminal is for the launcher, which passes it on once.
        command.stdin(Stdio::null()).stderr(Stdio::piped()).process_group(0).envs(board.variable());
        if rank > 0 {
            command.stdout(Stdio::null());
        }
        Process::start(rank, &mut command, session.is_json(), board.clone())
    };
    let failed =
        |error: std::io::Error| Failure::new(Exit::Internal, "launch::start", format!("cannot start a shard: {error}"));
    let text = address.to_string_lossy().into_owned();
    let mut processes = vec![start(0, &["--listen", "127.0.0.1:0", "--address-file", &text]).map_err(failed)?];
    while !address.exists() && processes[0].running() {
        std::thread::sleep(LOOK);
    }
    if let Ok(address) = std::fs::read_to_string(&address) {
        for rank in 1..shards {
            let more = ["--listen", "127.0.0.1:0", "--rendezvous", &address];
            processes.push(start(rank, &more).map_err(failed)?);
        }
    }
    let mut farewell = Farewell::default();
    while processes.iter_mut().any(Process::running) {
        farewell.look(&mut processes);
        if let Some(cause) = interrupts.take() {
            processes[0].signal(if cause.exit_code() == 130 { Signal::SIGINT } else { Signal::SIGTERM });
        }
        std::thread::sleep(LOOK);
    }
    board.clear();
    let resume = || resume(&checkpoints, shards);
    Ok(conclude(processes, resume))
}

/// The words of the command line as those of a shard.
fn shard_words(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.collect();
    let verb = words.iter_mut().find(|word| *word == "run" || *word == "launch");
    *verb.expect("this is a command that starts shards") = "shard".into();
    words.retain(|word| word != "--local");
    words
}

/// What becomes of the others when shard 0 has failed: those that were part of the run end by themselves, but who still waits
/// to join it would wait for long.
#[derive(Default)]
struct Farewell {
    since: Option<Instant>,
}

impl Farewell {
    const PATIENCE: Duration = Duration::from_secs(2);

    fn look(&mut self, processes: &mut [Process]) {
        let failed = |first: &mut Process| !first.running() && !first.status.is_some_and(|status| status.success());
        if !processes.first_mut().is_some_and(failed) {
            return;
        }
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        if waited > Self::PATIENCE {
            let signal = if waited > 2 * Self::PATIENCE { Signal::SIGKILL } else { Signal::SIGTERM };
            processes.iter().for_each(|process| process.signal(signal));
        }
    }
}

/// Says how all ended, and what follows for this process.
fn conclude(processes: Vec<Process>, resume: impl Fn() -> Option<String>) -> Option<Exit> {
    let ends: Vec<End> = processes.into_iter().map(Process::end).collect();
    // Shard 0 decides why a run ends; if it cannot, another one knows.
    let told = ends.iter().find_map(|end| end.last.clone());
    let killed = ends.iter().find(|end| end.status.signal().is_some());
    let worst = ends.iter().find(|end| !end.status.success())?;
    let line = match (told, killed) {
        (Some(line), _) => LastLine { shard: None, resume: line.resume.clone().or_else(resume), ..line },
        (None, Some(end)) => LastLine {
            code: Exit::PeerLost as u8,
            shard: None,
            peer: Some(end.rank),
            window: 0,
            tick: 0,
            message: format!("shard {} was killed by signal {}", end.rank, end.status.signal().unwrap_or(0)),
            resume: resume(),
        },
        (None, None) => LastLine {
            code: worst.status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1),
            shard: None,
            peer: Some(worst.rank),
            window: 0,
            tick: 0,
            message: format!("shard {} ended with {}", worst.rank, worst.status),
            resume: resume(),
        },
    };
    line.tell();
    Some(Exit::from_code(line.code))
}

/// A folder that only this user can look into, and that is removed in the end.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> Result<Self, Failure> {
        let parent = std::env::temp_dir();
        let names = (0..).map(|number: u32| parent.join(format!("tidelock-{}-{number}", std::process::id())));
        for path in names.take(100) {
            match std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(not_stored(&path, &error)),
            }
        }
        Err(Failure::new(Exit::Storage, "launch::scratch", format!("`{}` is full of old folders", parent.display())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn remove(path: &Path) {
    // What cannot be removed stays in the folder for temporary files.
    let _ = std::fs::remove_dir_all(path);
}

/// A shard that runs.
struct Process {
    rank: u32,
    child: Child,
    status: Option<ExitStatus>,
    last: Arc<Mutex<Option<LastLine>>>,
    reader: JoinHandle<()>,
}

/// How a shard has ended.
struct End {
    rank: u32,
    status: ExitStatus,
    last: Option<LastLine>,
}

impl Process {
    fn start(rank: u32, command: &mut Command, quiet: bool, board: Arc<Board>) -> std::io::Result<Self> {
        let mut child = command.spawn()?;
        let last = Arc::new(Mutex::new(None));
        let stderr = child.stderr.take().expect("it is piped");
        let told = last.clone();
        let reader = std::thread::spawn(move || pass_on(rank, stderr, &told, quiet, &board));
        Ok(Self { rank, child, status: None, last, reader })
    }

    fn running(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status.is_none()
    }

    fn signal(&self, signal: Signal) {
        if self.status.is_none() {
            let pid = i32::try_from(self.child.id()).expect("process ids are positive");
            // It may have ended just now.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    fn end(self) -> End {
        let _ = self.reader.join();
        let last = self.last.lock().expect("readers do not panic").take();
        End { rank: self.rank, status: self.status.expect("it has ended"), last }
    }
}

/// Passes on what a shard says, with its number before it, but for the last line.
fn pass_on(rank: u32, stderr: impl Read, told: &Mutex<Option<LastLine>>, quiet: bool, board: &Board) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        match serde_json::from_str::<LastLine>(&line) {
            Ok(last) => *told.lock().expect("readers do not panic") = Some(last),
            Err(_) if board.takes(&line) || quiet => {}
            Err(_) => board.say(&format!("shard {rank}: {line}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_becomes_a_shard() {
        let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        let shard = |text: &str| shard_words(words(text).into_iter());
        assert_eq!(shard("run --app run -n 5 --shards 2"), words("shard --app run -n 5 --shards 2"));
        assert_eq!(shard("--format json run g.xml -n 5"), words("--format json shard g.xml -n 5"));
        assert_eq!(shard("launch --local --shards 2 g.xml -n 5"), words("shard --shards 2 g.xml -n 5"));
    }
}
