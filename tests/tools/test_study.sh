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

# What training tells of its samples: every tenth step, in numbers and as a picture; a continued study tells the same.
cat >"$work/times.toml" <<'TOML'
base = "small.toml"
set = ["fit.generator=transformer", "fit.transformer.width=16", "fit.transformer.heads=2", "fit.transformer.steps=30", "fit.transformer.warmup=0",
  "fit.transformer.probe_every=10", "sample.count=20", "sample.solver_steps=4", "eval.distance=assigned"]
vary = ["seed=1 | seed=2"]
figures = ["generated.accuracy.mean"]
curves = ["accuracy", "memorised"]
TOML
"$theta" study "$work/times.toml" --out "$work/times" >"$work/out" 2>"$work/err" || fail "a study of times did not run: $(tail -n 1 "$work/err")"
python3 - "$work/times" <<'PY' || fail "study.json does not tell what training told"
import json, sys
runs = json.load(open(sys.argv[1] + "/study.json"))["runs"]
for run in runs:
    curves = run["curves"]
    assert curves["step"] == [10, 20, 30], curves
    told = [json.loads(l) for l in open(sys.argv[1] + "/" + run["name"] + "/metrics.jsonl") if '"fit.probe"' in l]
    for name in ("accuracy", "memorised"):
        assert curves[name] == [t[name] for t in told] and all(0 <= x <= 1 for x in curves[name]), (name, curves, told)
    assert all(t["memorised_low"] <= t["memorised"] <= t["memorised_high"] and t["nearest_l2"] > 0 for t in told), told
assert runs[0]["curves"]["accuracy"] != runs[1]["curves"]["accuracy"]
PY
[ "$(head -c 4 "$work/times/curves.png" | tail -c 3)" = PNG ] || fail "a study of times draws no picture"
[ "$(grep -c '^seed_[12]  ' "$work/out")" -ge 6 ] || fail "the table does not tell figures and both curves: $(cat "$work/out")"

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
