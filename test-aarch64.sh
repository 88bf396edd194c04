#!/usr/bin/env bash
# Tests of the crates without a network runtime (kernels and packet) on emulated aarch64 processors,
# each of which must run the kernels made for it.
#
# Needs, beside cargo:
#   the standard library of the target    rustup target add aarch64-unknown-linux-gnu
#   a linker and an emulator, on Debian   apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static
# Where rustup has no such target to offer, Debian's own compiler has (package rustc-web):
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install --no-install-recommends rustc-web libstd-rust-web-dev:arm64
#
# `--missing` prints what is missing, and nothing if the tests can run.
#
# `--all` runs every test of the workspace in the same way, those with the networks' engine and the command line included.
# Compiling that takes some 45 minutes of processor time and running it hours, so it is not part of test.sh.
# `--all NAME` runs the tests whose names hold NAME: `--all networks_say` compares detector and backbone with outputs
# stored on another processor (tests/stored.rs). Tests start the program: it needs a kernel that starts aarch64 programs in
# the emulator, for which Debian's package binfmt-support will do. Serial lines and multicast are left out: the emulator
# does not pass on what they ask of the kernel (TCGETS2, groups of an interface).
# NEURALSMPL_AARCH64_PROCESSORS="cortex-a76:neon-dot" chooses processors.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

TARGET=aarch64-unknown-linux-gnu
# Processors by qemu's names, and the best instruction set of each: a Jetson Nano's, one like a
# Jetson Orin's, and one with everything.
PROCESSORS=${NEURALSMPL_AARCH64_PROCESSORS:-"cortex-a57:neon cortex-a76:neon-dot max:neon-i8mm"}

# The first compiler that is new enough and has the target's standard library.
compiler() {
  local least version candidate
  least=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
  for candidate in "${RUSTC:-rustc}" /usr/bin/rustc; do
    version=$("$candidate" --version 2>/dev/null | cut -d' ' -f2) || continue
    [ "$(printf '%s\n' "$least" "$version" | sort -V | head -n1)" = "$least" ] || continue
    if compgen -G "$("$candidate" --print target-libdir --target $TARGET)/libstd-*.rlib" >/dev/null; then
      command -v "$candidate"
      return
    fi
  done
}

emulator() { command -v qemu-aarch64-static || command -v qemu-aarch64 || true; }

missing() {
  [ -n "$(compiler)" ] || echo "no standard library for $TARGET (rustup target add $TARGET)"
  command -v aarch64-linux-gnu-gcc >/dev/null ||
    echo "no aarch64-linux-gnu-gcc (Debian packages gcc-aarch64-linux-gnu and libc6-dev-arm64-cross)"
  [ -n "$(emulator)" ] || echo "no qemu-aarch64 (Debian package qemu-user-static)"
}

lacks=$(missing)
all=
case "${1:-}" in
--missing)
  printf '%s' "${lacks:+$lacks$'\n'}"
  exit
  ;;
--all) all=1 ;;
'') ;;
*)
  echo "usage: $0 [--missing | --all [NAME]]" >&2
  exit 2
  ;;
esac
if [ -n "$lacks" ]; then
  printf '%s\nThe head of %s says how to install all.\n' "$lacks" "$0" >&2
  exit 1
fi

RUSTC=$(compiler)
qemu=$(emulator)
export RUSTC
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# Static: the emulator then needs no libraries, of which it may find those of two systems.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
# Emulation is slow.
export PROPTEST_CASES=${PROPTEST_CASES:-32}
export NEURALSMPL_LIVE_FRAMES=${NEURALSMPL_LIVE_FRAMES:-20} NEURALSMPL_SOAK_FRAMES=${NEURALSMPL_SOAK_FRAMES:-200}
export NEURALSMPL_POISON_FRAMES=${NEURALSMPL_POISON_FRAMES:-40} NEURALSMPL_CHAOS_FRAMES=${NEURALSMPL_CHAOS_FRAMES:-60}

# Its own folder, so that cargo's lock does not keep this machine's builds waiting.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target/aarch64}

if [ -n "$all" ]; then
  export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
  if ! grep -qs '^enabled' /proc/sys/fs/binfmt_misc/qemu-aarch64; then
    echo "this kernel does not start aarch64 programs in the emulator (Debian package binfmt-support)" >&2
    exit 1
  fi
  beyond=(a_line_that_ packets_arrive_in_order_from_zero packets_leave_no_faster_than_the_line_carries_them
    commands_come_in_and_replies_go_out_on_the_same_line a_group_on_an_interface_hears_it)
  for processor in $PROCESSORS; do
    model=${processor%%:*}
    [ "$model" != max ] || continue
    export NEURALSMPL_TEST_ISA=${processor#*:}
    export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$qemu -cpu $model"
    export QEMU_CPU=$model # of the programs that tests start
    printf '\n== aarch64, everything: %s, whose best is %s\n' "$model" "$NEURALSMPL_TEST_ISA"
    printf '== SKIPPED: %s\n' "${beyond[*]}"
    begun=$SECONDS
    cargo test --release --target $TARGET --no-fail-fast --workspace --lib --bins --tests -- ${2:+"$2"} \
      "${beyond[@]/#/--skip=}"
    printf '== aarch64, everything: %s, %d s\n' "$model" $((SECONDS - begun))
  done
  exit
fi

for processor in $PROCESSORS; do
  model=${processor%%:*}
  export NEURALSMPL_TEST_ISA=${processor#*:}
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="$qemu -cpu $model"
  printf '\n== aarch64: %s, whose best is %s\n' "$model" "$NEURALSMPL_TEST_ISA"
  cargo test --release --target $TARGET --lib --tests -p neuralsmpl-kernels -p neuralsmpl-packet
done
