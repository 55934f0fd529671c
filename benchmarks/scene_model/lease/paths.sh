# Read by the scripts beside it, from the checkout's root, with WORK in $work: where Python finds what `long.sh pack` brought along.
if [ -d .lease ]; then
  site=$work/site
  [ -d "$site" ] || python3 -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --target "$site" .lease/*.whl
  PYTHONPATH=$site:$PWD/src:$(for p in plugins/*/src; do printf %s "$PWD/$p:"; done)$PWD/.lease${PYTHONPATH:+:$PYTHONPATH}
fi
export PYTHONPATH="${PYTHONPATH:-}" PYTHONUNBUFFERED=1
