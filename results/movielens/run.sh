#!/bin/sh
# The whole study on MovieLens-1M, one CPU thread a run. The same command goes on where an earlier one was stopped.
#
#   results/movielens/run.sh FOLDER RUNS [CONFIG…]
#
# FOLDER holds the files of MovieLens-1M; RUNS is made. CONFIG: baselines, small, full, plus (all of them if none is
# named; several of these commands, each with other names, may work side by side once RUNS/data is there).
set -eu
if [ $# -lt 2 ]; then
    sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
here=$(dirname "$0")
folder=$1 runs=$2
shift 2
[ $# -gt 0 ] || set -- baselines small full plus
export OMP_NUM_THREADS=1
if [ ! -e "$runs/data/manifest.json" ]; then
    nasrec prepare "$folder" --source movielens --out "$runs/data"
fi
for name in "$@"; do
    nasrec run "$here/$name.yaml" --out "$runs/$name" "data.prepared=$runs/data"
done
