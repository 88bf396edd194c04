#!/usr/bin/env bash
# Tests of the kernels on an emulated processor with AVX-512 and VNNI (bochs, an Ice Lake): the test
# program of the crate runs there without an operating system, on what boot.S and system.c give it.
#
# Needs, beside cargo and gcc, on Debian:
#   apt-get install --no-install-recommends bochs bochs-term bochsbios vgabios grub-pc-bin grub-common xorriso mtools
#
# `--missing` prints what is missing, and nothing if the tests can run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

missing() {
  local tool file
  for tool in bochs gcc grub-mkrescue xorriso mformat script; do
    command -v $tool >/dev/null || echo "no $tool"
  done
  for file in /usr/share/bochs/BIOS-bochs-latest /usr/share/bochs/VGABIOS-lgpl-latest /usr/lib/grub/i386-pc; do
    [ -e $file ] || echo "no $file"
  done
}

lacks=$(missing)
case "${1:-}" in
--missing)
  printf '%s' "${lacks:+$lacks$'\n'}"
  exit
  ;;
'') ;;
*)
  echo "usage: $0 [--missing]" >&2
  exit 2
  ;;
esac
if [ -n "$lacks" ]; then
  printf '%s\nThe head of %s says how to install all.\n' "$lacks" "$0" >&2
  exit 1
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/disc/boot/grub"

# The test program, static and where system.c has room for it. A target of its own keeps the flags
# from what else is built.
TARGET=x86_64-unknown-linux-gnu
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static -C relocation-model=static -C link-arg=-Wl,--image-base=0x10000000"
program=$(cargo test --release --target $TARGET --lib --no-run -p neuralsmpl-kernels --message-format json |
  sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n1)
strip -o "$work/disc/boot/tests" "$program"

gcc -c boot.S -o "$work/boot.o"
gcc -c -O1 -ffreestanding -fno-builtin -fno-stack-protector -fno-pie \
  -mno-red-zone -mgeneral-regs-only -Wall -Wextra -Wno-implicit-fallthrough system.c -o "$work/system.o"
ld -n -T link.ld -z max-page-size=4096 --no-warn-rwx-segments "$work/boot.o" "$work/system.o" -o "$work/system"
objcopy -O elf32-i386 "$work/system" "$work/disc/boot/system"

# Emulation is slow.
cases=${PROPTEST_CASES:-48}
cat >"$work/disc/boot/grub/grub.cfg" <<END
set timeout=0
menuentry tests {
  multiboot /boot/system
  module /boot/tests tests PROPTEST_CASES=$cases PROPTEST_DISABLE_FAILURE_PERSISTENCE=1 --test-threads=1 --nocapture kernel::tests
  boot
}
END
grub-mkrescue -o "$work/disc.iso" "$work/disc" >/dev/null 2>&1

cat >"$work/bochsrc" <<END
cpu: model=corei7_icelake_u, ips=50000000, ignore_bad_msrs=1
memory: guest=1024, host=1024
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
boot: cdrom
ata0-master: type=cdrom, path=$work/disc.iso, status=inserted
com1: enabled=1, mode=file, dev=$work/serial
display_library: term
sound: driver=dummy
plugin_ctrl: unmapped=1, sb16=0, es1370=0, speaker=0
clock: sync=none
log: $work/log
panic: action=fatal
END
# The emulator waits for a word at its prompt, and wants a terminal.
echo c >"$work/commands"
TERM=xterm script -qec "bochs -q -f $work/bochsrc -rc $work/commands" /dev/null </dev/null >/dev/null || true

output=$(tr -d '\r' <"$work/serial")
printf '%s\n' "$output" | grep -E '^(test |running|ENDED|fault|error)|panicked|assertion|left|right' || true
for isa in avx2 avx512-vnni; do
  grep -qx $isa <<<"$output" || { echo "$isa did not run" >&2; exit 1; }
done
grep -qx 'ENDED WELL' <<<"$output"
