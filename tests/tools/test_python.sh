#!/usr/bin/env bash
# The README's lines read a shard with numpy alone.
source "$(dirname "$0")/common.sh"
for python in python3 /usr/bin/python3; do
  "$python" -c 'import numpy' 2>/dev/null && break
  python=""
done
[ -n "$python" ] || { echo "   skipped: no python3 with numpy here"; exit 77; }

"$theta" zoo train "$work/small.toml" --out "$work/run" 2>/dev/null || fail "zoo train failed"
lines=$(sed -n '/^```python/,/^```/p' README.md | grep -v '```')
[ "$(wc -l <<<"$lines")" = 3 ] || fail "the README has no three lines of Python"
cat >"$work/read.py" <<PYTHON
$(sed "s|runs/out/demo/zoo|$work/run/zoo|" <<<"$lines")
theta, run, accuracy = column("theta", "<f4"), column("run", "<i8"), column("test_accuracy", "<f4")
assert theta.shape == (40, 370) and run.tolist()[:11] == [0] * 10 + [1]
assert abs(theta).max() < 100 and abs(theta).mean() > 1e-3 and 0.3 < accuracy.mean() < 1
PYTHON
"$python" "$work/read.py" || fail "the README's lines do not read a shard"
