#!/usr/bin/env bash
# Fields of images through every stage: from one base, learned with their classes, generated, drawn and judged; killed and
# continued it is the same; what cannot be drawn is refused in one line.
source "$(dirname "$0")/common.sh"
cat >"$work/fields.toml" <<'TOML'
seed = 7
[data]
pool = 4
[network]
kind = "field"
widths = [2, 8, 8, 1]
activation = "sine"
initialisation = "siren"
omega = 12
[zoo]
networks = 300
wave = 100
steps = 40
batch = 49
lr = 5e-3
schedule = "cosine"
checkpoints = "last"
count = 1
held_out = 0.6
start = "base"
base_rounds = 60
base_networks = 16
[fit]
generator = "subspace"
[fit.subspace]
power = 0.5
conditions = ["class:10"]
width = 32
layers = 1
steps = 300
batch = 16
[sample]
count = 40
guidance = 2
prompt = ["class=0..9"]
points = 10
solver_steps = 10
[eval]
networks = 40
references = 90
TOML
"$theta" run "$work/fields.toml" --out "$work/whole" >"$work/out" 2>"$work/err" || fail "fields did not run: $(tail -n 1 "$work/err")"
for group in training held_out generated noise_0.01 average_16 gaussian gaussian_full; do
  grep -q "^$group " "$work/out" || fail "the table has no line for $group"
done
for picture in generated nearest fields; do
  [ "$(head -c 4 "$work/whole/report/$picture.png" | tail -c 3)" = PNG ] || fail "report drew no $picture.png"
done
for column in psnr class signal; do
  "$theta" zoo info "$work/whole/zoo" --json | grep -q "\"$column\"" || fail "the zoo has no column $column"
done
grep -qE '^generated: (new|remembers|broken)' "$work/out" || fail "fields got no verdict"
cp -r "$work/whole" "$work/judged"
"$theta" compare "$work/fields.toml" --out "$work/judged" --zoo "others=$work/whole/samples" --twin "$work/whole/samples" --set eval.baselines=false \
  >"$work/out" 2>"$work/err" || fail "other zoos of fields were not judged: $(tail -n 1 "$work/err")"
line() { grep "^$1 " "$work/out" | cut -c 15-; }
[ -n "$(line generated)" ] && [ "$(line generated)" = "$(line others)" ] || fail "the samples, judged as another zoo, have other figures"
grep -A 4 '"agreement"' "$work/judged/eval.json" | grep -q '"value": 0.0' || fail "a generator that is its own twin does not agree with itself"
grep -q '^noise_0.01 ' "$work/out" && fail "baselines were judged that were not asked for"
for i in 1 2 3 4 5; do
  killed_after $((RANDOM % 1200 + 100)) "$theta" run "$work/fields.toml" --out "$work/killed"
done
"$theta" run "$work/fields.toml" --out "$work/killed" >/dev/null 2>"$work/err" || fail "the killed run did not continue: $(tail -n 1 "$work/err")"
for file in generator.safetensors eval.json zoo samples report/generated.png; do
  diff -rq "$work/whole/$file" "$work/killed/$file" >/dev/null || fail "after kill -9: $file differs from an undisturbed run"
done

