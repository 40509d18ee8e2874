//! Shards that were started as processes, here or by ssh: passes on what they say, and waits for them.

use super::super::failure::{Exit, Failure};
use super::super::session::Session;
use super::orders::{News, Order};
use super::progress::Board;
use super::stop::LastLine;
use net_runtime::quic::{Identity, Interrupts};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often children are looked after.
const LOOK: Duration = Duration::from_millis(5);

/// Where shards are, and how they are started there.
pub(super) trait Places {
    /// How many.
    fn shards(&self) -> u32;

    /// What stands before the lines of a shard.
    fn label(&self, rank: u32) -> String;

    /// The command that starts a shard. All but shard 0 are told at which port that one is.
    fn command(&self, rank: u32, first: Option<u16>) -> Command;

    /// Why a shard that said nothing ended with `status`, if the way to it is the reason.
    fn unreached(&self, rank: u32, status: ExitStatus) -> Option<(Exit, String)>;

    /// The command to go on, if shards are lost that cannot say it.
    fn resume(&self) -> Option<String>;
}

/// Starts shards, and waits until all have ended.
pub(super) fn supervise(session: &Session, places: &impl Places, quiet: bool) -> Result<Option<Exit>, Failure> {
    let failed =
        |what: &str, error: std::io::Error| Failure::new(Exit::Internal, "launch::start", format!("{what}: {error}"));
    let interrupts =
        Interrupts::from_signals_of_process().map_err(|error| failed("cannot listen to signals", error))?;
    let secret = Identity::secret_text();
    let board = Arc::new(Board::new(quiet || session.is_json(), places.shards()));
    let start = |rank: u32, first: Option<u16>| {
        let mut command = places.command(rank, first);
        let process = Process::start(rank, places.label(rank), &mut command, &secret, session.is_json(), board.clone());
        let program = command.get_program().to_string_lossy().into_owned();
        process.map_err(|error| failed(&format!("cannot start `{program}`"), error))
    };
    let mut crew = Crew { processes: vec![start(0, None)?], farewell: None };
    let mut first = None;
    while first.is_none() && crew.processes[0].running() {
        first = crew.processes[0].heard().port;
        crew.pass_on(&interrupts);
        std::thread::sleep(LOOK);
    }
    if first.is_some() {
        for rank in 1..places.shards() {
            crew.processes.push(start(rank, first)?);
        }
    }
    while crew.processes.iter_mut().any(Process::running) {
        crew.look();
        crew.pass_on(&interrupts);
        std::thread::sleep(LOOK);
    }
    board.clear();
    Ok(conclude(crew, places))
}

/// Shards that run.
struct Crew {
    processes: Vec<Process>,
    farewell: Option<Farewell>,
}

/// What becomes of the others when one shard has failed too early: those that are part of a run end by themselves, but who
/// still waits for all to come together would wait for long. Likewise if shard 0 has failed.
struct Farewell {
    /// The shard that has failed.
    rank: usize,
    since: Instant,
    ordered: bool,
}

impl Crew {
    const PATIENCE: Duration = Duration::from_secs(2);

    /// Passes a signal on, once. A Ctrl-C on the terminal is for the launcher alone.
    fn pass_on(&mut self, interrupts: &Interrupts) {
        if let Some(cause) = interrupts.take() {
            let order = if cause.exit_code() == 130 { Order::Interrupt } else { Order::Terminate };
            let joined = self.processes[0].heard().joined;
            // In a run, shard 0 tells the others.
            let told = if joined { 1 } else { self.processes.len() };
            self.processes[..told].iter_mut().for_each(|process| process.order(order));
        }
    }

    fn look(&mut self) {
        let Some(farewell) = &mut self.farewell else {
            let joined = self.processes[0].heard().joined;
            let failed = |process: &mut Process| !process.running() && !process.succeeded();
            let rank = self.processes.iter_mut().position(failed);
            let early = rank.filter(|&rank| rank == 0 || !joined);
            self.farewell = early.map(|rank| Farewell { rank, since: Instant::now(), ordered: false });
            return;
        };
        let waited = farewell.since.elapsed();
        if waited > Self::PATIENCE && !farewell.ordered {
            farewell.ordered = true;
            self.processes.iter_mut().for_each(|process| process.order(Order::Terminate));
        }
        if waited > 2 * Self::PATIENCE {
            self.processes.iter_mut().for_each(Process::kill);
        }
    }
}

