//! How far every shard is: a shard tells its launcher now and then, which shows one line per shard.

use super::super::progress::next_line;
use super::super::session::{grouped, scaled};
use super::orders::{Launcher, News};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use net_runtime::quic::Figures;
use serde::{Deserialize, Serialize};
use sim_core::Tick;
use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A shard tells this often how far it is, at most.
const EVERY: Duration = Duration::from_millis(200);

/// How far a shard is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Moment {
    shard: u32,
    tick: Tick,
    end: Tick,
    /// Since the common start.
    seconds: f64,
    /// Share of that in which it waited.
    waiting: f64,
    /// Whom it has waited for the longest.
    waits_for: Option<u32>,
}

/// A shard's side.
#[derive(Debug)]
pub(super) struct Teller {
    shard: u32,
    launcher: Launcher,
    told: Instant,
}

impl Teller {
    pub(super) fn new(shard: u32, launcher: Launcher) -> Self {
        Self { shard, launcher, told: Instant::now() }
    }

    /// Tells the launcher, if there is one and it is time to.
    pub(super) fn tell(&mut self, tick: Tick, end: Tick, figures: &Figures) {
        if self.told.elapsed() < EVERY {
            return;
        }
        self.told = Instant::now();
        let longest = figures.pairs.iter().max_by_key(|(_, pair)| pair.waited_ns).filter(|(_, pair)| pair.waits > 0);
        let moment = Moment {
            shard: self.shard,
            tick,
            end,
            seconds: figures.run_ns as f64 / 1e9,
            waiting: figures.wait_ns as f64 / figures.run_ns.max(1) as f64,
            waits_for: longest.map(|(shard, _)| shard.0),
        };
        self.launcher.tell(News::Moment(moment));
    }
}

/// The launcher's side: one line per shard.
#[derive(Debug)]
pub(super) struct Board(Mutex<Shown>);

#[derive(Debug)]
enum Shown {
    Nothing,
    Bars {
        all: MultiProgress,
        shards: Vec<ProgressBar>,
    },
    /// By shard: seconds after which its next line is due.
    Lines(Vec<u64>),
}

impl Board {
    pub(super) fn new(quiet: bool, shards: u32) -> Self {
        let shown = if quiet {
            Shown::Nothing
        } else if io::stderr().is_terminal() {
            let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            let template = "{prefix:>10} {bar:30} {percent:>3} %  {msg}";
            let style = ProgressStyle::with_template(template).expect("the template is legal");
            let bar = |shard: u32| {
                let bar = all.add(ProgressBar::new(0).with_style(style.clone()));
                bar.set_prefix(format!("shard {shard}"));
                bar
            };
            Shown::Bars { shards: (0..shards).map(bar).collect(), all }
        } else {
            Shown::Lines(vec![1; shards as usize])
        };
        Self(Mutex::new(shown))
    }

    /// Shows how far a shard is.
    pub(super) fn show(&self, moment: Moment) {
        match &mut *self.0.lock().expect("nobody panics while holding it") {
            Shown::Nothing => {}
            Shown::Bars { shards, .. } => {
                if let Some(bar) = shards.get(moment.shard as usize) {
                    bar.set_length(moment.end.0.unsigned_abs());
                    bar.set_position(moment.tick.0.unsigned_abs());
                    bar.set_message(moment.text());
                }
            }
            Shown::Lines(due) => {
                if let Some(due) = due.get_mut(moment.shard as usize).filter(|due| moment.seconds >= **due as f64) {
                    let percent = moment.tick.0 as f64 / moment.end.0.max(1) as f64 * 100.0;
                    let line = format!(
                        "{:.0} s: shard {} ({percent:.0} %) at {}",
                        moment.seconds,
                        moment.shard,
                        moment.text()
                    );
                    let _ = writeln!(io::stderr(), "{line}");
                    while moment.seconds >= *due as f64 {
                        *due = next_line(*due);
                    }
                }
            }
        }
    }

    /// Writes a line for people, above those of the shards.
    pub(super) fn say(&self, line: &str) {
        match &*self.0.lock().expect("nobody panics while holding it") {
            Shown::Bars { all, .. } => all.suspend(|| eprintln!("{line}")),
            Shown::Nothing | Shown::Lines(_) => eprintln!("{line}"),
        }
    }

    /// All shards have ended.
    pub(super) fn clear(&self) {
        if let Shown::Bars { all, .. } = &*self.0.lock().expect("nobody panics while holding it") {
            // What cannot be removed stays.
            let _ = all.clear();
        }
    }
}

impl Moment {
    fn text(&self) -> String {
        let speed = scaled(self.tick.0 as f64 / self.seconds.max(1e-9));
        let (tick, end) = (grouped(self.tick.0.unsigned_abs()), grouped(self.end.0.unsigned_abs()));
        let waits = self.waits_for.map_or(String::new(), |shard| format!(", most for shard {shard}"));
        format!("tick {tick} of {end}, {speed}ticks/s, {:.0} % waiting{waits}", self.waiting * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_line() {
        let moment = Moment { shard: 1, tick: Tick(5), end: Tick(10), seconds: 0.5, waiting: 0.25, waits_for: Some(0) };
        assert_eq!(moment.text(), "tick 5 of 10, 10.000 ticks/s, 25 % waiting, most for shard 0");
    }
}
