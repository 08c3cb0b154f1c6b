#!/bin/sh
# Installs the Debian packages that zerodb is built and tested with: only those that are missing.
# usage: tools/deps.sh [fuzz|lint|packages]   also what `make fuzz`, `make lint` and `make format`, or `make packages` need
set -eu

packages="
  ccache cmake g++ make ninja-build pkg-config
  catch2 cppzmq-dev libasio-dev libcli11-dev libexpected-dev libfmt-dev libmsgpack-cxx-dev
  librocksdb-dev libsodium-dev libspdlog-dev libtomlplusplus-dev libzmq3-dev nlohmann-json3-dev
  faketime procps python3 python3-msgpack python3-zmq valgrind"
[ "${1-}" != fuzz ] || packages="$packages clang-16 libclang-rt-16-dev"
[ "${1-}" != lint ] || packages="$packages clang-format clang-tidy"
[ "${1-}" != packages ] || packages="$packages dpkg-dev file"

fail() {
  echo "tools/deps.sh: $*" >&2
  exit 1
}

installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
  fail "this is not a Debian system (no apt-get): install what these Debian 12 packages hold," \
    "then use cmake --preset release:" $packages
fi

# The tests' JavaScript programs want any Node.js with npm; Debian's only if there is none.
command -v npm >/dev/null || packages="$packages nodejs npm"

missing=
for package in $packages; do
  installed "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null ||
    fail "neither root nor sudo here: have an administrator run: apt-get install$missing"
  as_root=sudo
fi

echo "tools/deps.sh: installing$missing"
$as_root apt-get -q update
$as_root env DEBIAN_FRONTEND=noninteractive \
  apt-get -q install --yes --no-install-recommends $missing ||
  fail "apt-get could not install$missing: zerodb is developed on Debian 12 (bookworm)"
