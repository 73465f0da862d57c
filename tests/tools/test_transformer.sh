#!/usr/bin/env bash
# The weight transformer end to end: every tokenizer, killed and continued to the same bytes, and what it refuses.
source "$(dirname "$0")/common.sh"
cat >"$work/transformer.toml" <<'TOML'
seed = 3
[data]
pool = 4
[network]
widths = [49, 4, 10]
[zoo]
networks = 300
wave = 64
steps = 200
batch = 32
lr = 2e-2
optimizer = "adamw"
weight_decay = 0.5
schedule = "cosine"
[fit]
generator = "transformer"
[fit.transformer]
width = 32
layers = 2
heads = 2
chunk = 70
steps = 1500
batch = 32
warmup = 20
[sample]
count = 40
solver_steps = 10
[eval]
networks = 40
references = 40
distance = "assigned"
TOML
"$theta" run "$work/transformer.toml" --out "$work/whole" >"$work/table" 2>"$work/err" || fail "a run failed: $(tail -n 1 "$work/err")"
grep -q '^generated  *40 ' "$work/table" || fail "no table: $(cat "$work/table")"
# Learned, not average: in so short a training about a quarter of the images, where a Gaussian stays at chance, a tenth.
accuracy() { awk -v group="$1" '$1 == group { print int($3); exit }' "$work/table"; }
[ "$(accuracy generated)" -ge $(($(accuracy gaussian) + 8)) ] || fail "generated networks reach $(accuracy generated) %, the Gaussian baseline $(accuracy gaussian) %"

# Killed at moments of its training, and stopped by Ctrl-C once, it ends with the same bytes.
mkdir -p "$work/cut"
cp -r "$work/whole/zoo" "$work/cut/zoo"
for after in 150 400 700; do
  killed_after $after "$theta" run "$work/transformer.toml" --out "$work/cut"
done
"$theta" run "$work/transformer.toml" --out "$work/cut" "${quick[@]}" >/dev/null 2>&1 || fail "a killed run does not continue"
cmp -s "$work/whole/generator.safetensors" "$work/cut/generator.safetensors" || fail "a killed run ends with another generator"
diff -rq "$work/whole/samples" "$work/cut/samples" >/dev/null || fail "a killed run ends with other samples"

"$theta" run "$work/transformer.toml" --out "$work/align" "${quick[@]}" --set fit.transformer.align=true --set fit.transformer.steps=100 >/dev/null 2>"$work/err" ||
  fail "align failed: $(tail -n 1 "$work/err")"
for tokens in chunk layer; do
  "$theta" run "$work/transformer.toml" --out "$work/$tokens" "${quick[@]}" --set fit.transformer.tokens=$tokens --set fit.transformer.steps=20 >/dev/null 2>"$work/err" ||
    fail "tokens = $tokens failed: $(tail -n 1 "$work/err")"
done
# A zoo without end: killed and continued, stopped by Ctrl-C and continued, the same bytes.
stream=(--set fit.transformer.source=stream --set fit.transformer.draws=4 --set fit.transformer.steps=700)
"$theta" run "$work/transformer.toml" --out "$work/stream" "${stream[@]}" "${quick[@]}" >"$work/table" 2>"$work/err" ||
  fail "a stream failed: $(tail -n 1 "$work/err")"
grep -q '^generated  *20 ' "$work/table" || fail "no table of a stream: $(cat "$work/table")"
mkdir -p "$work/cut_stream"
cp -r "$work/stream/zoo" "$work/cut_stream/zoo"
for after in 400 900; do
  killed_after $after "$theta" run "$work/transformer.toml" --out "$work/cut_stream" "${stream[@]}"
done
stopped_in fit.transformer "$work/cut_stream" "$theta" run "$work/transformer.toml" --out "$work/cut_stream" "${stream[@]}"
[ -e "$work/cut_stream/.generator.state.safetensors" ] || [ -e "$work/cut_stream/generator.safetensors" ] ||
  fail "a stopped stream left nothing to continue from"
"$theta" run "$work/transformer.toml" --out "$work/cut_stream" "${stream[@]}" "${quick[@]}" >/dev/null 2>"$work/err" ||
  fail "a stopped stream does not continue: $(tail -n 1 "$work/err")"
cmp -s "$work/stream/generator.safetensors" "$work/cut_stream/generator.safetensors" || fail "a stopped stream ends with another generator"

# Told a loss and a start: by modulation, and as G.pt is, by tokens. What is told is followed and reported.
told=(--set network.widths=[49,8,10] --set zoo.checkpoints=log --set zoo.count=6 --set zoo.networks=600 --set zoo.steps=300 --set 'fit.transformer.conditions=["validation_loss", "start.validation_loss"]'
  --set fit.transformer.start=true --set 'sample.prompt=["validation_loss=0.8..2.2"]' --set sample.points=4
  --set fit.transformer.steps=2500 --set fit.transformer.width=64 --set fit.transformer.batch=64)
"$theta" run "$work/transformer.toml" --out "$work/told" "${told[@]}" "${quick[@]}" --set eval.networks=80 --set sample.count=80 --set sample.solver_steps=20 >"$work/table" 2>"$work/err" ||
  fail "a told run failed: $(tail -n 1 "$work/err")"
