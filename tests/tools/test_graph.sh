#!/usr/bin/env bash
# The graph generator end to end: deep networks, killed and continued to the same bytes; several architectures with one
# generator, and some that it has never seen; what it refuses.
source "$(dirname "$0")/common.sh"
cat >"$work/graph.toml" <<'TOML'
seed = 3
[data]
pool = 4
[network]
widths = [49, 4, 3, 10]
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
generator = "graph"
[fit.graph]
width = 32
edge_width = 8
layers = 2
heads = 2
steps = 1200
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
"$theta" run "$work/graph.toml" --out "$work/whole" >"$work/table" 2>"$work/err" || fail "a run failed: $(tail -n 1 "$work/err")"
accuracy() { awk -v group="$1" '$1 == group { print int($3); exit }' "$work/table"; }
grep -q "^good and new at once: at least .* from all 40 training networks" "$work/table" || fail "the table has no joint curve"
[ "$(accuracy generated)" -ge $(($(accuracy gaussian) + 5)) ] || fail "generated networks reach $(accuracy generated) %, the Gaussian baseline $(accuracy gaussian) %"

# Killed at moments of its training, it ends with the same bytes.
mkdir -p "$work/cut"
cp -r "$work/whole/zoo" "$work/cut/zoo"
for after in 150 400; do
  killed_after $after "$theta" run "$work/graph.toml" --out "$work/cut"
done
"$theta" run "$work/graph.toml" --out "$work/cut" "${quick[@]}" >/dev/null 2>&1 || fail "a killed run does not continue"
cmp -s "$work/whole/generator.safetensors" "$work/cut/generator.safetensors" || fail "a killed run ends with another generator"
cmp -s "$work/whole/samples/shard-00000.safetensors" "$work/cut/samples/shard-00000.safetensors" || fail "a killed run ends with other samples"

# Several architectures, what they are worth as starts, and one that the generator does not see.
family=(--set 'network.widths=[[49, 4, 10], [49, 3, 3, 10]]' --set 'network.unseen=[[49, 5, 10]]' --set fit.graph.steps=300
  --set fit.graph.weigh_by=tensors --set zoo.networks=100 "${quick[@]}" --set finetune.networks=20 --set finetune.every=50)
"$theta" run "$work/graph.toml" --out "$work/family" "${family[@]}" >"$work/table" 2>"$work/err" || fail "a family's run failed: $(tail -n 1 "$work/err")"
grep -q '^49-5-10  *20 .*has not seen' "$work/table" || fail "no row of the unseen architecture: $(tail -n 5 "$work/table")"
for name in 49-4-10 49-3-3-10 49-5-10; do
  "$theta" zoo verify "$work/family/zoo/$name" >/dev/null || fail "the zoo of $name is not whole"
  [ -s "$work/family/$name/finetune.json" ] || fail "nothing is known of $name as a start"
done
"$theta" generator info "$work/family/generator.safetensors" | grep -c 'has learned' | grep -qx 2 || fail "generator info does not name two architectures"
grep -q '"seen": false' "$work/family/zoo/family.json" || fail "family.json does not say what is unseen"
before=$(cat "$work/family"/*/samples/*.safetensors | cksum)
mkdir "$work/family2"
cp -r "$work/family/zoo" "$work/family2/zoo"
killed_after 200 "$theta" run "$work/graph.toml" --out "$work/family2" "${family[@]}"
"$theta" run "$work/graph.toml" --out "$work/family2" "${family[@]}" >/dev/null 2>&1 || fail "a killed family does not continue"
[ "$before" = "$(cat "$work/family2"/*/samples/*.safetensors | cksum)" ] || fail "a killed family ends with other samples"

# What counts in the loss makes another generator.
mkdir "$work/elements"
cp -r "$work/family/zoo" "$work/elements/zoo"
"$theta" fit "$work/graph.toml" --out "$work/elements" "${family[@]}" --set fit.graph.weigh_by=elements >/dev/null 2>"$work/err" || fail "a fit failed: $(tail -n 1 "$work/err")"
cmp -s "$work/family/generator.safetensors" "$work/elements/generator.safetensors" && fail "weigh_by changes nothing"

# Told ranks, each network's among those of its own architecture; one that is not seen is asked for them too.
mkdir "$work/ranks"
cp -r "$work/family/zoo" "$work/ranks/zoo"
"$theta" run "$work/graph.toml" --out "$work/ranks" "${family[@]}" --set 'fit.graph.conditions=["rank.validation_loss"]' --set 'sample.prompt=["rank.validation_loss=0.1..0.9"]' \
  --set sample.points=2 --set sample.guidance=1.5 >"$work/table" 2>"$work/err" || fail "a family that is told ranks failed: $(tail -n 1 "$work/err")"
[ "$(grep -c '^told rank.validation_loss' "$work/table")" -eq 3 ] || fail "not all architectures are told ranks: $(cat "$work/table")"
grep -q '"name": *"rank.validation_loss"' "$work/ranks/49-5-10/prompts.json" || fail "prompts.json does not say what was told"

# Without end, and told what to make.
"$theta" run "$work/graph.toml" --out "$work/stream" --set fit.graph.source=stream --set fit.graph.steps=60 --set 'fit.graph.conditions=["validation_loss"]' \
  --set 'sample.prompt=["validation_loss=0.9"]' "${quick[@]}" >"$work/table" 2>"$work/err" || fail "a stream's run failed: $(tail -n 1 "$work/err")"
grep -q '^generated  *20 ' "$work/table" || fail "no table of networks from a stream: $(cat "$work/table")"

refused() { # EXPECTED ARGUMENTS...: exits with 2 and one line that says so
  local expected=$1
  shift
  "$theta" "$@" >"$work/out" 2>"$work/err"
  local status=$?
  [ $status -eq 2 ] || fail "$* exits with $status, expected 2"
  grep -qF -- "$expected" "$work/err" || fail "$* says '$(cat "$work/err")', expected '$expected'"
}
refused "transformer cannot learn more" run "$work/graph.toml" --out "$work/no" --set fit.generator=transformer --set 'network.widths=[[49,4,10],[49,5,10]]'
refused "found 49-4-10 twice" run "$work/graph.toml" --out "$work/no" --set 'network.widths=[[49,4,10],[49,4,10]]'
refused "found an empty list" run "$work/graph.toml" --out "$work/no" --set 'network.widths=[]'
refused "found 50 inputs" plan "$work/graph.toml" --set 'network.widths=[[49,4,10]]' --set 'network.unseen=[[50,4,10]]'
refused "weigh_by" plan "$work/graph.toml" --set fit.graph.weigh_by=layers
[ ! -e "$work/no" ] || fail "a refused run left a folder"
