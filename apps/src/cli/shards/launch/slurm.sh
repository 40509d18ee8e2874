#!/bin/bash
# One run as <<shards>> shards. Submit it with `sbatch`; results are where shard 0 runs, in the folder of the submission.
#SBATCH --job-name=<<name>>
#SBATCH --ntasks=<<shards>>
#SBATCH --cpus-per-task=2
#SBATCH --time=<<time>>
# A minute before the time is over: the run keeps its state, and says how to go on.
#SBATCH --signal=TERM@60
set -euo pipefail

# The secret of the run: in a file that only you can read, in a folder that all nodes see.
umask 077
secret=$(mktemp "${SLURM_SUBMIT_DIR:-$PWD}/.tidelock-secret.XXXXXXXX")
trap 'rm -f "$secret"' EXIT
head -c 32 /dev/urandom | base64 > "$secret"

# Shard 0 is on the first node. Jobs that share a node must not share a port.
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
port=<<port>>

# If one shard ends, the others find out why by themselves.
srun --kill-on-bad-exit=0 <<command>> --rendezvous "${nodes[0]}:$port" --secret-file "$secret"
