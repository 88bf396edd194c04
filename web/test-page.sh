#!/usr/bin/env bash
# Opens the live page in headless Chromium and compares it with the packets (page-test/check.mjs).
# Needs a built program, Debian's chromium, Node and its package playwright-core. Pictures of the page go
# to the folder given, else to target/page. The clip is the sample, or the one given.
#
#   web/test-page.sh [FOLDER [CLIP]]
#   web/test-page.sh --missing      prints what keeps it from running; nothing if it can
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

program=${NEURALSMPL:-target/release/neuralsmpl}

missing() {
  if [ -z "$(browser)" ]; then
    echo "no Chromium (Debian package chromium)"
  elif ! command -v node >/dev/null 2>&1; then
    echo "no Node (Debian package nodejs)"
  elif [ ! -d web/page-test/node_modules/playwright-core ]; then
    echo "no playwright-core (cd web/page-test && npm ci)"
  elif [ ! -x "$program" ]; then
    echo "no $program (cargo build --release)"
  fi
}

browser() { command -v chromium || command -v chromium-browser || true; }

lacks=$(missing)
if [ "${1:-}" = --missing ]; then
  echo "$lacks"
elif [ -n "$lacks" ]; then
  echo "page: SKIPPED, $lacks"
else
  exec node web/page-test/check.mjs "$program" "$(browser)" "${1:-target/page}" ${2:+"$2"}
fi
