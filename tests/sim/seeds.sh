#!/bin/bash
# The test cases that run in a simulated world, with seeds other than their own: seeds.sh FOLDER COUNT START. FOLDER holds the
# test programs. Prints each failing seed with the case, and ends with 1 if there was one.
set -uo pipefail
folder=${1:?the folder with the test programs} count=$2 start=$3
said=$(mktemp) || exit 1
trap 'rm -f "$said"' EXIT
failed=0

for ((seed = start; seed < start + count; ++seed)); do
  for program in tests_sim tests_gateway tests_proof; do
    SEED=$seed "$folder/$program" >"$said" 2>&1 && continue
    failed=$((failed + 1))
    echo "SEED=$seed $program failed:"
    cat "$said"
  done
done

echo "$count seeds from $start on: $failed failures"
[ "$failed" = 0 ]
