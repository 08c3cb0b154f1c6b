#!/bin/bash
# Installs the built packages on this machine, uses them as an administrator and a programmer would, and purges them.
# usage: tests/install/test_packages.sh FOLDER    as root, on a machine without zerodb
set -euo pipefail
packages=$(realpath "${1:?usage: tests/install/test_packages.sh FOLDER}")
consumer=$(realpath "$(dirname "$0")/consumer")
data=/var/lib/zerodb
names=(zerodb libzerodb0.1 libzerodb-dev)

if [ "$(id -u)" -ne 0 ]; then
  echo "SKIPPED: $0 installs packages, and so must run as root: NOTHING WAS CHECKED" >&2
  exit 77
fi
for name in "${names[@]}"; do
  if dpkg-query -W "$name" >/dev/null 2>&1; then
    echo "$0: $name is installed here already: not touched" >&2
    exit 1
  fi
done
if [ -e $data ] || getent passwd zerodb >/dev/null; then
  echo "$0: $data or the user zerodb is there already: not touched" >&2
  exit 1
fi

work=$(mktemp -d)
node=
clean() {
  [ -z "$node" ] || kill "$node" 2>/dev/null || true
  wait
  dpkg --purge "${names[@]}" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap clean EXIT

say() { echo "--- $*"; }
die() {
  echo "FAILED: $*" >&2
  [ ! -e "$work/log" ] || tail -20 "$work/log" >&2
  exit 1
}
as_zerodb() { setpriv --reuid zerodb --regid zerodb --init-groups "$@"; }
zdb() { as_zerodb /usr/bin/zdb --node $data "$@"; }
# The daemon, as the service would run it but for the sandbox, and itself the shell's child.
start_node() {
  setpriv --reuid zerodb --regid zerodb --init-groups \
    /usr/bin/zerodb-node run --data $data >"$work/out" 2>>"$work/log" &
  node=$!
  timeout 30 sh -c "until grep -q ^ready '$work/out'; do kill -0 $node || exit 1; sleep 0.05; done" ||
    die "the node did not start"
}
stop_node() {
  kill "$node"
  wait "$node" || die "the node ended with $?"
  node=
}

say "install, with what they depend on"
apt-get -q install --yes --no-install-recommends "$packages"/*.deb >"$work/apt" 2>&1 ||
  { cat "$work/apt" >&2; die "apt-get install"; }
grep -q "there is no node yet" "$work/apt" || die "nobody is told how to go on"
[ "$(stat -c '%U:%G %a' $data)" = "zerodb:zerodb 700" ] || die "$data: $(stat -c '%U:%G %a' $data)"
dpkg -L "${names[@]}" | sort -u | while read -r path; do
  [ -d "$path" ] || echo "$path"
done >"$work/files"
for name in "${names[@]}"; do
  dpkg-query -W -f '${Package} ${Version} ${Architecture}, depends: ${Depends}\n' "$name"
  grep -qx "/usr/share/doc/$name/copyright" "$work/files" || die "$name has no copyright file"
done
dpkg-query -W -f '${Depends}' zerodb | grep -q librocksdb || die "zerodb does not depend on its libraries"
dpkg-query -W -f '${Depends}' libzerodb0.1 | grep -q libzmq5 || die "libzerodb0.1 does not depend on libzmq5"
grep -qx "libzerodb 0.1 libzerodb0.1.*" /var/lib/dpkg/info/libzerodb0.1.shlibs || die "no shlibs for programs' packages"

say "the unit"
if command -v systemd-analyze >/dev/null; then
  # Of other units on this machine it may find what it likes.
  systemd-analyze verify --man=no /usr/lib/systemd/system/zerodb.service 2>"$work/verify" || die "$(cat "$work/verify")"
  ! grep zerodb "$work/verify" || die "systemd-analyze verify complains"
  systemd-analyze security --offline=true --no-pager /usr/lib/systemd/system/zerodb.service | tail -1
else
  echo "SKIPPED: no systemd-analyze here" >&2
fi

say "a node: put and get by the command line"
as_zerodb zerodb-node init --data $data --listen 127.0.0.1:0 >"$work/init"
start_node
head -c 3000000 /dev/urandom >"$work/content"
zdb put - big <"$work/content"
zdb get big - | cmp - "$work/content" || die "came back different"
zdb status >/dev/null

say "the library: find_package, pkg-config"
cmake -S "$consumer" -B "$work/build" >"$work/cmake" 2>&1 || die "$(cat "$work/cmake")"
cmake --build "$work/build" >"$work/cmake" 2>&1 || die "$(cat "$work/cmake")"
# Word splitting is what pkg-config's output is for.
c++ -std=c++20 "$consumer/hello.cpp" -o "$work/hello" $(pkg-config --cflags --libs zerodb)
chmod -R go+rX "$work"
for program in "$work/hello" "$work/build/hello"; do
  [ "$(as_zerodb "$program" $data)" = "Hello from C++" ] || die "$program"
done
stop_node

say "remove keeps the data, a new installation finds it"
dpkg --remove zerodb >/dev/null
[ -e $data/node.key ] || die "removing the package removed data"
dpkg --install "$packages"/zerodb_*.deb >"$work/again"
! grep -q "there is no node yet" "$work/again" || die "the node is there"
start_node
zdb get big - | cmp - "$work/content" || die "came back different"
stop_node

say "purge leaves nothing"
dpkg --purge "${names[@]}" >"$work/purge" 2>&1 || die "$(cat "$work/purge")"
while read -r path; do
  [ ! -e "$path" ] || die "$path is left"
done <"$work/files"
[ ! -e $data ] || die "$data is left"
! getent passwd zerodb >/dev/null || die "the user zerodb is left"
! getent group zerodb >/dev/null || die "the group zerodb is left"
left=$(find /etc/systemd /lib/systemd /var/lib/systemd /usr/include /usr/share/doc /var/lib/dpkg/info -name '*zerodb*')
[ -z "$left" ] || die "left: $left"
echo "packages: all right"
