#!/usr/bin/env bash
# Installs a package in a fresh Debian 12 and uses it as a person would; prints what each step took.
#
#   packaging/test-deb.sh target/debian/neuralsmpl_*_amd64.deb
#
# Needs root and debootstrap (else SKIPPED), and what apt reaches. The chroot is made once below
# NEURALSMPL_CHROOT (default /var/tmp/neuralsmpl-bookworm) and copied for each run.
#
# A package for arm64 on another machine is unpacked instead, and its program runs under qemu-aarch64-static with the
# cross compiler's C library: files, networks, the fit's stages and a photo from end to end on one thread (emulated, the
# program stands still where it starts a second one); no installation, no upgrade, no purge.
set -euo pipefail

deb=${1:?"usage: $0 FILE.deb"}
skip() {
  printf 'SKIPPED: %s\n' "$1"
  exit 0
}
architecture=$(dpkg-deb -f "$deb" Architecture)

# Lines x,y,z of a pose file: joints and keypoints.
joints() { grep -o '"position_m": *\[[^]]*' "$1" | sed 's/.*\[//'; }

# What a package for another processor does here; NEURALSMPL_PROCESSOR is one of qemu's.
emulated() {
  local processor=${NEURALSMPL_PROCESSOR:-cortex-a76} work
  [ "$architecture" = arm64 ] || skip "a package for $architecture does not run on $(dpkg --print-architecture)"
  command -v qemu-aarch64-static >/dev/null || skip "qemu-aarch64-static is missing (apt-get install qemu-user-static)"
  [ -e /usr/aarch64-linux-gnu/lib/ld-linux-aarch64.so.1 ] || skip "the C library is missing (apt-get install libc6-dev-arm64-cross)"
  work=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$work'" EXIT
  dpkg-deb -x "$deb" "$work/root"
  program() { qemu-aarch64-static -cpu "$processor" -L /usr/aarch64-linux-gnu "$work/root/usr/bin/neuralsmpl" "$@"; }
  printf '== %s, emulated as %s\n' "$(program --version)" "$processor"
  program check-config "$work/root/etc/neuralsmpl/neuralsmpl.toml" || exit 1
  program pack check "$work/root/usr/share/neuralsmpl/person" || exit 1
  local begun=$SECONDS network
  for network in detector backbone; do
    program pack inspect "$work/root/usr/share/neuralsmpl/person/$network.onnx" --runs 1 | sed -n 1,3p
  done
  printf '== both networks: %d s, emulated\n' $((SECONDS - begun))
  begun=$SECONDS
  program bench --backend cpu | grep -E '^(frame, wall|energy)' || exit 1
  printf '== every stage of the fit: %d s, emulated\n' $((SECONDS - begun))
  begun=$SECONDS
  local photo=$work/root/usr/share/neuralsmpl/samples/balance.jpg
  local host=${NEURALSMPL_HOST:-$(dirname "${BASH_SOURCE[0]}")/../target/release/neuralsmpl}
  program fit --threads 1 "$photo" --out "$work/out" || exit 1
  printf '== a photo: %d s, emulated\n' $((SECONDS - begun))
  if [ -x "$host" ]; then
    "$host" -q fit --threads 1 --pack "$work/root/usr/share/neuralsmpl/person" "$photo" --out "$work/here" || exit 1
    # The largest distance in millimetres, and whether there are joints at all.
    paste -d, <(joints "$work/out/balance.pose.json") <(joints "$work/here/balance.pose.json") | awk -F, '
      { d = 1000 * sqrt(($1 - $4) ^ 2 + ($2 - $5) ^ 2 + ($3 - $6) ^ 2); if (d > most) most = d }
      END { printf "   its %d joints and keypoints lie at most %.3f mm from what this machine says\n", NR, most; exit NR < 24 || most > 1 }' || exit 1
  else
    printf '   SKIPPED: the comparison with this machine: %s is missing (cargo build --release)\n' "$host"
  fi
  printf 'passed\n'
}
if [ "$architecture" != "$(dpkg --print-architecture)" ]; then
  emulated
  exit
fi

[ "$(id -u)" = 0 ] || skip "needs root, to make a chroot"
command -v debootstrap >/dev/null || skip "debootstrap is missing (apt-get install debootstrap)"

