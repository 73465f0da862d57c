#!/usr/bin/env bash
# Networks in the form in which they run: from zoo to table in every form, the bytes of a network that any reader of
# safetensors finds, samples in the form, codes learned in every way, killed and continued; exported and imported; what
# does not go together is refused.
source "$(dirname "$0")/common.sh"
cat >"$work/small.toml" <<'END'
seed = 7
[data]
pool = 4
[network]
widths = [49, 6, 10]
[zoo]
networks = 24
wave = 8
steps = 60
batch = 32
lr = 1e-2
[fit]
generator = "transformer"
[fit.transformer]
width = 16
layers = 1
heads = 2
steps = 40
batch = 8
[sample]
count = 6
solver_steps = 4
[eval]
networks = 6
references = 6
hessians = 0
END
run() { "$theta" "$1" "$work/small.toml" --out "$work/$2" "${@:3}"; }
quiet() { "$@" >/dev/null 2>"$work/err" || fail "$* failed: $(tail -n 1 "$work/err")"; }
# Bytes of a network: what the header of a shard says of the streams of its form.
stored() { # FOLDER
  local length
  length=$(od -An -tu8 -N8 "$1/shard-00000.safetensors" | tr -d ' ')
  tail -c +9 "$1/shard-00000.safetensors" | head -c "$length" | grep -oE '"(numbers|mask|codes\.[a-z0-9]+)":\{[^}]*\}' |
    sed -E 's/.*"dtype":"([A-Z0-9]+)".*"shape":\[[0-9]+,([0-9]+)\].*/\1 \2/' |
    awk '{ sum += $2 * ($1 == "F32" ? 4 : $1 == "BF16" ? 2 : 1) } END { print sum }'
}
forms="int8 int4 ternary sparse 2:4"
for form in $forms; do
  out=form-${form/:/of}
  quiet run run "$out" --set "network.form=\"$form\""
  "$theta" zoo info "$work/$out/zoo" 2>/dev/null | grep -q "\"kind\":\"$form\"" || fail "$form: a zoo does not say its form"
  "$theta" zoo info "$work/$out/samples" 2>/dev/null | grep -q "\"kind\":\"$form\"" || fail "$form: samples do not say their form"
  for zoo in zoo samples; do
    "$theta" zoo verify "$work/$out/$zoo" >/dev/null 2>&1 || fail "$form: rows of $zoo do not match their checksums"
  done
  grep -q "what networks store: $(stored "$work/$out/zoo") bytes each" <(run eval "$out" --set "network.form=\"$form\"" --set eval.lines=3 2>&1) ||
    fail "$form: the table does not say the bytes that a shard has of a network, $(stored "$work/$out/zoo")"
done
[ "$(stored "$work/form-ternary/zoo")" -lt "$(stored "$work/form-int4/zoo")" ] || fail "ternary networks are no smaller than int4 ones"

# Codes in every way; a fit that is killed goes on to the same bytes.
for codes in ordinal categorical; do
  settings=(--set 'network.form="ternary"' --set fit.transformer.steps=400 --set "fit.codes=\"$codes\"" --set "zoo.from=\"$work/form-ternary/zoo\"")
  quiet run fit "$codes-whole" "${settings[@]}"
  for i in 1 2; do
    killed_after $((RANDOM % 300 + 50)) "$theta" fit "$work/small.toml" --out "$work/$codes-killed" "${settings[@]}"
  done
  quiet run fit "$codes-killed" "${settings[@]}"
  cmp -s "$work/$codes-whole/generator.safetensors" "$work/$codes-killed/generator.safetensors" || fail "$codes: a fit that was killed ends with other bytes"
  quiet run sample "$codes-whole" "${settings[@]}" --set 'sample.solver="ddim"' --set sample.ddim_eta=1.0 --set sample.round_below=0.4
  "$theta" zoo info "$work/$codes-whole/samples" 2>/dev/null | grep -q '"kind":"ternary"' || fail "$codes: samples are in no form"
done

# Exported and imported they are plain networks that compute the same.
quiet "$theta" zoo export "$work/form-ternary/zoo" "$work/exported"
quiet "$theta" zoo import "$work/exported" "$work/imported" --config "$work/small.toml"
quiet "$theta" zoo align "$work/form-ternary/zoo" "$work/aligned"
quiet "$theta" zoo align --balance "$work/form-ternary/zoo" "$work/balanced"
"$theta" zoo info "$work/aligned" 2>/dev/null | grep -q '"kind":"ternary"' || fail "units in another order are not in their form"
! "$theta" zoo info "$work/balanced" 2>/dev/null | grep -q '"kind":"ternary"' || fail "balanced units say a form that they are not in"
sed 's/^\[zoo\]/form = "ternary"\n&/' "$work/small.toml" >"$work/formed.toml"
expect 2 "import: --config: network.form: found ternary" "$theta" zoo import "$work/exported" "$work/formed" --config "$work/formed.toml"

expect 2 "form: found 'int3', expected floats" run run none --set 'network.form="int3"'
expect 2 "fit.codes: found networks whose form is floats" run run none --set 'fit.codes="ordinal"'
expect 2 "fit.codes: found networks whose form is sparse" run run none --set 'fit.codes="ordinal"' --set 'network.form="sparse"'
expect 2 "fit.codes: found categorical, expected weights or ordinal for subspace" run run none --set 'network.form="int4"' --set 'fit.codes="categorical"' --set 'fit.generator="subspace"'
expect 2 "sample.round_below: found 0.5, expected 0 of networks without a form" run run none --set sample.round_below=0.5
expect 2 "network.form: found ternary with several activations" run run none --set 'network.form="ternary"' --set 'network.activation=["relu", "tanh"]'
expect 2 "network.kind: found coded, expected the kind of whole networks" run run none --set 'network.kind="coded"'
expect 2 "zoo.prune_from: found 1" run run none --set 'network.form="sparse"' --set zoo.prune_from=1.0
