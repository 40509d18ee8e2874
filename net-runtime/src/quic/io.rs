//! Who drives the sockets of a port: its own thread, or the thread that computes.
//!
//! A message that has to go from one thread to the other costs a wake-up of several microseconds, more than all of QUIC's
//! protocol. So while a shard runs, the thread that computes serves its sockets itself, between windows and while it
//! waits; the port's thread sleeps. That one takes over before long windows, and whenever the other has not been seen
//! for some milliseconds: packets are acknowledged, and signals heard, whatever a window takes.

use std::future::Future;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};
use tokio::sync::{Notify, oneshot};
use tokio::task::yield_now;

/// How often the port's thread looks whether the one that computes still serves the sockets.
const WATCH: Duration = Duration::from_millis(4);

/// Sockets' runtime with its thread, and the way to have something done there.
#[derive(Debug)]
pub(super) struct Io {
    shared: Arc<Shared>,
    handle: Handle,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// One thread at a time drives it: handing tasks over between threads costs more than all the protocol.
    runtime: Runtime,
    state: Mutex<State>,
    /// The port's thread may have to drive.
    changed: Condvar,
    /// Nobody drives any more.
    freed: Condvar,
    /// The port's thread is to stop driving.
    asked: Notify,
}

#[derive(Debug)]
struct State {
    duty: Duty,
    /// Somebody drives.
    driving: bool,
    /// The thread that computes waits for the port's to stop.
    wanted: bool,
    /// The thread that computes was seen since this was last looked at.
    seen: bool,
}

/// Who is to drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    /// The port's thread.
    Port,
    /// The thread that computes.
    Computing,
    /// Nobody any more.
    Ended,
}

impl Io {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let shared = Arc::new(Shared {
            runtime,
            state: Mutex::new(State { duty: Duty::Port, driving: false, wanted: false, seen: false }),
            changed: Condvar::new(),
            freed: Condvar::new(),
            asked: Notify::new(),
        });
        let serving = shared.clone();
        let thread = std::thread::Builder::new().name("tidelock-io".to_owned()).spawn(move || serving.serve())?;
        Ok(Self { shared, handle, thread: Some(thread) })
    }

    /// What tasks are given to.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Has `task` done, and waits for it. Not for a thread that drives.
    pub(super) fn call<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> T {
        let (sender, receiver) = oneshot::channel();
        self.handle.spawn(async move { drop(sender.send(task.await)) });
        receiver.blocking_recv().expect("the thread that serves sockets does not end before its port")
    }

    /// The calling thread drives from now on, until this is dropped.
    pub(super) fn driver(&self) -> Driver<'_> {
        let driver = Driver { shared: &self.shared };
        driver.drive(async {});
        driver
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        self.shared.state().duty = Duty::Ended;
        self.shared.changed.notify_one();
        self.shared.asked.notify_one();
        if let Some(thread) = self.thread.take() {
            // If it has panicked, that was said.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// The port's thread: drives whenever it is to, until the end.
    fn serve(&self) {
        while self.begin() {
            self.runtime.block_on(self.asked.notified());
            self.end();
        }
    }

    /// For the port's thread: begins to drive when it is to; false at the end.
    fn begin(&self) -> bool {
        let mut state = self.state();
        let mut missing = false;
        loop {
            let free = !state.driving && !state.wanted;
            match state.duty {
                Duty::Ended => return false,
                Duty::Port if free => break,
                Duty::Computing if free && missing => break,
                _ => {}
            }
            let (after, watch) = self.changed.wait_timeout(state, WATCH).unwrap_or_else(PoisonError::into_inner);
            state = after;
            missing = watch.timed_out() && !std::mem::take(&mut state.seen);
        }
        state.driving = true;
        true
    }

    fn end(&self) {
        self.state().driving = false;
        self.freed.notify_one();
    }

    /// Nothing that a panic could leave half done.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right of the thread that computes to drive.
pub(super) struct Driver<'a> {
    shared: &'a Shared,
}

impl Driver<'_> {
    /// Does what is to be done now: sends what `give` gives to tasks, takes in what has come.
    pub(super) fn poll(&self, give: impl FnOnce()) {
        self.drive(async {
            // From here it wakes no thread.
            give();
            // Sockets are looked at when no task can go on: what was found there is done in a second round.
            yield_now().await;
            yield_now().await;
        });
    }

    /// Drives until `done`.
    pub(super) fn drive<T>(&self, done: impl Future<Output = T>) -> T {
        let shared = self.shared;
        let mut state = shared.state();
        if state.driving {
            state.wanted = true;
            shared.asked.notify_one();
            state = shared.freed.wait_while(state, |state| state.driving).unwrap_or_else(PoisonError::into_inner);
        }
        *state = State { duty: Duty::Computing, driving: true, wanted: false, seen: true };
        drop(state);
        // If a task panics, then not here.
        let value = shared.runtime.block_on(done);
        shared.end();
        value
    }

    /// Leaves the sockets to the port's thread for a while: until the next call.
    pub(super) fn lend(&self) {
        self.shared.state().duty = Duty::Port;
        self.shared.changed.notify_one();
    }
}

impl Drop for Driver<'_> {
    fn drop(&mut self) {
        self.lend();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    /// A task that is done once somebody has driven it for a while.
    fn task(io: &Io) -> oneshot::Receiver<()> {
        let (done, receiver) = oneshot::channel();
        io.handle().spawn(async {
            for _ in 0..10 {
                sleep(Duration::from_millis(1)).await;
            }
            let _ = done.send(());
        });
        receiver
    }

    #[test]
    fn somebody_always_drives() {
        let io = Io::start().unwrap();
        // The port's thread, before anybody computes.
        task(&io).blocking_recv().unwrap();
        for _ in 0..20 {
            let driver = io.driver();
            // The thread that computes.
            driver.drive(task(&io)).unwrap();
            // The port's thread, because the other one has lent its place, or does not come for long.
            driver.lend();
            task(&io).blocking_recv().unwrap();
            driver.poll(|| {});
            task(&io).blocking_recv().unwrap();
            driver.drive(task(&io)).unwrap();
            drop(driver);
            task(&io).blocking_recv().unwrap();
        }
    }

    #[test]
    fn the_thread_that_computes_drives_alone() {
        let io = Io::start().unwrap();
        let driver = io.driver();
        let computing = std::thread::current().id();
        let (mut own, mut others) = (0, 0);
        for _ in 0..2_000 {
            let task = io.handle().spawn(async { std::thread::current().id() });
            *(if driver.drive(task).unwrap() == computing { &mut own } else { &mut others }) += 1;
        }
        // Unless it does not get the processor for long.
        assert!(others < 200, "{own} tasks were driven here, {others} by the port's thread");
    }
}
