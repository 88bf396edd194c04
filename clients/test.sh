#!/usr/bin/env bash
# Tests of the readers in C and Python. What a machine lacks is skipped, with the reason.
# NEURALSMPL_CLIENT_PYTHON names the interpreter; else clients/python/.venv, else python3.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

vectors=../packet/vectors
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0

step() {
  local name=$1
  shift
  printf '[clients] %s\n' "$name"
  "$@" || {
    printf '[clients] FAILED: %s\n' "$name"
    failed=1
  }
}
skip() { printf '[clients] SKIPPED: %s: %s\n' "$1" "$2"; }

warnings=(-Wall -Wextra -pedantic -Wconversion -Wsign-conversion -Wshadow -Werror)

# Whether a program built from tests/decode.c reads every pinned vector as expected.
reads_vectors() { LC_ALL=C "$1" "$vectors"/*.hex | diff -u "$vectors/expected.txt" -; }

c_reader() { # NAME COMPILER FLAGS...
  local name=$1
  shift
  "$@" "${warnings[@]}" -Ic c/tests/decode.c -o "$out/$name" -lm && reads_vectors "$out/$name"
}

c_example() {
  gcc -std=c99 -O2 "${warnings[@]}" -Ic c/examples/print_angles.c -o "$out/print_angles" -lm &&
    tr -d '\n' <"$vectors/pose_full.hex" | sed 's/../\\x&/g' >"$out/escaped" &&
    printf '%b' "$(cat "$out/escaped")" >"$out/pose" &&
    "$out/print_angles" "$out/pose" >"$out/angles" 2>"$out/log" &&
    grep -q '  left_hip  *109\.6 deg about -0\.45 -0\.64  0\.62 (self-occluded)' "$out/angles" &&
    grep -q '^1 frames; damaged: 0; refused: 0$' "$out/log"
}

if command -v gcc >/dev/null; then
  step "C99" c_reader c99 gcc -std=c99 -O2
  if printf 'int main(void) { return 0; }' |
    gcc -fsanitize=address,undefined -xc - -o "$out/probe" 2>/dev/null && "$out/probe"; then
    sanitize=(-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all)
    step "C99, sanitized" c_reader c99_sanitized gcc -std=c99 "${sanitize[@]}"
    for seed in 1 2 3; do
      step "garbage $seed, sanitized" "$out/c99_sanitized" --garbage "$seed" 1000000
    done
  else
    skip "C99, sanitized" "gcc has no address and undefined behaviour sanitizers"
    step "garbage" "$out/c99" --garbage 1 3000000
  fi
  step "example print_angles" c_example
else
  skip "C99" "gcc is missing"
fi
# A sketch fed with a pinned packet: the elbow's angle, and a servo that stays because the joint is hidden
# or follows because it is seen.
arduino_example() {
  g++ -std=c++11 -O2 "${warnings[@]}" -Ic -Iarduino/shim -include Arduino.h -xc++ \
    arduino/FollowArm/FollowArm.ino arduino/shim/host.cpp -o "$out/follow_arm" -lm &&
    xxd_pose pose_full | "$out/follow_arm" >"$out/arduino" &&
    grep -q '^person 1541 left_elbow 8[0-9]\.[0-9] deg, confidence 198 (hidden)$' "$out/arduino" &&
    xxd_pose pose_rest | "$out/follow_arm" >>"$out/arduino" &&
    grep -q '^person 0 left_elbow 0\.0 deg, confidence 0$' "$out/arduino" &&
    grep -q '^nobody$' "$out/arduino" && grep -q '^servo 0 us$' "$out/arduino" &&
    grep -q '^servo 500 us$' "$out/arduino" || { cat "$out/arduino"; return 1; }
}
# The bytes of a pinned frame.
xxd_pose() {
  tr -d '\n' <"$vectors/$1.hex" | sed 's/../\\x&/g' >"$out/escaped_$1"
  printf '%b' "$(cat "$out/escaped_$1")"
}

if command -v g++ >/dev/null; then
  step "C++11" c_reader cpp11 g++ -std=c++11 -O2 -xc++
  step "example for Arduino, on the host" arduino_example
else
  skip "C++11" "g++ is missing"
fi

arm=aarch64-linux-gnu-gcc
if ! command -v $arm >/dev/null || ! command -v qemu-aarch64-static >/dev/null; then
  skip "C99, aarch64" "$arm or qemu-aarch64-static is missing"
else
  aarch64_reader() {
    $arm -std=c99 -O2 -static "${warnings[@]}" -Ic c/tests/decode.c -o "$out/aarch64" -lm &&
      LC_ALL=C qemu-aarch64-static "$out/aarch64" "$vectors"/*.hex |
      diff -u "$vectors/expected.txt" -
  }
  step "C99, aarch64" aarch64_reader
fi

python=${NEURALSMPL_CLIENT_PYTHON:-python/.venv/bin/python}
[ -x "$python" ] || python=$(command -v python3 || true)
if [ -z "$python" ]; then
  skip "Python" "python3 is missing"
elif ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))'; then
  skip "Python" "$python is older than 3.9"
elif ! "$python" -c 'import pytest' 2>/dev/null; then
  skip "Python" "$python has no pytest (pip install 'clients/python[test,serial,noise]')"
else
  [[ $python = /* ]] || python=$PWD/$python
  step "Python" env -C python "$python" -m pytest -q -rs -p no:cacheprovider
  if "$python" -c 'import rosbags, numpy' 2>/dev/null; then
    step "ROS 2" "$python" -m pytest -q -rs -p no:cacheprovider ros2
  else
    skip "ROS 2" "$python has no rosbags (pip install rosbags numpy)"
  fi
  if "$python" -c 'import mypy' 2>/dev/null; then
    step "Python types" env -C python "$python" -m mypy --cache-dir "$out/mypy"
  else
    skip "Python types" "$python has no mypy"
  fi
fi
exit "$failed"
