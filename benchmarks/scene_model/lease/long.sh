#!/bin/sh
# One lease for one long training of scenes-64, on one GPU, in two commands of ten minutes at most, from the checkout's root.
#   benchmarks/scene_model/lease/long.sh pack                       # before, here: into .lease what the bare machine lacks
#   benchmarks/scene_model/lease/long.sh train 580 WORK OUT         # 580 seconds in all
#   benchmarks/scene_model/lease/long.sh measure - WORK OUT
#   benchmarks/scene_model/lease/long.sh teach 530 WORK OUT         # in place of train: first the image tower, then model and prior
#   benchmarks/scene_model/lease/long.sh polish 92 WORK OUT         # if time is left, on the same machine
set -eu
here=$(dirname "$0")
what=$1
if [ "$what" = pack ]; then
  python=${PYTHON:-.venv/bin/python}
  rm -rf .lease && mkdir .lease
  grep -qs '^/.lease/$' .git/info/exclude || echo '/.lease/' >> .git/info/exclude
  python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp \
    --platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 -d .lease \
    open_clip_torch==3.3.0 ftfy==6.3.1 wcwidth==0.9.4 ultralytics-opencv-headless==8.4.190 ultralytics-thop==2.2.3 omegaconf==2.4.0
  # Entry points, by which plugins are found.
  cp -r "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"/composer_pl*.dist-info .lease
  ls .lease
  exit
fi
granted=$2 work=$3 out=$4 plan=${PLAN:-full}
mkdir -p "$work" "$out"
[ "$what" = measure ] || date +%s > "$work/began"
. "$here/paths.sh"
if [ "$what" = train ] || [ "$what" = teach ]; then
  rm -f "$work"/bank-*.pt "$work"/done-*.pt "$work/enough" "$work/latest.pt" "$work/taught.pt"
  rm -rf "$work/products"
  ! command -v nvidia-smi > /dev/null || nvidia-smi --query-gpu=name,memory.total --format=csv,noheader
  for part in 0 1; do
    python3 "$here/long_scenes.py" --work "$work" --plan "$plan" --part $part --parts 2 > "$out/scenes-$part.txt" 2>&1 &
  done
  set -- --work "$work" --out "$out" --plan "$plan" --granted "$granted" --parts 2
  if [ "$what" = teach ]; then
    python3 "$here/prior.py" --work "$work" --out "$out" --plan "$plan" > "$out/prior.txt" 2>&1 &
    set -- "$@" --teach "${TEACH:-70}"
  fi
  python3 "$here/long.py" "$@" > "$out/long.txt" 2>&1 || python3 "$here/long.py" "$@" --plain >> "$out/long.txt" 2>&1 || true
  wait
  tail -n 3 "$out"/scenes-*.txt
  tail -n 40 "$out/long.txt"
elif [ "$what" = polish ]; then
  rm -rf "$work/before" "$work/latest.pt"
  mv "$work/products" "$work/before"
  python3 "$here/long.py" --work "$work" --out "$out" --plan "$plan" --granted "$granted" --parts 2 \
    --polish --start "$work/before/base-long" > "$out/long.txt" 2>&1 || true
  tail -n 40 "$out/long.txt"
else
  python3 "$here/measures.py" adherence --work "$work" --out "$out" --plan "$plan" --model base-long --blind base-blind \
    --trained trained.pt --guidance 3 2 > "$out/adherence.txt" 2>&1 || true
  (cd "$work" && tar -cf - products/base-blind products/base-sketch products/facts.json | gzip -1 | split -b 15m - "$out/baselines.tar.gz.") || true
  grep -v '/256 pictures' "$out/adherence.txt" | tail -n 20
fi
