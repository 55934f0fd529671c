#!/bin/sh
# What a lease's new weights are worth: every evaluation of this repository that runs on a GPU, beside each other, from the checkout's root.
#   benchmarks/scene_model/lease/evaluate.sh WORK OUT
# After `long.sh teach` on the same machine: base-long, prior and encoders of WORK/products stand in this checkout's place of scenes-64
# and scenes-prior. What is done is packed at once, so a lease that ends too early still leaves that. A folder `.blind` that was carried
# along is the model that was never given a condition.
set -u
work=$1 out=$2 plan=${PLAN:-full}
root=$PWD here=$PWD/$(dirname "$0")
mkdir -p "$out" && out=$(cd "$out" && pwd)
. "$here/paths.sh"
export OMP_NUM_THREADS=2
if [ "$plan" = full ]; then
  where=cuda device="--device cuda" large="--batch 256" scenes=128 few=64 pairs=16 again=16 copies=18000 orders="" composed=480 val=2000 n=2000 n_prior=1000
  block="--batch 256 --block 256" steps=12 repeats=3 guidances="1.5 3 1 2 5"
else
  where=cpu device="" large="--batch 4" scenes=2 few=2 pairs=1 again=1 copies=2 orders="--orders 1" composed=24 val=8 n=6 n_prior=4
  block="--batch 4 --block 4" steps=1 repeats=1 guidances="1.5 3"
fi
model=src/composer_pl/pretrained
cp "$work/products/base-long/model.safetensors" $model/scenes-64/
[ ! -d "$work/products/prior" ] || cp "$work/products/prior/model.safetensors" $model/scenes-prior/
python3 benchmarks/scene_model/install_weights.py "$work/products/encoders"
[ ! -d .blind ] || { mkdir -p "$work/products/base-blind" && cp .blind/* "$work/products/base-blind/"; }

cd "$work"
composer() { python3 -m composer_pl "$@"; }
fid() { composer eval coco-fid --data.root scenes --split val --ckpt scenes-64 --steps 10 --bfloat16 --keep features --network tiny --network own \
  --not-the-protocol $device $block "$@"; }
packed() { title=$1 && shift && tar -czf "$out/.$title" --exclude '*.html' --exclude drawn --exclude reference "$@" && mv "$out/.$title" "$out/$title.tar.gz"; }
began=$(date +%s)
told() { echo "[$(($(date +%s) - began)) s] $*"; }

( python3 "$here/measures.py" adherence --work "$work" --out "$out" --plan "$plan" --model base-long --blind base-blind \
    --trained trained.pt --guidance 2 3 > "$out/adherence.txt" 2>&1; told adherence $? ) &
( composer eval control --ckpt scenes-64 --out control --scenes $scenes --pairs $pairs --again $again --steps $steps --guidance 2 --bfloat16 \
    --training-scenes $copies $device $large > control.txt 2>&1; told control $?
  packed control control ) &
( for g in 1 1.5 2 3 5; do
    composer eval control --ckpt scenes-64 --out at-$g --scenes $few --pairs 0 --again 0 --steps $steps --guidance $g --bfloat16 $device $large \
      >> over.txt 2>&1; told guidance $g $?
  done
  mkdir -p over && mv at-* over/ && packed over over ) &
( composer eval attribution --ckpt scenes-64 --scenes $few --out attribution $orders $device $large > attribution.txt 2>&1; told attribution $?
  composer eval composition --ckpt scenes-64 --out who --scenes $few --steps $steps --guidance 2 --sets none $device $large \
    --pairs sketch+color,depth+color,intensity+color,caption+color,caption+depth,semantics+sketch > who.txt 2>&1; told who wins $?
  packed attribution attribution who ) &
( python3 "$root/benchmarks/composition/score.py" --arm A=scenes-64 --out composed --pictures $composed --steps 10 --guidance 2 --bfloat16 \
    --device $where --sets caption "two pictures" "caption and depth" "two objects" > composed.txt 2>&1; told composition $?
  packed composed composed ) &
( composer scenes --out scenes -n 1 --val $val --size 128 --first 10000000 --max-objects 3 $device > scenes.txt 2>&1; told scenes $?
  ( fid --out fid-prior -n $n_prior --repeats $repeats --guidance 3 --prior scenes-prior --prior-steps 25 > fidp.txt 2>&1; told fid, prior $? ) &
  for g in $guidances; do
    fid --out fid-$g -n $n --repeats $repeats --guidance $g >> fid.txt 2>&1; told fid $g $?
    packed fid fid-*
  done
  wait; packed fid fid-* ) &
wait
tail -n 3 control.txt over.txt attribution.txt who.txt composed.txt fid.txt fidp.txt
grep -v ' pictures ' "$out/adherence.txt" | tail -n 4 | cut -c 1-1500
