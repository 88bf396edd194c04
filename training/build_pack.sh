#!/usr/bin/env bash
# Makes models/person from its sources, one stage after the other; a stage that is done is not done again.
#
#   training/build_pack.sh --assets ASSETS --wheel mediapipe-0.10.14-*.whl
#
# With `--grow models/person` (or a run of train_backbone.py) the network goes on from what is there, instead of from nothing.
# Stages: body poses prior networks pictures maps train backbone texture. `--from STAGE` does that stage and all later
# ones again; a training run that was cut off goes on from its last checkpoint. Stages leave their work in --work
# (30 GB for 18,000 pictures). Needs the environment of training/README.md and ./target/release/neuralsmpl.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stages=(body poses prior networks pictures maps train backbone texture)
assets='' wheel='' work=training/out pack=models/person pictures=18000 steps=12000 threads=2 from='' grow=''

usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
fail() { printf 'build_pack: %s\n' "$*" >&2; exit 2; }

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --assets | --wheel | --work | --pack | --pictures | --steps | --threads | --from | --grow)
      [ $# -ge 2 ] || fail "$1 needs a value"
      printf -v "${1#--}" '%s' "$2"
      shift 2
      ;;
    *) fail "unknown option $1; see --help" ;;
  esac
done
[ -d "$assets" ] || fail "--assets $assets: not a folder; give the one that holds mocap/, hdri/ and makehuman/"
[ -f "$wheel" ] || fail "--wheel $wheel: not a file; pip download --no-deps --only-binary :all: mediapipe==0.10.14"
[ -z "$grow" ] || [ -d "$grow" ] || fail "--grow $grow: not a folder; give a pack, or a run of train_backbone.py"
[ -z "$from" ] || [[ " ${stages[*]} " == *" $from "* ]] || fail "--from $from: no such stage; one of ${stages[*]}"
neuralsmpl=./target/release/neuralsmpl
[ -x $neuralsmpl ] || fail "$neuralsmpl is missing; cargo build --release"
python=${NEURALSMPL_PYTHON:-training/.venv/bin/python}
mkdir -p "$work/done"

redo=false
stage() {
  local name=$1
  shift
  [ "$name" != "$from" ] || redo=true
  if $redo || [ ! -e "$work/done/$name" ]; then
    printf '== %s\n' "$name"
    rm -f "$work/done/$name"
    "$@"
    date -u +%FT%TZ >"$work/done/$name"
  else
    printf '== %s: done %s\n' "$name" "$(cat "$work/done/$name")"
  fi
}

shards() { # NAME COUNT SEED
  $neuralsmpl synth --pack "$pack" --format tar --out "$work/$1" --count "$2" --seed "$3" --threads "$threads" \
    --poses "$work/poses.safetensors" --hdri "$assets/hdri" --clothes training/data/clothes.safetensors
}
maps() { "$python" training/cache_maps.py --shards "$work/$1" --source "$wheel" --out "$work/maps-$1"; }

body() { "$python" training/bake_body.py --out "$pack/body.safetensors"; }
poses() {
  "$python" training/retarget_mocap.py --assets "$assets" --body "$pack/body.safetensors" --out "$work" \
    --cc0 "$pack/poses_cc0.safetensors"
}
prior() {
  "$python" training/learn_prior.py --poses "$work/poses.safetensors" --out "$pack/prior.safetensors"
  "$python" training/train_prior.py --pool "$work/pool.safetensors" --body "$pack/body.safetensors" \
    --prior "$pack/prior.safetensors" --work "$work/vae"
}
networks() { "$python" training/convert_blazepose.py --wheel "$wheel" --out "$pack"; }
pictures() {
  $neuralsmpl pack seal "$pack"
  shards train "$pictures" 200
  shards test 600 900
}
cached() {
  maps train
  maps test
}
train() {
  local common=(--body "$pack/body.safetensors" --test "$work/maps-test")
  "$python" training/train_backbone.py "${common[@]}" --data "$work/maps-train" --out "$work/run" --steps "$steps" \
    ${grow:+--grow "$grow"}
  "$python" training/judge_backbone.py "${common[@]}" --run "$work/run" --json "$work/judge.json"
}
backbone() {
  "$python" training/export_backbone.py --wheel "$wheel" --run "$work/run" --out "$pack/backbone.onnx"
  name_backbone
}
# Writes into the manifest what the network was made from and how.
name_backbone() {
  local source command
  source="BlazePose landmarks, full (PyPI mediapipe 0.10.14), with heads trained in $steps steps on $pictures synthetic people"
  source+=" (neuralsmpl synth --seed 200; poses.safetensors $(short "$work/poses.safetensors"),"
  source+=" clothes.safetensors $(short training/data/clothes.safetensors), panoramas of ASSETS/hdri)"
  command="training/build_pack.sh --assets ASSETS --wheel mediapipe-0.10.14-*.whl --pictures $pictures --steps $steps"
  if [ -n "$grow" ]; then
    source+=", from the heads of $(basename "$grow")"
    command+=" --grow $grow"
  fi
  source+="; code of commit $(git describe --always --dirty 2>/dev/null || echo unknown); docs/training.md"
  sed -i "/^\[files\.backbone\]/,/^command = / {
    s|^source = .*|source = \"$source\"|
    s|^command = .*|command = \"$command\"|
  }" "$pack/pack.toml"
}
short() { sha256sum "$1" | cut -c1-8; }
texture() {
  $neuralsmpl pack seal "$pack"
  $neuralsmpl learn --pack "$pack" --count 1500 --seed 1 --threads "$threads" \
    --poses "$work/poses.safetensors" --hdri "$assets/hdri" --report "$work/learn.json"
}

stage body body
stage poses poses
stage prior prior
stage networks networks
stage pictures pictures
stage maps cached
stage train train
stage backbone backbone
stage texture texture
printf '%s is made. Check it: %s pack check %s\n' "$pack" $neuralsmpl "$pack"
