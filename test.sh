#!/usr/bin/env bash
# Every check of this repository, in the release profile throughout, so that the dependencies
# compile once. Stops at the first that fails. A step that cannot run here says SKIPPED and why.
#
# Tests of the GPU run on the first Vulkan device, Mesa's lavapipe included (NEURALSMPL_TEST_DEVICE names
# another), and on one thread of it.
#
# Python tests run in training/.venv, or with the interpreter that NEURALSMPL_PYTHON names.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

step() {
  local name=$1 start=$SECONDS
  shift
  printf '\n== %s: %s\n' "$name" "$*"
  if "$@"; then
    printf '== %s: passed, %d s\n' "$name" $((SECONDS - start))
  else
    printf '== %s: FAILED, %d s\n' "$name" $((SECONDS - start))
    exit 1
  fi
}

skip() { printf '\n== %s: SKIPPED, %s\n' "$1" "$2"; }

step format cargo fmt --all --check
step lints cargo clippy --workspace --all-targets --release -- -D warnings
step documentation env RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace --release
export LP_NUM_THREADS=${LP_NUM_THREADS:-0}
step tests cargo test --workspace --release

# Tests of the GPU pass without one; this line says whether they have run.
devices=$(./target/release/neuralsmpl devices 2>&1 || true)
case "$devices" in
*Vulkan\ [0-9]*) printf '\n== vulkan: tested on\n%s\n' "$devices" ;;
*) skip vulkan "$devices" ;;
esac
command -v spirv-val >/dev/null 2>&1 || skip spirv-val "not installed (Debian package spirv-tools)"

# The tests have built the program with the same features.
lacks=$(web/test-page.sh --missing)
if [ -z "$lacks" ]; then
  step page web/test-page.sh
else
  skip page "$lacks"
fi

lacks=$(./test-aarch64.sh --missing)
if [ -z "$lacks" ]; then
  step aarch64 ./test-aarch64.sh
else
  skip aarch64 "$lacks"
fi

if cargo deny --version >/dev/null 2>&1; then
  step licences cargo deny --log-level error check licenses bans sources
else
  skip licences "cargo-deny is missing (cargo install cargo-deny --locked)"
fi

step clients clients/test.sh

# Zenoh's 345 crates are a workspace of their own. NEURALSMPL_TEST_ALL=1 adds what takes long to
# compile: its lints, H.264 and GStreamer.
fleet() { (cd zenoh && cargo fmt --check && cargo test); }
step fleet fleet

features=neuralsmpl-sinks/mcap,neuralsmpl-sources/v4l2
if [ -n "${NEURALSMPL_TEST_ALL:-}" ]; then
  fleet_lints() { (cd zenoh && cargo clippy --all-targets -- -D warnings); }
  step "fleet lints" fleet_lints
  features+=,neuralsmpl-sources/h264
  if pkg-config --exists gstreamer-app-1.0 2>/dev/null; then
    features+=,neuralsmpl-sources/gstreamer
  else
    skip gstreamer "no GStreamer to build with (Debian: libgstreamer-plugins-base1.0-dev gstreamer1.0-plugins-base gstreamer1.0-plugins-good)"
  fi
else
  skip "h264, gstreamer, fleet lints" "NEURALSMPL_TEST_ALL is not set"
fi
step features cargo test --release -p neuralsmpl-sources -p neuralsmpl-sinks --features "$features"

# Prints why Python tests cannot run; nothing if they can.
python_lacks() {
  local python=$1 requirements=training/requirements-test.txt
  if ! "$python" -m pytest --version >/dev/null 2>&1; then
    echo "$python is missing or has no pytest (see $requirements)"
  elif ! "$python" -m pip install --quiet --dry-run --no-index --no-deps -r "$requirements" \
    >/dev/null 2>&1; then
    echo "$python lacks packages of $requirements"
  fi
}

python=${NEURALSMPL_PYTHON:-training/.venv/bin/python}
lacks=$(python_lacks "$python")
if [ -z "$lacks" ]; then
  step training "$python" -m pytest -q -rs training evaluation/python
else
  skip training "$lacks"
fi

printf '\nAll steps that ran have passed, %d s.\n' "$SECONDS"
