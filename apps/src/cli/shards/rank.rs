//! Which shard this process is: from the command line, or from whoever started it.

use super::super::failure::{Exit, Failure};

/// One of several shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rank {
    /// Which, from 0.
    pub(crate) rank: u32,
    /// Of how many.
    pub(crate) shards: u32,
}

/// Variables in which launchers say a rank and a number of processes, in the order in which they are looked at. A launcher
/// that runs inside another one comes first.
const LAUNCHERS: [(&str, &str, &str); 5] = [
    ("Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI", "PMI_RANK", "PMI_SIZE"),
    ("PMIx", "PMIX_RANK", "PMIX_SIZE"),
    ("Slurm", "SLURM_PROCID", "SLURM_NTASKS"),
    ("Kubernetes", "JOB_COMPLETION_INDEX", "TIDELOCK_SHARDS"),
];

/// The rank from `--rank` and `--shards`, or from the variables of a launcher; `variable` reads one.
pub(crate) fn rank(
    flag: Option<u32>,
    shards: Option<u32>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Rank, Failure> {
    let number = |name: &str| -> Result<Option<u32>, Failure> {
        let Some(text) = variable(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        let invalid = || Failure::new(Exit::Invalid, "shard::rank", format!("{name} is `{text}`, which is no number"));
        text.trim().parse().map(Some).map_err(|_| invalid())
    };
    let (rank, found) = match flag {
        Some(rank) => (rank, None),
        None => {
            let mut known = None;
            for (_, rank, size) in LAUNCHERS {
                if let Some(rank) = number(rank)? {
                    known = Some((rank, number(size)?.map(|shards| (size, shards))));
                    break;
                }
            }
            known.ok_or_else(|| {
                let message = "this process does not know which shard it is";
                let known = LAUNCHERS.map(|(launcher, ..)| launcher).join(", ");
                Failure::new(Exit::Invalid, "shard::rank", message)
                    .help(format!("give --rank and --shards, or start it with a launcher that tells ({known})"))
            })?
        }
    };
    let shards = match (shards, found) {
        (Some(shards), Some((name, found))) if shards != found => {
            let message = format!("--shards says {shards}, {name} says {found}");
            return Err(Failure::new(Exit::Invalid, "shard::count", message).help("leave one of them out"));
        }
        (Some(shards), _) | (None, Some((_, shards))) => shards,
        (None, None) => {
            let message = "the number of shards is not known";
            return Err(Failure::new(Exit::Invalid, "shard::count", message).help("add --shards"));
        }
    };
    if rank >= shards {
        let message = format!("shard {rank} of {shards} shards cannot be: they are numbered from 0");
        return Err(Failure::new(Exit::Invalid, "shard::rank", message));
    }
    Ok(Rank { rank, shards })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(flag: Option<u32>, shards: Option<u32>, variables: &str) -> Result<(u32, u32), String> {
        let variable = |name: &str| {
            let pairs = variables.split_whitespace().filter_map(|pair| pair.split_once('='));
            pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        rank(flag, shards, variable).map(|rank| (rank.rank, rank.shards)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn launchers_tell_rank_and_number() {
        assert_eq!(check(Some(1), Some(4), ""), Ok((1, 4)));
        assert_eq!(check(None, None, "SLURM_PROCID=3 SLURM_NTASKS=8"), Ok((3, 8)));
        assert_eq!(check(None, None, "PMI_RANK=0 PMI_SIZE=2"), Ok((0, 2)));
        assert_eq!(check(None, None, "OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=4 PMIX_RANK=2"), Ok((2, 4)));
        assert_eq!(check(None, Some(4), "PMIX_RANK=2"), Ok((2, 4)));
        assert_eq!(check(None, None, "JOB_COMPLETION_INDEX=1 TIDELOCK_SHARDS=3"), Ok((1, 3)));
        // mpirun within a Slurm job: the inner one counts.
        let both = "SLURM_PROCID=0 SLURM_NTASKS=1 OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2";
        assert_eq!(check(None, None, both), Ok((1, 2)));
        assert_eq!(check(Some(0), Some(2), "SLURM_PROCID=3 SLURM_NTASKS=8"), Ok((0, 2)));
    }

    #[test]
    fn what_is_missing_or_wrong_is_said() {
        let told = |result: Result<(u32, u32), String>, part: &str| {
            let message = result.unwrap_err();
            assert!(message.contains(part), "{message}");
        };
        told(check(None, Some(4), ""), "does not know which shard");
        told(check(Some(1), None, ""), "number of shards is not known");
        told(check(None, None, "PMIX_RANK=1"), "number of shards is not known");
        told(check(None, Some(4), "SLURM_PROCID=1 SLURM_NTASKS=8"), "--shards says 4, SLURM_NTASKS says 8");
        told(check(Some(4), Some(4), ""), "shard 4 of 4");
        told(check(None, None, "SLURM_PROCID=x SLURM_NTASKS=8"), "SLURM_PROCID is `x`");
    }
}