"$theta" render "$work/whole/samples" --rows 0,3,10..19 --side 30 --png "$work/some.png" >"$work/out" || fail "render failed"
grep -q "12 fields" "$work/out" || fail "render did not say what it drew: $(cat "$work/out")"
[ "$(head -c 4 "$work/some.png" | tail -c 3)" = PNG ] || fail "render wrote no PNG"
expect 2 "numbers below 40" "$theta" render "$work/whole/samples" --rows 40
expect 2 "found 'x'" "$theta" render "$work/whole/samples" --rows 1,x
expect 2 "ascending" "$theta" render "$work/whole/samples" --rows 9..3
expect 2 "index.json" "$theta" render "$work/whole"
"$theta" zoo train "$work/small.toml" --out "$work/mlp" 2>/dev/null || fail "zoo train failed"
expect 2 "expected fields of 2 coordinates" "$theta" render "$work/mlp/zoo"
expect 2 "expected own or shared" "$theta" zoo train "$work/small.toml" --out "$work/no" --set zoo.start=base
expect 2 "network.omega" "$theta" zoo train "$work/small.toml" --out "$work/no" --set network.omega=15
expect 2 "expected top, bottom" "$theta" sample "$work/fields.toml" --out "$work/whole" --set sample.complete=middle
expect 2 "cannot be guided" "$theta" plan "$work/small.toml" --set sample.complete=top
expect 2 "cannot be watched" "$theta" plan "$work/small.toml" --set sample.watch=3
expect 2 "zoo.stop_psnr" "$theta" zoo train "$work/small.toml" --out "$work/no" --set zoo.stop_psnr=20
expect 2 "twice eval.networks" "$theta" eval "$work/fields.toml" --out "$work/whole" --set eval.networks=90

# Samples on their way, walks, completions.
"$theta" sample "$work/fields.toml" --out "$work/whole" --set sample.watch=3 --set sample.complete=top --set sample.prompt=[] --set sample.guidance=1 --set sample.between=4 \
  >"$work/out" 2>"$work/err" || fail "sample failed: $(tail -n 1 "$work/err")"
grep -q "^completed: " "$work/out" || fail "a completion was not judged"
[ -s "$work/whole/completion.json" ] || fail "no completion.json"
"$theta" zoo info "$work/whole/trajectory" | grep -q "63" || fail "a way of 10 steps has not 21 rows a sample"
"$theta" render "$work/whole/trajectory" --gif "$work/way.gif" --frames "$work/way" >"$work/out" || fail "render --gif failed"
[ "$(head -c 6 "$work/way.gif")" = GIF89a ] || fail "render wrote no GIF"
[ "$(ls "$work/way" | wc -l)" = 11 ] || fail "a way of 10 steps has $(ls "$work/way" | wc -l) frames, expected 11"
"$theta" render "$work/whole/samples" --rows 0..8 --gif "$work/walk.gif" | grep -q "9 frames" || fail "a walk is not a frame a row"
expect 2 "fields of images" "$theta" render "$work/whole/samples" --meshes "$work/none"

# Fields that end early, and adapted ones: interrupted and continued they are the same.
for way in stop_psnr=28 low_rank=2; do
  train=("$theta" zoo train "$work/fields.toml" --set "zoo.$way")
  [ $way = low_rank=2 ] && train+=(--set zoo.steps=600) || train+=(--set zoo.steps=9000 --set zoo.lr=1e-5) # a quarter of them in the mean
  "${train[@]}" --out "$work/$way.whole" 2>/dev/null || fail "$way did not run"
  for moment in 0.2 0.3 0.4; do
    timeout -s INT $moment "${train[@]}" --out "$work/$way.cut" >/dev/null 2>&1
  done
  killed_after 300 "${train[@]}" --out "$work/$way.cut"
  "${train[@]}" --out "$work/$way.cut" 2>/dev/null || fail "$way did not continue"
  diff -rq "$work/$way.whole/zoo" "$work/$way.cut/zoo" >/dev/null || fail "$way: interrupted and continued it is another zoo"
done

# Signals as they are, with the same generator.
"$theta" run "$work/fields.toml" --out "$work/pixels" --set network.kind=pixels --set network.widths=[49,1] --set network.activation=relu \
  --set network.initialisation=pytorch --set network.omega=30 --set zoo.start=own --set zoo.steps=1 >"$work/out" 2>"$work/err" || fail "pixels did not run: $(tail -n 1 "$work/err")"
grep -q "^generated " "$work/out" || fail "pixels were not judged"
expect 2 "expected 49 and 1" "$theta" zoo train "$work/fields.toml" --out "$work/no" --set network.kind=pixels --set network.widths=[50,1] --set network.omega=30 --set zoo.start=own
