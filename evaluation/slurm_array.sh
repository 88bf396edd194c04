#!/usr/bin/env bash
# `neuralsmpl eval run` in shards as a Slurm array, then one merge. Set the variables, here or in the environment:
#
#   job=$(SHARDS=16 OUT=/scratch/me/eval sbatch --parsable --array=1-16 evaluation/slurm_array.sh)
#   SHARDS=16 OUT=/scratch/me/eval sbatch --dependency=afterok:"$job" evaluation/slurm_array.sh merge
#
# A shard that was stopped goes on where it was: send the same array again, or only some of it (--array=3,7).
#SBATCH --job-name=neuralsmpl-eval
#SBATCH --cpus-per-task=2
#SBATCH --mem=4G
#SBATCH --time=08:00:00
#SBATCH --output=%x-%A-%a.log
set -euo pipefail

PROGRAM=${PROGRAM:-neuralsmpl}
MANIFEST=${MANIFEST:-data}
SHARDS=${SHARDS:?set it to the number of shards, the end of --array=1-SHARDS}
OUT=${OUT:?set it to a folder that all nodes share}
# Options of `eval run`, separated by blanks.
OPTIONS=${OPTIONS:---systems smplify,eft,neuralsmpl --occlusion none,advocc40,advocc80}

if [ "${1:-}" = merge ]; then
  folders=()
  for i in $(seq 1 "$SHARDS"); do
    folders+=("$OUT/shards/$i-of-$SHARDS")
  done
  exec "$PROGRAM" eval merge "${folders[@]}" --out "$OUT/merged"
fi

index=${SLURM_ARRAY_TASK_ID:?not in an array; send it with sbatch --array=1-SHARDS}
if [ "$index" -lt 1 ] || [ "$index" -gt "$SHARDS" ]; then
  echo "slurm_array.sh: task $index, expected 1 to SHARDS=$SHARDS; correct --array or SHARDS" >&2
  exit 1
fi
read -r -a options <<<"$OPTIONS"
exec "$PROGRAM" eval run "$MANIFEST" "${options[@]}" --threads "${SLURM_CPUS_PER_TASK:-1}" \
  --shard "$index/$SHARDS" --out "$OUT/shards/$index-of-$SHARDS"
