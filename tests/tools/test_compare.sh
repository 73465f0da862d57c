#!/usr/bin/env bash
# theta compare, report and watch: any zoo is judged beside a run's groups, a page is one file that holds what was found,
# what is wrong is said before anything is written.
source "$(dirname "$0")/common.sh"
quick=(--set sample.count=12 --set fit.autoencoder.steps=60 --set fit.denoiser.steps=60 --set eval.networks=12 --set eval.references=20)
"$theta" run "$work/small.toml" "${quick[@]}" --out "$work/run" >/dev/null 2>"$work/err" || fail "the run failed: $(tail -n 1 "$work/err")"
[ -s "$work/run/report/page.html" ] && [ -s "$work/run/report/page.json" ] || fail "a run leaves no page"
for picture in loss_curves accuracy novelty memorised lines spectrum first_layer; do
  [ -s "$work/run/report/$picture.png" ] || fail "a run leaves no $picture.png"
done
browser=$(command -v chromium || command -v google-chrome || true)
python3 tests/tools/page.py "$work/run/report/page.html" --browser "$browser" >"$work/page.txt" 2>&1 || fail "the page: $(head -n 3 "$work/page.txt")"

# The run's own training networks, and its samples, as somebody else's zoos.
cp "$work/run/eval.json" "$work/before.json"
"$theta" compare "$work/small.toml" "${quick[@]}" --out "$work/run" --zoo "seen=$work/run/zoo" --zoo "again=$work/run/samples" --twin "$work/run/samples" \
  >"$work/out" 2>"$work/err" || fail "compare failed: $(tail -n 1 "$work/err")"
python3 - "$work" <<'PYTHON' || fail "compare does not say what it should"
import json, sys
groups = {g["name"]: g for g in json.load(open(sys.argv[1] + "/run/eval.json"))["groups"]}
before = {g["name"]: g for g in json.load(open(sys.argv[1] + "/before.json"))["groups"]}
assert {"seen", "again", "generated"} <= set(groups)
assert groups["generated"]["accuracy"] == before["generated"]["accuracy"] == groups["again"]["accuracy"]
assert groups["generated"]["agreement"]["value"] < 1e-6  # with itself
assert groups["seen"]["role"] == "generated" and min(x for x in groups["seen"]["values"]["nearest_l2"]) < 1e-3
assert all(g["verdict"] and any(r.startswith("not known") for r in g["reasons"]) for g in groups.values() if g["role"] == "generated")
out = open(sys.argv[1] + "/out").read()
assert "\nseen: " in out and "not known: distances are plain" in out
PYTHON
grep -q "done before" <("$theta" compare "$work/small.toml" "${quick[@]}" --out "$work/run" --zoo "seen=$work/run/zoo" --zoo "again=$work/run/samples" --twin "$work/run/samples" 2>&1) ||
  fail "the same comparison is made twice"
# Without a generator: two zoos alone.
"$theta" compare "$work/small.toml" --set "zoo.from=$work/run/zoo" --set eval.networks=12 --set eval.references=20 --out "$work/zoos" --zoo "mine=$work/run/samples" \
  >"$work/out" 2>"$work/err" || fail "compare without samples failed: $(tail -n 1 "$work/err")"
grep -q "^mine: " "$work/out" || fail "a zoo alone is given no verdict"

"$theta" report "$work/run" "$work/run/report/page.json" --page "$work/both.html" >/dev/null 2>"$work/err" || fail "a page of two runs failed: $(tail -n 1 "$work/err")"
python3 tests/tools/page.py "$work/both.html" --browser "$browser" >"$work/page.txt" 2>&1 || fail "the page of two: $(head -n 3 "$work/page.txt")"
"$theta" report "$work/small.toml" "${quick[@]}" --out "$work/run" >/dev/null 2>"$work/err" || fail "report of a configuration failed: $(tail -n 1 "$work/err")"
"$theta" watch "$work/run" --once >"$work/watch.txt" || fail "watch --once failed"
grep -q "fit.denoiser mse: .* at step 60" "$work/watch.txt" || fail "watch does not show the denoiser's curve"

"$theta" report "$work/run" --serve 0 2>"$work/serve.txt" &
server=$!
for i in $(seq 100); do grep -q "127.0.0.1" "$work/serve.txt" 2>/dev/null && break; sleep 0.1; done
python3 - "$work" <<'PYTHON' || fail "the page is not served as it should be"
import re, sys, urllib.error, urllib.request
url = re.search(r"http://127\.0\.0\.1:\d+/", open(sys.argv[1] + "/serve.txt").read()).group()
page = urllib.request.urlopen(url).read().decode()
assert "fetch('/stamp')" in page and "application/json" in page
assert urllib.request.urlopen(url + "stamp").read().decode() in page
try:
    urllib.request.urlopen(url + "../etc/passwd")
    raise SystemExit("served another file")
except urllib.error.HTTPError as e:
    assert e.code == 404
PYTHON
kill -INT $server
wait $server || fail "serving does not end well"

expect 2 "expected NAME=FOLDER" "$theta" compare "$work/small.toml" --out "$work/none" --zoo "$work/run/zoo"
expect 2 "found no config.toml" "$theta" report "$work"
expect 2 "found no page's data" "$theta" report "$work/run/eval.json"
expect 2 "found no metrics.jsonl" "$theta" watch "$work"
echo '{"a": ' >"$work/broken.json"
expect 2 "is not JSON" "$theta" report "$work/broken.json"
expect 2 "index.json" "$theta" compare "$work/small.toml" "${quick[@]}" --out "$work/run" --zoo "none=$work/none"
"$theta" zoo train "$work/small.toml" --set 'network.widths=[49,5,10]' --out "$work/narrow" >/dev/null 2>&1
expect 2 "parameters, expected" "$theta" compare "$work/small.toml" "${quick[@]}" --out "$work/run" --zoo "narrow=$work/narrow/zoo"
[ ! -e "$work/none" ] || fail "a refused comparison left its folder"
