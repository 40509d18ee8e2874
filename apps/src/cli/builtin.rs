//! Applications of the library by name: functions of a machine and parameters.

use super::failure::{Exit, Failure};
use crate::builder::BuildError;
use crate::formats::nearest;
use crate::library::{GLIDER, cd2dat, dense, fft, life, sparse};
use crate::math;
use serde::Serialize;
use sim_core::{App, Machine};
use std::f64::consts::PI;
use std::num::NonZeroU32;

/// An application of the library.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct BuiltIn {
    /// Its name.
    pub(crate) name: &'static str,
    /// What may follow the name.
    pub(crate) parameters: &'static str,
    /// A spelling that works.
    pub(crate) example: &'static str,
    /// What it does.
    pub(crate) description: &'static str,
}

/// All applications of the library.
pub(crate) const ALL: [BuiltIn; 5] = [
    BuiltIn {
        name: "cd2dat",
        parameters: "",
        example: "cd2dat",
        description: "resamples a tone from 44.1 kHz to 48 kHz in four stages; samples on channel `dat`",
    },
    BuiltIn {
        name: "life",
        parameters: ":WIDTHxHEIGHT[:SIDE]",
        example: "life:4x4:8",
        description: "game of life, a glider on a torus of blocks of SIDE x SIDE cells (4, 8, 16, 32, 64; default 8)",
    },
    BuiltIn {
        name: "fft",
        parameters: ":STAGES",
        example: "fft:3",
        description: "Fourier transform of blocks of 2^STAGES samples (0 to 12), an actor per butterfly",
    },
    BuiltIn {
        name: "dense",
        parameters: "",
        example: "dense",
        description: "an actor on every node; a word to and from every neighbour in every tick",
    },
    BuiltIn {
        name: "sparse",
        parameters: ":SHARE",
        example: "sparse:0.01",
        description: "the same in a share of all ticks, above 0 and at most 1; at other ticks on every node",
    },
];

/// The largest transform.
const STAGES_MAX: u32 = 12;
/// The longest side of a board in blocks.
const BLOCKS_MAX: usize = 1 << 12;

/// Makes the application that `spec` names.
pub(crate) fn make(spec: &str, machine: Option<&Machine>) -> Result<App, Failure> {
    let (name, parameters) = spec.split_once(':').map_or((spec, None), |(name, rest)| (name, Some(rest)));
    let Some(known) = ALL.iter().find(|known| known.name == name) else {
        let failure =
            Failure::new(Exit::Invalid, "app::unknown", format!("no built-in application is called `{name}`"));
        let names = ALL.map(|known| known.name);
        return Err(match nearest(name, names) {
            Some(nearest) => failure.help(format!("did you mean `{nearest}`?")),
            None => failure.help(format!("there are {}; a graph file is named without --app", names.join(", "))),
        });
    };
    let wrong = || {
        Failure::new(Exit::Invalid, "app::parameters", format!("`{spec}` does not fit `{name}{}`", known.parameters))
            .help(format!("write it like `--app {}`: {}", known.example, known.description))
    };
    let failed = |error: &dyn std::error::Error| Failure::new(Exit::Invalid, "app::build", error.to_string());
    let built = match (name, parameters) {
        ("cd2dat", None) => cd2dat(),
        ("life", parameters) => {
            let (blocks, side) = parameters.map_or(("4x4", "8"), |text| text.split_once(':').unwrap_or((text, "8")));
            let (width, height) = blocks.split_once('x').ok_or_else(wrong)?;
            let size = |text: &str| text.parse().ok().filter(|size| (1..=BLOCKS_MAX).contains(size)).ok_or_else(wrong);
            board(size(width)?, size(height)?, side).ok_or_else(wrong)?
        }
        ("fft", parameters) => {
            let stages = parameters.unwrap_or("3").parse().ok().filter(|&stages| stages <= STAGES_MAX);
            fft(stages.ok_or_else(wrong)?, two_tones)
        }
        ("dense", None) => return dense(machine_of(name, machine)?).map_err(|error| failed(&error)),
        ("sparse", Some(share)) => {
            let period = period(share).ok_or_else(wrong)?;
            return sparse(machine_of(name, machine)?, period).map_err(|error| failed(&error));
        }
        _ => return Err(wrong()),
    };
    built.map_err(|error| failed(&error))
}

/// The machine that application `name` is made for.
fn machine_of<'a>(name: &str, machine: Option<&'a Machine>) -> Result<&'a Machine, Failure> {
    machine.ok_or_else(|| {
        let message = format!("`{name}` is made for a machine, and none is named");
        Failure::new(Exit::Invalid, "app::machine", message).help("add --machine, such as --machine torus:4x4")
    })
}

/// ⌈1 / `share`⌉ of a decimal number above 0 and at most 1; exact, as no binary fraction is 0.01.
fn period(share: &str) -> Option<NonZeroU32> {
    let (whole, fraction) = share.split_once('.').unwrap_or((share, ""));
    if !whole.chars().chain(fraction.chars()).all(|c| c.is_ascii_digit()) {
        return None;
    }
    let one = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let share = format!("{whole}{fraction}").parse::<u64>().ok().filter(|share| (1..=one).contains(share))?;
    u32::try_from(one.div_ceil(share)).ok().and_then(NonZeroU32::new)
}

/// A glider on a board of `width` × `height` blocks.
fn board(width: usize, height: usize, side: &str) -> Option<Result<App, BuildError>> {
    let alive = |x, y| GLIDER.contains(&(x, y));
    Some(match side {
        "4" => life::<4>(width, height, alive),
        "8" => life::<8>(width, height, alive),
        "16" => life::<16>(width, height, alive),
        "32" => life::<32>(width, height, alive),
        "64" => life::<64>(width, height, alive),
        _ => return None,
    })
}

/// Two tones, a weak one beside a strong one, that no block length divides.
fn two_tones(n: u64) -> f64 {
    let tone = |cycles_per_sample: f64| math::sin(2.0 * PI * cycles_per_sample * (n % 1_000) as f64);
    tone(0.125) + 0.25 * tone(0.331)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_ticks_is_a_period() {
        for (share, ticks) in [("1", 1), ("0.5", 2), ("0.3", 4), ("0.01", 100), (".000001", 1_000_000), ("1.0", 1)] {
            assert_eq!(period(share).map(NonZeroU32::get), Some(ticks), "{share}");
        }
        for wrong in ["", "0", "0.0", "1.1", "2", "-0.5", "1e-2", "+1", "0.5x", "0.0000000001", "9".repeat(40).as_str()]
        {
            assert_eq!(period(wrong), None, "{wrong}");
        }
    }
}