mirror=${NEURALSMPL_MIRROR:-http://deb.debian.org/debian}
base=${NEURALSMPL_CHROOT:-/var/tmp/neuralsmpl-bookworm}
work=$(mktemp -d "$base.XXXXXX")
root=$work/root
cleanup() {
  for place in proc dev/null; do umount -l "$root/$place" 2>/dev/null || true; done
  rm -rf --one-file-system "$work"
}
trap cleanup EXIT

if [ ! -e "$base/.made" ]; then
  rm -rf "$base"
  printf '== debootstrap bookworm\n'
  debootstrap --variant=minbase bookworm "$base" "$mirror" >"$work/debootstrap.log" 2>&1 || {
    tail -n 20 "$work/debootstrap.log"
    exit 1
  }
  # What the machine's own apt is told about proxies and certificates holds inside as well.
  for file in /etc/apt/apt.conf.d/*proxy* /etc/apt/apt.conf; do
    if [ -e "$file" ]; then cp "$file" "$base/etc/apt/apt.conf.d/"; fi
  done
  touch "$base/.made"
fi
cp -a "$base" "$root"
cp /etc/resolv.conf "$root/etc/resolv.conf"
mount -t proc proc "$root/proc"
touch "$root/dev/null"
mount --bind /dev/null "$root/dev/null"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
user() { chroot --userspec=1000:1000 "$root" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/home/person LANG=C.UTF-8 "$@"; }
step() {
  local name=$1 begun
  shift
  begun=$(date +%s.%N)
  "$@" >"$work/log" 2>&1 || {
    printf '== %s: FAILED\n' "$name"
    tail -n 40 "$work/log"
    exit 1
  }
  printf '== %s: %.1f s\n' "$name" "$(echo "$(date +%s.%N) - $begun" | bc 2>/dev/null || awk -v a="$begun" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')"
}
check() { # DESCRIPTION COMMAND...
  local name=$1
  shift
  if "$@"; then
    printf '   %s\n' "$name"
  else
    printf '   NOT TRUE: %s\n' "$name"
    exit 1
  fi
}
files() { (cd "$root" && find etc usr var -xdev \( -path '*neuralsmpl*' -o -path 'var/cache/neuralsmpl*' \) -not -path 'var/cache/apt/*' | sort); }

cp "$deb" "$root/root/neuralsmpl.deb"
inside useradd --create-home --uid 1000 person
step "apt-get update" inside apt-get update
begun=$(date +%s)
step "apt install ./neuralsmpl.deb" inside apt-get install -y --no-install-recommends /root/neuralsmpl.deb
printf '   download of packages aside, %s kB installed\n' "$(inside dpkg-query -W -f '${Installed-Size}' neuralsmpl)"
check "the service's user is there" inside getent passwd neuralsmpl
check "nothing was enabled" test ! -e "$root/etc/systemd/system/multi-user.target.wants/neuralsmpl.service"
check "the manual has its pages" test -e "$root/usr/share/man/man1/neuralsmpl-run.1.gz"

clip=/usr/share/neuralsmpl/samples/balance.mjpeg
run_clip() { user neuralsmpl run --source "$clip" --every-frame --frames 20 >"$work/packets" 2>"$work/errors"; }
step "neuralsmpl run on the sample clip, 20 frames, as an ordinary user" run_clip
printf '   from the first command to packets: %d s\n' "$(($(date +%s) - begun))"
check "$(grep -c '"kind":"pose"' "$work/packets") poses came out" test "$(grep -c '"kind":"pose"' "$work/packets")" -ge 15
fit_photo() { user sh -c 'cd && neuralsmpl fit /usr/share/neuralsmpl/samples/balance.jpg --out out --json' >"$work/pose"; }
step "neuralsmpl fit on the sample photo" fit_photo
check "a pose was written" grep -q '"visibility"' "$work/pose"
step "neuralsmpl doctor" user neuralsmpl doctor
grep -E '^  (WARN|FAIL)|in order' "$work/log" | sed 's/^/   /'
check "the pack was found where it was installed" grep -q '/share/neuralsmpl/person: ' "$work/log"
step "check-config, with the service's file" inside neuralsmpl check-config /etc/neuralsmpl/neuralsmpl.toml
service() {
  chroot --userspec=neuralsmpl:neuralsmpl "$root" /usr/bin/env -i PATH=/usr/bin:/bin \
    neuralsmpl run --config /etc/neuralsmpl/neuralsmpl.toml --frames 60 >"$work/packets"
}
look_at_page() { # While the service's file runs.
  service & local pid=$!
  for _ in $(seq 100); do
    curl -fs http://127.0.0.1:8080/ >"$work/page" && break
    sleep 0.1
  done
  wait "$pid"
}
step "60 frames as the service's user with the service's file" look_at_page
check "it sends packets" grep -q '"kind":"pose"' "$work/packets"
if command -v curl >/dev/null; then
  check "it serves the page" grep -qi '<html' "$work/page"
else
  printf '   SKIPPED: the page: curl is missing\n'
fi

printf '# mine\n' >>"$root/etc/neuralsmpl/neuralsmpl.toml"
printf 'a recording' >"$root/var/lib/neuralsmpl-probe" && rm "$root/var/lib/neuralsmpl-probe"
mkdir -p "$root/var/lib/neuralsmpl" && printf 'a recording' >"$root/var/lib/neuralsmpl/walk.mcap"
# The same package with a higher version and another text for the settings.
newer() {
  dpkg-deb -R "$deb" "$work/newer" &&
    sed -i 's/^Version: .*/&+newer/' "$work/newer/DEBIAN/control" &&
    printf '# shipped later\n' >>"$work/newer/etc/neuralsmpl/neuralsmpl.toml" &&
    dpkg-deb -b --root-owner-group -Znone "$work/newer" "$root/root/newer.deb" &&
    rm -rf "$work/newer"
}
step "a newer package" newer
step "upgrade" inside apt-get install -y -o Dpkg::Options::=--force-confold --no-install-recommends /root/newer.deb
check "the settings are the person's" grep -q '^# mine$' "$root/etc/neuralsmpl/neuralsmpl.toml"
check "and the shipped ones lie beside" test -e "$root/etc/neuralsmpl/neuralsmpl.toml.dpkg-dist"
check "it runs" inside neuralsmpl --version
step "remove" inside apt-get remove -y neuralsmpl
check "settings and recordings stay" test -e "$root/etc/neuralsmpl/neuralsmpl.toml" -a -e "$root/var/lib/neuralsmpl/walk.mcap"
step "purge" inside apt-get purge -y neuralsmpl
left=$(files | grep -v '^var/lib/dpkg' || true)
check "nothing is left" test -z "$left" || printf '%s\n' "$left"
check "no user is left" test -z "$(inside getent passwd neuralsmpl || true)"
printf 'passed\n'
