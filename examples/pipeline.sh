#!/bin/sh
# Splits a job, runs the parts at once, and hands their results to one more task.
# Usage: examples/pipeline.sh [BELOW]; POTLUCK is the command if it is not `potluck`.
set -eu
potluck=${POTLUCK:-potluck}
below=${1:-400000}
here=$(dirname "$0")

ids=""
for part in 0 1 2 3; do
  start=$((below * part / 4)) end=$((below * (part + 1) / 4))
  # --detach prints the id and leaves; the task goes on.
  ids="$ids $($potluck cpu --quiet --detach --file "$here/primes.py" --function count --args "[$end, $start]")"
done

# Of several ids, wait --json prints one list, in the order of the ids.
# shellcheck disable=SC2086 # the ids are to be split
$potluck wait --quiet --json $ids | $potluck cpu --quiet --args - --program '
def main(*parts):
    return sum(part["result"] for part in parts)
'
