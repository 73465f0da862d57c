#!/usr/bin/env bash
# A study: every combination is run into a folder of its own, continued where it was stopped, and told in one table.
source "$(dirname "$0")/common.sh"
cat >"$work/sizes.toml" <<'TOML'
base = "small.toml"
set = ["sample.count=10", "fit.autoencoder.steps=60"]
vary = ["fit.latent=4 | fit.latent=8 & fit.denoiser.steps=100", "seed=1|seed=2"]
figures = ["generated.accuracy.mean", "held_out.memorised.value", "generated.nothing"]
TOML
runs="fit.latent_4_seed_1 fit.latent_4_seed_2 fit.latent_8_fit.denoiser.steps_100_seed_1 fit.latent_8_fit.denoiser.steps_100_seed_2"
killed_after 2500 "$theta" study "$work/sizes.toml" --out "$work/study"
"$theta" study "$work/sizes.toml" --out "$work/study" >"$work/out" 2>"$work/err" || fail "the study did not run: $(tail -n 1 "$work/err")"
tail -n 5 "$work/out" >"$work/table"
head -n 1 "$work/table" | grep -q "^run .*generated.accuracy.mean" || fail "the study ends with no table of five lines"
for run in $runs; do
  [ -s "$work/study/$run/eval.json" ] || fail "$run was not run"
  grep -q "^$run .*-$" "$work/table" || fail "the table does not tell $run, or what there is not"
  grep -q "\"name\": \"$run\"" "$work/study/study.json" || fail "study.json does not tell $run"
done
grep -q "latent = 4" "$work/study/fit.latent_4_seed_1/config.toml" || fail "an override was not applied"
grep -q "steps = 60" "$work/study/fit.latent_4_seed_1/config.toml" || fail "an override of all was not applied"
"$theta" run "$work/small.toml" --set sample.count=10 --set fit.autoencoder.steps=60 --set fit.latent=4 --set seed=2 --out "$work/alone" >/dev/null 2>&1
diff "$work/alone/eval.json" "$work/study/fit.latent_4_seed_2/eval.json" >/dev/null || fail "a run of a study is not the run alone"
"$theta" study "$work/sizes.toml" --out "$work/study" >"$work/again" 2>/dev/null || fail "a done study did not end well"
diff "$work/out" "$work/again" >/dev/null || fail "a done study is told otherwise"

study() { printf '%s\n' "$@" >"$work/bad.toml"; }
study 'vary = ["seed=1"]'
expect 2 "base: found nothing" "$theta" study "$work/bad.toml" --out "$work/none"
study 'base = "small.toml"' 'varry = ["seed=1"]'
expect 2 "did you mean 'vary'" "$theta" study "$work/bad.toml" --out "$work/none"
study 'base = "small.toml"' 'vary = ["seed"]'
expect 2 "expected KEY=VALUE" "$theta" study "$work/bad.toml" --out "$work/none"
study 'base = "small.toml"' 'vary = ["seed=1 | seed=1"]'
expect 2 "two runs named seed_1" "$theta" study "$work/bad.toml" --out "$work/none"
study 'base = "small.toml"' 'vary = ["seed=1 | zoo.stpes=3"]'
expect 2 "did you mean 'zoo.steps'" "$theta" study "$work/bad.toml" --out "$work/none"
[ ! -e "$work/none" ] || fail "a refused study left its folder"
