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
references = 100
distance = "assigned"
TOML
"$theta" run "$work/transformer.toml" --out "$work/whole" >"$work/table" 2>"$work/err" || fail "a run failed: $(tail -n 1 "$work/err")"
grep -q '^generated  *40 ' "$work/table" || fail "no table: $(cat "$work/table")"
# Learned, not average: in so short a training about a quarter of the images, where a Gaussian stays at chance, a tenth.
accuracy() { awk -v group="$1" '$1 == group { print int($3) }' "$work/table"; }
[ "$(accuracy generated)" -ge $(($(accuracy gaussian) + 8)) ] || fail "generated networks reach $(accuracy generated) %, the Gaussian baseline $(accuracy gaussian) %"

# Killed at moments of its training, and stopped by Ctrl-C once, it ends with the same bytes.
mkdir -p "$work/cut"
cp -r "$work/whole/zoo" "$work/cut/zoo"
for after in 150 400 700; do
  killed_after $after "$theta" run "$work/transformer.toml" --out "$work/cut"
done
"$theta" run "$work/transformer.toml" --out "$work/cut" >/dev/null 2>&1 || fail "a killed run does not continue"
cmp -s "$work/whole/generator.safetensors" "$work/cut/generator.safetensors" || fail "a killed run ends with another generator"
diff -rq "$work/whole/samples" "$work/cut/samples" >/dev/null || fail "a killed run ends with other samples"

for tokens in chunk layer; do
  "$theta" run "$work/transformer.toml" --out "$work/$tokens" --set fit.transformer.tokens=$tokens --set fit.transformer.steps=20 >/dev/null 2>"$work/err" ||
    fail "tokens = $tokens failed: $(tail -n 1 "$work/err")"
done
expect 2 "expected one of neuron, chunk, layer" "$theta" run "$work/transformer.toml" --out "$work/none" --set fit.transformer.tokens=words
expect 2 "expected a divisor of width" "$theta" plan "$work/transformer.toml" --set fit.transformer.heads=5
expect 2 "expected p-diff or transformer" "$theta" plan "$work/transformer.toml" --set fit.generator=gan
expect 2 "perceptrons of one hidden layer" "$theta" plan "$work/transformer.toml" --set network.widths=[49,4,4,10]
[ ! -e "$work/none" ] || fail "a refused run left its folder"
finish
