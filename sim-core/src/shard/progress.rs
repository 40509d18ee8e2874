//! How threads tell each other how far they are: one counter per worker, spin for a while, then park.
//!
//! A worker publishes its position after the words of that window are in the boundary rings: the counter is stored with
//! `Release` and loaded with `Acquire`, so that whoever sees the position sees the words. A worker that has nothing to do
//! spins, because a neighbour usually needs less than a microsecond; then it announces that it sleeps, looks once more, and
//! parks. Whoever publishes looks for sleepers afterwards. Between "announce, then look" and "publish, then look" stands a
//! `SeqCst` fence on both sides, so that at least one of the two sees the other: no wake-up is lost.

use super::sync::{AtomicBool, AtomicI64, Mutex, Ordering, SPINS, Thread, fence, spin_loop, thread};
use crate::time::Tick;

/// Position of one worker, alone in its cache lines (two, because processors fetch them in pairs).
#[derive(Debug)]
#[repr(align(128))]
pub struct Progress {
    position: AtomicI64,
    asleep: AtomicBool,
    sleeper: Mutex<Option<Thread>>,
}

/// What a waiting worker is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Look again later.
    Blocked,
    /// Go on.
    Ready,
}

impl Progress {
    /// A worker at `position`.
    #[must_use]
    pub fn new(position: Tick) -> Self {
        Self { position: AtomicI64::new(position.0), asleep: AtomicBool::new(false), sleeper: Mutex::new(None) }
    }

    /// The position that was published last; everything that was written before it was published is visible.
    #[inline]
    #[must_use]
    pub fn position(&self) -> Tick {
        Tick(self.position.load(Ordering::Acquire))
    }

    /// Publishes this worker's position and wakes those of `others` that sleep.
    pub fn publish<'a>(&self, position: Tick, others: impl IntoIterator<Item = &'a Progress>) {
        self.position.store(position.0, Ordering::Release);
        fence(Ordering::SeqCst);
        for other in others {
            other.wake();
        }
    }

    /// Wakes this worker if it sleeps and has not seen what was written before.
    pub fn wake_after_fence(&self) {
        fence(Ordering::SeqCst);
        self.wake();
    }

    fn wake(&self) {
        if self.asleep.load(Ordering::Relaxed)
            && let Some(thread) = self.sleeper.lock().expect("nobody panics while holding it").as_ref()
        {
            thread.unpark();
        }
    }

    /// Lets this worker wait until `look` says that it is ready. `look` reads what others publish before they wake it.
    pub fn wait(&self, mut look: impl FnMut() -> Waiting) {
        for _ in 0..SPINS {
            if look() == Waiting::Ready {
                return;
            }
            spin_loop();
        }
        *self.sleeper.lock().expect("nobody panics while holding it") = Some(thread::current());
        loop {
            self.asleep.store(true, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            if look() == Waiting::Ready {
                self.asleep.store(false, Ordering::Relaxed);
                return;
            }
            thread::park();
        }
    }
}