/// Says how all ended, and what follows for this process.
fn conclude(crew: Crew, places: &impl Places) -> Option<Exit> {
    let early = crew.farewell.map(|farewell| farewell.rank);
    let ends: Vec<End> = crew.processes.into_iter().map(Process::end).collect();
    ends.iter().find(|end| !end.status.success())?;
    // Who failed before all had come together is the reason, and so is a way to a host that broke: the shard there takes the
    // end of its stdin for an order. Otherwise shard 0 decides why a run ends; if it cannot, another one knows.
    let early = early.map(|rank| &ends[rank]).filter(|end| end.last.is_some() || end.status.signal().is_none());
    let cut_off = |end: &&End| end.last.is_none() && places.unreached(end.rank, end.status).is_some();
    let reason = early.or_else(|| ends.iter().find(cut_off));
    let told = match reason {
        Some(end) => end.last.clone(),
        None => ends.iter().find_map(|end| end.last.clone()),
    };
    let line = match told {
        Some(line) => LastLine { shard: None, resume: line.resume.clone().or_else(|| places.resume()), ..line },
        None => {
            let killed = || ends.iter().find(|end| end.status.signal().is_some());
            let failed = || ends.iter().find(|end| !end.status.success());
            let end = reason.or_else(killed).or_else(failed).expect("one has failed");
            let (exit, message) = untold(end, places);
            let message = format!("{}: {message}", places.label(end.rank));
            let (peer, resume) = (Some(end.rank), places.resume());
            LastLine { code: exit as u8, shard: None, peer, window: 0, tick: 0, message, resume }
        }
    };
    line.tell();
    Some(Exit::from_code(line.code))
}

/// Why a shard that said nothing has ended.
fn untold(end: &End, places: &impl Places) -> (Exit, String) {
    if let Some(signal) = end.status.signal() {
        return (Exit::PeerLost, format!("killed by signal {signal}"));
    }
    places.unreached(end.rank, end.status).unwrap_or_else(|| {
        let code = end.status.code().and_then(|code| u8::try_from(code).ok());
        (Exit::from_code(code.unwrap_or(1)), format!("ended with {}", end.status))
    })
}

/// A shard that runs.
struct Process {
    rank: u32,
    child: Child,
    stdin: ChildStdin,
    status: Option<ExitStatus>,
    heard: Arc<Mutex<Heard>>,
    reader: JoinHandle<()>,
}

/// What a shard has said to its launcher.
#[derive(Clone, Debug, Default)]
struct Heard {
    port: Option<u16>,
    joined: bool,
    last: Option<LastLine>,
}

/// How a shard has ended.
struct End {
    rank: u32,
    status: ExitStatus,
    last: Option<LastLine>,
}

impl Process {
    fn start(
        rank: u32,
        label: String,
        command: &mut Command,
        secret: &str,
        quiet: bool,
        board: Arc<Board>,
    ) -> std::io::Result<Self> {
        command.stdin(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        if rank > 0 {
            command.stdout(Stdio::null());
        }
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().expect("it is piped");
        // If it has ended already, its status tells.
        let _ = writeln!(stdin, "{secret}");
        let heard = Arc::new(Mutex::new(Heard::default()));
        let stderr = child.stderr.take().expect("it is piped");
        let told = heard.clone();
        let reader = std::thread::spawn(move || pass_on(&label, stderr, &told, quiet, &board));
        Ok(Self { rank, child, stdin, status: None, heard, reader })
    }

    fn heard(&self) -> Heard {
        self.heard.lock().expect("readers do not panic").clone()
    }

    fn running(&mut self) -> bool {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status.is_none()
    }

    fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    fn order(&mut self, order: Order) {
        // It may have ended just now.
        let _ = writeln!(self.stdin, "{}", order.line());
    }

    fn kill(&mut self) {
        if self.running() {
            let _ = self.child.kill();
        }
    }

    fn end(self) -> End {
        let _ = self.reader.join();
        let last = self.heard.lock().expect("readers do not panic").last.take();
        End { rank: self.rank, status: self.status.expect("it has ended"), last }
    }
}

/// Passes on what a shard says to people, with a label before it.
fn pass_on(label: &str, stderr: impl Read, heard: &Mutex<Heard>, quiet: bool, board: &Board) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let mut heard = heard.lock().expect("readers do not panic");
        if let Ok(last) = serde_json::from_str::<LastLine>(&line) {
            heard.last = Some(last);
        } else if let Ok(news) = serde_json::from_str::<News>(&line) {
            match news {
                News::Port(port) => heard.port = Some(port),
                News::Joined => heard.joined = true,
                News::Moment(moment) => board.show(moment),
            }
        } else if !quiet {
            board.say(&format!("{label}: {line}"));
        }
    }
}
