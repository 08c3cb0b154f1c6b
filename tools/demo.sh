#!/bin/bash
# The main job on real input: three nodes on this machine, the third of them blind, keep a folder of real files and
# one large file, lose a node, give everything back and forget it. Leaves nothing. Fails when anything is not as said.
# usage: tools/demo.sh          ZERODB_BIN: the programs' folder; ZERODB_DEMO_MIB: size of the large file
set -euo pipefail
cd "$(dirname "$0")/.."

programs=$(realpath "${ZERODB_BIN:-build/release/bin}")
large_mib=${ZERODB_DEMO_MIB:-1024}
part_mib=$((large_mib / 16))
files_max=600

# The short name keeps client.sock within the limit of a socket's path.
work=$(mktemp -d "${TMPDIR:-/tmp}/zdemo.XXXXXX")
declare -A pids=()

clean_up() {
  local status=$?
  trap - EXIT
  kill -KILL "${pids[@]}" 2>/dev/null || true
  wait 2>/dev/null || true
  [ $status = 0 ] || tail -n 15 "$work"/*.log 2>/dev/null || true
  rm -rf "$work"
  [ $status = 0 ] || echo "demo: failed" >&2
  exit $status
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

step_number=0
step() {
  step_number=$((step_number + 1))
  printf '\n%d. %s\n' "$step_number" "$*"
}
say() { printf '   %s\n' "$*"; }
fail() {
  echo "demo: $*" >&2
  exit 1
}

node() { "$programs/zerodb-node" "$@"; }
zdb() { # NODE WORD...
  local name=$1
  shift
  "$programs/zdb" --node "$work/$name" "$@"
}

start() { # NODE
  : >"$work/$1.out"
  "$programs/zerodb-node" run --data "$work/$1" >"$work/$1.out" 2>>"$work/$1.log" &
  pids[$1]=$!
  patiently "$1 is ready" grep -q '^ready' "$work/$1.out"
}

# Tries a command until it succeeds, for up to 20 s.
patiently() { # WHAT COMMAND...
  local what=$1 tries
  shift
  for ((tries = 0; tries < 400; tries++)); do
    if "$@"; then return; fi
    sleep 0.05
  done
  fail "not within 20 s: $what"
}

status() { # NODE EXPRESSION: a Python expression over the status `s`
  zdb "$1" status --json | python3 -c "import json, sys; s = json.load(sys.stdin); print($2)"
}
all_linked() {
  local name
  for name in n1 n2 n3; do
    [ "$(status "$name" "sum(m['up'] or m['here'] for m in s['members'])")" = 3 ] || return 1
  done
}
holds() { [ "$(status "$1" "s['objects']")" = "$2" ]; } # NODE COUNT

timed() { # AMOUNT UNIT COMMAND...: runs it and says how fast it was
  local amount=$1 unit=$2 begin=${EPOCHREALTIME/./} us
  shift 2
  "$@"
  us=$((${EPOCHREALTIME/./} - begin + 1))
  say "$(awk -v n="$amount" -v unit="$unit" -v us=$us \
    'BEGIN { printf "%d %s in %.1f s: %.0f %s/s", n, unit, us / 1e6, n * 1e6 / us, unit }')"
}

sums() (cd "$1" && find . -type f -print0 | sort -z | xargs -0 b2sum --length=256)
same() { # WHAT A B
  [ "$2" = "$3" ] || fail "$1: the checksums differ"
  say "$1: checksums agree"
}

# A folder with files enough: /usr/share/doc is cut down on some small systems.
choose_files() {
  local folder
  for folder in /usr/share/doc /usr/include /usr/lib/python3 /usr/share; do
    find "$folder" -type f -size -1024k 2>/dev/null | LC_ALL=C sort >"$work/names" || true
    if [ "$(wc -l <"$work/names")" -ge 200 ]; then break; fi
  done
  mkdir "$work/folder"
  head -n $files_max "$work/names" | xargs -d '\n' cp --parents -t "$work/folder"
  files=$(find "$work/folder" -type f | wc -l)
  say "$files files from $folder, $(du -s --apparent-size "$work/folder" | cut -f1) KiB"
}

make_large_file() {
  local marker="this line stands in the large file and nowhere else" half=$((large_mib / 2))
  { head -c "${half}M" /dev/urandom && echo "$marker" &&
    head -c "$((large_mib - half))M" /dev/urandom; } >"$work/large"
  say "and one generated file of $large_mib MiB"
  echo "$marker" >"$work/samples"
}

# What to look for: names of files stored, and lines out of them.
choose_samples() {
  find "$work/folder" -type f -printf '%f\n' | grep -E '^.{12,}$' | sort -u |
    awk 'n++ < 20' >"$work/sample_names"
  grep -rhaIE '^[ -~]{40,}$' "$work/folder" | awk 'NR % 97 == 1 && n++ < 100' >>"$work/samples"
  cat "$work/sample_names" >>"$work/samples"
}

feed_and_kill() { # the first part, then SIGKILL to n3, then the rest
  dd if="$work/large" bs=1M count="$part_mib" status=none
  kill -KILL "${pids[n3]}"
  dd if="$work/large" bs=1M skip="$part_mib" count="$part_mib" status=none
}

not_found() { # NODE KEY
  local code=0
  zdb "$1" get "$2" "$work/ghost" 2>/dev/null || code=$?
  [ $code = 3 ] || fail "$1: get $2 ended with $code, not 3 (not found)"
  [ ! -e "$work/ghost" ] || fail "$1: get $2 left a file"
}

free_mib=$(df -Pm "$work" | awk 'NR == 2 { print $4 }')
[ "$free_mib" -ge $((large_mib * 6)) ] ||
  fail "$work has $free_mib MiB free, $((large_mib * 6)) are needed: set TMPDIR to a larger disk"

step "Three nodes on this machine: two gateways of one owner, and a blind one"
node init --data "$work/n1" --name n1 --listen 127.0.0.1:0 >/dev/null
start n1
zdb n1 invite --share-owner | node join - --data "$work/n2" --name n2 --listen 127.0.0.1:0 >/dev/null
start n2
zdb n1 invite | node join - --data "$work/n3" --name n3 --listen 127.0.0.1:0 --blind >/dev/null
start n3
patiently "links between all nodes" all_linked
say "$(status n1 "f\"each object on {s['replicas']} nodes, acknowledged when {s['write_quorum']} have it on disk\"")"

step "What to keep"
choose_files
make_large_file
choose_samples

step "Store both through n1"
timed "$files" files zdb n1 --quiet put -r "$work/folder" docs/
timed "$large_mib" MiB zdb n1 --quiet put "$work/large" large

step "Fetch both from n2, and compare"
timed "$files" files zdb n2 --quiet get -r docs/ "$work/fetched"
timed "$large_mib" MiB zdb n2 --quiet get large "$work/large.fetched"
same "$files files" "$(sums "$work/folder")" "$(sums "$work/fetched")"
same "the large file" "$(b2sum <"$work/large")" "$(b2sum <"$work/large.fetched")"
rm -r "$work/fetched" "$work/large.fetched"

step "Look for names and content in the blind node's folder"
patiently "n3 holds every object" holds n3 $((files + 1))
say "n3 keeps $(status n3 "f\"{s['objects']} objects, {s['blob_bytes'] >> 20} MiB of blobs\"")"
grep -qraFf "$work/samples" "$work/folder" || fail "the samples are not in the source folder"
grep -qaF "$(head -n 1 "$work/samples")" "$work/large" || fail "the sample is not in the large file"
if grep -rlaFf "$work/samples" "$work/n3" "$work/n3.log" || find "$work/n3" | grep -Ff "$work/sample_names"; then
  fail "n3 knows something of what it keeps"
fi
say "$(wc -l <"$work/samples") samples, among them names such as $(tail -n 1 "$work/samples"): none found"

step "SIGKILL n3 in the middle of a put through n1"
acknowledged=yes
{ # without the shell's own word on the killed process
  feed_and_kill | zdb n1 --quiet put - survivor 2>"$work/warning" || acknowledged=no
  wait "${pids[n3]}" || true
} 2>/dev/null
sed 's/^/   /' "$work/warning"
[ $acknowledged = yes ] || fail "the put was not acknowledged"
say "acknowledged; n2 reads it:"
same "the object put meanwhile" "$(head -c $((2 * part_mib))M "$work/large" | b2sum)" "$(zdb n2 get survivor - | b2sum)"

step "n3 comes back and fetches what it missed"
start n3
patiently "n3 has caught up" holds n3 $((files + 2))
say "n3 keeps $(status n3 "s['objects']") objects"

step "Delete everything"
timed "$files" files zdb n1 --quiet rm -r docs/
zdb n2 --quiet rm large survivor
first=$(cd "$work/folder" && find . -type f -printf '%P\n' | awk 'NR == 1')
for name in n1 n2; do
  for key in large survivor "docs/$first"; do not_found $name "$key"; done
  [ -z "$(zdb $name ls)" ] || fail "$name still lists objects"
done
for name in n1 n2 n3; do patiently "$name holds nothing" holds $name 0; done
say "not found on n1 and n2, no object left on n1, n2 and n3"

step "Stop"
for name in n1 n2 n3; do
  kill -TERM "${pids[$name]}"
  wait "${pids[$name]}" || fail "$name ended with $?"
  unset "pids[$name]"
done
say "all ended cleanly; everything worked ($SECONDS s)"
