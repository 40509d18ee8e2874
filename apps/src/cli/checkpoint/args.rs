//! Arguments of checkpoints.

use std::path::PathBuf;
use std::time::Duration;

/// When checkpoints are taken, and where they are.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct CheckpointArgs {
    /// Keep the state of the run every so many ticks (`1000000`), or so often (`30s`, `10m`, `2h`), at the end of an epoch;
    /// an interrupted run keeps it in any case
    #[arg(long, value_name = "TICKS|TIME", value_parser = every, conflicts_with = "clocks")]
    pub(crate) checkpoint_every: Option<Every>,
    /// Checkpoints go into this new directory [default: beside the results, with `.checkpoints` behind the name]
    #[arg(long, value_name = "DIR", conflicts_with = "clocks")]
    pub(crate) checkpoints: Option<PathBuf>,
    /// Go on from the newest checkpoint in DIR, which knows application, machine and options; with any number of threads or
    /// shards
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "checkpoints", "graph", "app", "token_bits", "machine", "latency", "cores", "memory", "calendar_entries", "pins",
        "max_unroll", "iterations", "trace", "calendars", "clocks", "channels", "digest", "record", "input",
    ])]
    pub(crate) resume: Option<PathBuf>,
}

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Every {
    /// In ticks.
    Ticks(i64),
    /// In time.
    Time(Duration),
}

fn every(text: &str) -> Result<Every, String> {
    let units = [('s', 1), ('m', 60), ('h', 3600)];
    let unit = units.into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)));
    let every = match unit {
        Some((number, seconds)) => {
            let time =
                number.parse::<f64>().ok().and_then(|n| Duration::try_from_secs_f64(n * f64::from(seconds)).ok());
            time.filter(|time| !time.is_zero()).map(Every::Time)
        }
        None => text.parse().ok().filter(|&ticks: &i64| ticks > 0).map(Every::Ticks),
    };
    every.ok_or_else(|| "write ticks like `1000000`, or a time like `30s`, `10m`, `2h`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_times() {
        let time = |seconds: f64| Ok(Every::Time(Duration::from_secs_f64(seconds)));
        for (text, expected) in
            [("4096", Ok(Every::Ticks(4096))), ("30s", time(30.0)), ("0.5m", time(30.0)), ("2h", time(7200.0))]
        {
            assert_eq!(every(text), expected, "{text}");
        }
        for text in ["", "0", "-5", "0s", "-1s", "s", "1d", "nans", "1e99h"] {
            assert!(every(text).is_err(), "{text}");
        }
    }
}
