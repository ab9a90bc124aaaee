# For quickstart, test and bench: progress, packages, the build. Sourced, not run.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
start=$(date +%s)
log=build/log
mkdir -p build

say() { printf '[%3ds] %s\n' $(($(date +%s) - start)) "$*"; }
die() { printf '\n%s\n' "$*" >&2; exit 1; }
# watch PID: shows the log's last line every ten seconds while the process runs; its exit status
watch() {
  job=$1 n=0
  trap 'kill "$job" 2>/dev/null; exit 130' INT TERM   # a process in the background does not hear the terminal's interrupt
  while kill -0 "$1" 2>/dev/null; do
    sleep 0.1
    n=$((n + 1))
    [ $((n % 100)) = 0 ] || continue
    line=$(tail -c 1000 "$log" | tr '\r' '\n' | grep '[^ ]' | tail -n 1 | cut -c 1-90)
    say "  .. ${line:-still at it}"
  done
  trap - INT TERM
  wait "$job"
}
# run DESCRIPTION COMMAND..: output goes to the log, of which the end is shown when it fails
run() {
  say "$1"; shift
  "$@" >"$log" 2>&1 </dev/null &
  watch $! || { tail -n 30 "$log" >&2; die "failed: $*"; }
}
# provides NAME: what a Debian package is wanted for is here, from wherever it came
provides() {
  case $1 in
  gcc | g++ | meson | pkg-config | python3) command -v "$1" ;;
  libc6-dev) echo '#include <stdio.h>' | cc -E - ;;
  binutils) command -v ld && command -v objcopy ;;
  ninja-build) command -v ninja ;;
  llvm-19-dev) command -v llvm-config-19 || [ -x /usr/lib/llvm-19/bin/llvm-config ] ;;
  libprotobuf-c-dev) pkg-config --exists libprotobuf-c ;;
  protobuf-c-compiler) command -v protoc-c ;;
  libyaml-dev) pkg-config --exists yaml-0.1 ;;
  zlib1g-dev) pkg-config --exists zlib ;;
  libzstd-dev) pkg-config --exists libzstd ;;
  check) pkg-config --exists check ;;
  *) false ;;
  esac >/dev/null 2>&1
}
# absent NAME..: those that are neither installed nor provided
absent() {
  for p in "$@"; do dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || provides "$p" || printf ' %s' "$p"; done
}
# packages NAME..: installs what is missing
packages() {
  missing=$(absent "$@")
  [ -n "$missing" ] || { say "packages are there"; return 0; }
  sudo=
  [ "$(id -u)" = 0 ] || { command -v sudo >/dev/null || die "These packages are needed, and installing them needs root:$missing"; sudo=sudo; }
  command -v apt-get >/dev/null || die "These Debian packages, or your system's equivalents, are needed:$missing"
  run "package lists" $sudo apt-get update -q
  run "installing$missing" $sudo apt-get install -q -y --no-install-recommends $missing
}
build_packages="gcc g++ libc6-dev binutils meson ninja-build pkg-config llvm-19-dev libprotobuf-c-dev protobuf-c-compiler libyaml-dev zlib1g-dev libzstd-dev"
# build TARGET..: a release build in build/; no target: everything, tests too
build() {
  [ -f build/build.ninja ] || run "configuring" meson setup build --buildtype=release -Dtests=false
  [ $# -gt 0 ] || meson introspect build --buildoptions 2>/dev/null | python3 -c 'import json, sys; sys.exit(not any(o["name"] == "tests" and o["value"] for o in json.load(sys.stdin)))' ||
    run "configuring the tests" meson configure build -Dtests=true
  say "building"
  ninja -C build "$@" >"$log" 2>&1 </dev/null &
  watch $! || { grep -E 'error|FAILED' "$log" | head -n 20 >&2; die "the build failed; see $log"; }
  ln -sfn compiler/massc build/massc
  ln -sfn models/mkmodel build/mkmodel
}
# python_env: build/venv with numpy, onnx and onnxruntime, for what compares with them
venv=build/venv
python_env() {
  cmp -s tools/requirements.txt $venv/made-from && return 0
  say "a virtual environment with numpy, onnx, onnxruntime"
  sh -c "python3 -m venv --clear $venv && $venv/bin/pip install -q --disable-pip-version-check -r tools/requirements.txt && cp tools/requirements.txt $venv/made-from" >"$log" 2>&1 </dev/null &
  watch $!
}
