//! A model of the progress counters: the very source of the engine, over the threads and atomics of a model checker.
//!
//! Workers publish positions and wait for each other as those of a run do. A lost wake-up ends as a deadlock, which the
//! checker reports with the schedule that leads there. It explores interleavings; that `Release`, `Acquire` and the fences
//! are strong enough on a weaker memory is argued in the source.

#[path = "../../src/shard/progress.rs"]
#[allow(dead_code, unreachable_pub, missing_docs)]
mod progress;

/// What the source takes from beside it.
mod sync {
    pub(super) use shuttle::hint::spin_loop;
    pub(super) use shuttle::sync::Mutex;
    pub(super) use shuttle::sync::atomic::{AtomicBool, AtomicI64, Ordering, fence};
    pub(super) use shuttle::thread::{self, Thread};

    /// Once: parking is what is to be checked.
    pub(super) const SPINS: u32 = 1;
}

/// And from above.
mod time {
    pub(crate) use sim_core::time::Tick;
}

use progress::{Progress, Waiting};
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicI64, Ordering};
use sim_core::time::Tick;

/// Workers in a ring, each of which goes `windows` windows and needs that its neighbours are not behind it. What a window
/// writes must be visible to whoever has seen its position.
fn ring(workers: usize, windows: i64) {
    let team: Arc<Vec<Progress>> = Arc::new((0..workers).map(|_| Progress::new(Tick(0))).collect());
    let words: Arc<Vec<AtomicI64>> = Arc::new((0..workers).map(|_| AtomicI64::new(0)).collect());
    let work = |number: usize| {
        let (team, words) = (team.clone(), words.clone());
        move || {
            let neighbours = [(number + 1) % workers, (number + workers - 1) % workers];
            for window in 0..windows {
                team[number].wait(|| {
                    let behind = neighbours.iter().any(|&other| team[other].position().0 < window);
                    if behind { Waiting::Blocked } else { Waiting::Ready }
                });
                for other in neighbours {
                    assert!(words[other].load(Ordering::Relaxed) >= window, "a position came before its words");
                }
                words[number].store(window + 1, Ordering::Relaxed);
                team[number].publish(Tick(window + 1), neighbours.iter().map(|&other| &team[other]));
            }
        }
    };
    let threads: Vec<_> = (0..workers).map(|number| shuttle::thread::spawn(work(number))).collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

/// A worker that fails wakes the others, which wait for nothing else.
fn stop() {
    let team: Arc<[Progress; 2]> = Arc::new([Progress::new(Tick(0)), Progress::new(Tick(0))]);
    let stopped = Arc::new(shuttle::sync::atomic::AtomicBool::new(false));
    let waiting = {
        let (team, stopped) = (team.clone(), stopped.clone());
        shuttle::thread::spawn(move || {
            let look = || if stopped.load(Ordering::Relaxed) { Waiting::Ready } else { Waiting::Blocked };
            team[0].wait(look);
        })
    };
    stopped.store(true, Ordering::Relaxed);
    team[0].wake_after_fence();
    waiting.join().unwrap();
}

#[test]
fn two_workers_never_sleep_through_a_wake_up() {
    shuttle::check_dfs(|| ring(2, 1), Some(50_000));
    shuttle::check_pct(|| ring(2, 3), 5_000, 3);
}

#[test]
fn three_workers_neither() {
    shuttle::check_random(|| ring(3, 2), 3_000);
    shuttle::check_pct(|| ring(3, 2), 3_000, 3);
}

#[test]
fn whoever_fails_wakes_the_others() {
    shuttle::check_dfs(stop, Some(20_000));
}