r2=$(awk '/^R²/ { print int(100 * $NF) }' "$work/table")
[ "${r2:-0}" -ge 20 ] || fail "what was told is not followed: R² of $r2 %"
grep -q '^one step from unseen starts' "$work/table" || fail "no report of the step from unseen starts"
"$theta" sample "$work/transformer.toml" --out "$work/told" "${told[@]}" --set sample.count=80 --set sample.guidance=2 --set sample.solver=ddim >/dev/null 2>"$work/err" ||
  fail "guided samples failed: $(tail -n 1 "$work/err")"
"$theta" run "$work/transformer.toml" --out "$work/told_stream" "${told[@]}" "${quick[@]}" --set fit.transformer.source=stream --set fit.transformer.draws=4 \
  --set fit.transformer.steps=100 --set sample.count=40 >"$work/table" 2>"$work/err" ||
  fail "pairs of a stream failed: $(tail -n 1 "$work/err")"
grep -q '^one step from unseen starts' "$work/table" || fail "no report of pairs of a stream"
"$theta" run "$work/transformer.toml" --out "$work/gpt" "${told[@]}" "${quick[@]}" --set fit.transformer.tokens=chunk --set fit.transformer.own_coders=true \
  --set fit.transformer.condition_by=tokens --set fit.transformer.objective=x0 --set fit.transformer.noise=linear \
  --set fit.transformer.residual=true --set fit.transformer.shuffle=true --set fit.transformer.normalizer=global \
  --set fit.transformer.balance=false --set fit.transformer.rescale=0.2 --set fit.transformer.accumulate=2 --set fit.transformer.recompute=true --set fit.transformer.qk_norm=true \
  --set fit.transformer.steps=200 --set fit.transformer.probe_every=100 --set sample.solver=ddpm >"$work/table" 2>"$work/err" ||
  fail "G.pt's options failed: $(tail -n 1 "$work/err")"
grep -q '^R²' "$work/table" || fail "no alignment of G.pt's options"
[ "$(grep -c '"fit.probe"' "$work/gpt/metrics.jsonl")" -eq 2 ] || fail "expected two looks at samples in training"

# Channels are units: balanced, shuffled or brought to those of one network, with one hidden layer and with several.
for options in align=true shuffle=true; do
  "$theta" run "$work/transformer.toml" --out "$work/cnn_${options%=*}" "${quick[@]}" --set network.kind=cnn --set network.channels=[4,3] --set network.kernels=[2,2] \
    --set network.pools=[2,1] --set network.widths=[5,10] --set fit.transformer.steps=50 --set fit.transformer.$options >"$work/table" 2>"$work/err" ||
    fail "channels with $options failed: $(tail -n 1 "$work/err")"
done
"$theta" run "$work/transformer.toml" --out "$work/cnn" "${quick[@]}" --set network.kind=cnn --set network.channels=[4] --set network.kernels=[3] --set network.pools=[2] \
  --set network.widths=[10] --set fit.transformer.steps=50 >"$work/table" 2>"$work/err" || fail "one layer of channels failed: $(tail -n 1 "$work/err")"
grep -q '^generated  *20 ' "$work/table" || fail "no table of channels: $(cat "$work/table")"

expect 2 "expected none: the generator has no conditions" "$theta" sample "$work/transformer.toml" --out "$work/whole" --set 'sample.prompt=["lr=1"]'
expect 2 "expected NAME=VALUE" "$theta" plan "$work/transformer.toml" --set 'sample.prompt=["validation_loss"]'
expect 2 "found no column" "$theta" fit "$work/transformer.toml" --out "$work/whole" --set 'fit.transformer.conditions=["beauty"]'
expect 2 "expected false but with start = true" "$theta" plan "$work/transformer.toml" --set fit.transformer.residual=true
expect 2 "expected several for a generator that starts" "$theta" fit "$work/transformer.toml" --out "$work/whole" --set fit.transformer.start=true
expect 2 "expected otherwise but with shuffle = true and balance = false" "$theta" plan "$work/transformer.toml" --set fit.transformer.rescale=0.5
expect 2 "expected tanh or sine" "$theta" plan "$work/transformer.toml" --set fit.transformer.flip=true --set fit.transformer.shuffle=true --set fit.transformer.balance=false
expect 2 "expected several for a generator that starts" "$theta" fit "$work/transformer.toml" --out "$work/whole" --set fit.transformer.start=true --set fit.transformer.source=stream
expect 2 "expected one of neuron, chunk, layer" "$theta" run "$work/transformer.toml" --out "$work/none" --set fit.transformer.tokens=words
expect 2 "expected a divisor of width" "$theta" plan "$work/transformer.toml" --set fit.transformer.heads=5
expect 2 "expected p-diff, transformer, subspace, windows or graph" "$theta" plan "$work/transformer.toml" --set fit.generator=gan
expect 0 "" "$theta" plan "$work/transformer.toml" --set network.widths=[49,4,4,10] # distances of deep networks are matched
[ ! -e "$work/none" ] || fail "a refused run left its folder"
