#!/bin/sh
# One lease: everything of the scene model but its encoders, on one GPU, in two commands of ten minutes at most.
#   benchmarks/scene_model/lease/run.sh train 530 WORK OUT    # 530 seconds for the arms; the rest runs beside them
#   benchmarks/scene_model/lease/run.sh measure - WORK OUT
set -eu
here=$(dirname "$0")
what=$1 granted=$2 work=$3 out=$4
mkdir -p "$work" "$out"
if [ "$what" = train ]; then
  rm -f "$work/began"
  python3 "$here/both_arms.py" --work "$work" --out "$out" --plan full --granted "$granted" > "$out/arms.txt" 2>&1 &
  python3 "$here/scenes.py" --work "$work" --plan full > "$out/scenes.txt" 2>&1 &
  python3 "$here/stages.py" --work "$work" --out "$out" --plan full > "$out/stages.txt" 2>&1 &
else
  python3 "$here/measures.py" composition --work "$work" --out "$out" --plan full > "$out/composition.txt" 2>&1 &
  python3 "$here/measures.py" adherence --work "$work" --out "$out" --plan full > "$out/adherence.txt" 2>&1 &
fi
wait
