#!/usr/bin/env bash
# Makes the Debian package for this machine, or for another:
#
#   packaging/build-deb.sh                             target/debian/neuralsmpl_VERSION_amd64.deb
#   packaging/build-deb.sh aarch64-unknown-linux-gnu   …_arm64.deb
#
# Needs cargo-deb (cargo install cargo-deb --locked); for arm64 what test-aarch64.sh needs.
# NEURALSMPL_FEATURES are the cargo features (default v4l2,mcap), NEURALSMPL_CARGO_FLAGS is added to cargo's command
# line. NEURALSMPL_HOST names a program of the same sources that runs here and writes pages and completions; else
# the one that was built, under qemu where it is for another processor.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

FEATURES=${NEURALSMPL_FEATURES:-v4l2,mcap}
target=${1:-}
build=(cargo build --release --features "$FEATURES")
folder=${CARGO_TARGET_DIR:-target}/release
runner=()
if [ -n "$target" ]; then
  build+=(--target "$target")
  folder=${CARGO_TARGET_DIR:-target}/$target/release
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=${CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER:-aarch64-linux-gnu-gcc}
  runner=(qemu-aarch64-static -L /usr/aarch64-linux-gnu)
fi
# shellcheck disable=SC2206
build+=(${NEURALSMPL_CARGO_FLAGS:-})

deb=${CARGO_DEB:-cargo-deb}
command -v "$deb" >/dev/null || {
  echo "cargo-deb is missing: cargo install cargo-deb --locked" >&2
  exit 1
}

"${build[@]}"

# The newest glibc that the program asks for must be what the package depends on.
promised=$(sed -n 's/^depends = "libc6 (>= \([0-9.]*\)).*/\1/p' Cargo.toml)
needed=$(grep -aoE 'GLIBC_2\.[0-9]+' "$folder/neuralsmpl" | sed 's/GLIBC_//' | sort -Vu | tail -n1)
if [ "$(printf '%s\n' "$promised" "$needed" | sort -V | tail -n1)" != "$promised" ]; then
  echo "the program needs glibc $needed and Cargo.toml promises $promised" >&2
  exit 1
fi

rm -rf target/kit
mkdir -p target/kit
"${target:+aarch64-linux-gnu-}strip" -o target/kit/neuralsmpl "$folder/neuralsmpl"
program=(${NEURALSMPL_HOST:-"${runner[@]}" "$folder/neuralsmpl"})
"${program[@]}" man --out target/kit/man
"${program[@]}" completions bash >target/kit/neuralsmpl.bash
"${program[@]}" completions zsh >target/kit/_neuralsmpl
"${program[@]}" completions fish >target/kit/neuralsmpl.fish

# The models hardly shrink: strong compression only costs minutes.
made=$("$deb" --no-build --fast ${target:+--target "$target"})
printf '%s\n' "$made"
dpkg-deb --info "$made" | sed -n 's/^ *\(Package\|Version\|Architecture\|Installed-Size\|Depends\):/\1:/p'
printf 'Size: %s bytes; glibc %s\n' "$(stat -c %s "$made")" "$needed"
