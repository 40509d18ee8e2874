//! How far a run is: a bar on a terminal, else a line now and then.

use super::session::{grouped, scaled};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sim_core::engine::Progress;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Shows the progress of one run on stderr.
pub(crate) struct Display {
    start: Instant,
    /// How long the run took.
    took: Option<Duration>,
    nodes: f64,
    shown: Shown,
}

enum Shown {
    Nothing,
    Bar(ProgressBar),
    /// Seconds after which the next line is due.
    Lines(u64),
}

/// The longest time between two looks at the clock, about.
const CHUNK: Duration = Duration::from_millis(50);

impl Display {
    /// Starts the clock.
    pub(crate) fn new(quiet: bool, nodes: usize) -> Self {
        let shown = if quiet {
            Shown::Nothing
        } else if io::stderr().is_terminal() {
            Shown::Bar(bar())
        } else {
            Shown::Lines(1)
        };
        Self { start: Instant::now(), took: None, nodes: nodes as f64, shown }
    }

    /// Executes all steps of a run, each up to a number of metacycles that takes a moment, `least` of them at least, and
    /// shows how far it is. The clock starts anew: what was made ready before is no part of the run.
    pub(crate) fn drive<E>(&mut self, least: u64, advance: impl FnMut(u64) -> Result<Progress, E>) -> Result<(), E> {
        self.start = Instant::now();
        let result = self.steps(least, advance);
        self.end();
        result
    }

    fn steps<E>(&mut self, least: u64, mut advance: impl FnMut(u64) -> Result<Progress, E>) -> Result<(), E> {
        let mut metacycles = least;
        loop {
            let before = Instant::now();
            let progress = advance(metacycles)?;
            if progress.done {
                break;
            }
            let took = before.elapsed();
            if took < CHUNK / 2 {
                metacycles = metacycles.saturating_mul(2);
            } else if took > CHUNK * 2 {
                metacycles = (metacycles / 2).max(least);
            }
            self.show(progress);
        }
        Ok(())
    }

    /// Shows the progress of a run that somebody else drives.
    pub(crate) fn note(&mut self, progress: Progress) {
        self.show(progress);
    }

    /// The run that somebody else drives has ended.
    pub(crate) fn end(&mut self) {
        self.took = Some(self.start.elapsed());
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }

    /// Time since the start; stops at the end of the run.
    pub(crate) fn elapsed(&self) -> Duration {
        self.took.unwrap_or_else(|| self.start.elapsed())
    }

    fn show(&mut self, progress: Progress) {
        let seconds = self.start.elapsed().as_secs_f64();
        let ticks_per_second = progress.tick.0 as f64 / seconds.max(1e-9);
        let speed =
            format!("{}ticks/s, {}node-ticks/s", scaled(ticks_per_second), scaled(ticks_per_second * self.nodes));
        let (tick, end) = (progress.tick.0.unsigned_abs(), progress.end.0.unsigned_abs());
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                bar.set_length(end);
                bar.set_position(tick);
                bar.set_message(speed);
            }
            Shown::Lines(due) if seconds >= *due as f64 => {
                let percent = tick as f64 / end.max(1) as f64 * 100.0;
                let line =
                    format!("{seconds:.0} s: tick {} of {} ({percent:.0} %), {speed}", grouped(tick), grouped(end));
                // Nobody may be listening; the run goes on.
                let _ = writeln!(io::stderr(), "{line}");
                while seconds >= *due as f64 {
                    *due = next_line(*due);
                }
            }
            Shown::Lines(_) => {}
        }
    }
}

/// Lines come after 1, 2, 5, 10, 30, 60 seconds, then every minute.
pub(crate) fn next_line(due: u64) -> u64 {
    [2, 5, 10, 30, 60].into_iter().find(|&next| next > due).unwrap_or(due + 60)
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  tick {human_pos} of {human_len}, {msg}");
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
    bar.with_style(style.expect("the template is legal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_rarer() {
        let due = std::iter::successors(Some(1), |&due| Some(next_line(due)));
        assert_eq!(due.take(9).collect::<Vec<_>>(), [1, 2, 5, 10, 30, 60, 120, 180, 240]);
    }
}
