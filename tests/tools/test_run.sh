#!/usr/bin/env bash
# A whole small run: what it leaves, that finished stages are skipped, and that --json prints facts.
source "$(dirname "$0")/common.sh"

"$theta" run "$work/small.toml" --out "$work/run" >/dev/null 2>"$work/err" || fail "run failed: $(tail -n 1 "$work/err")"
for left in config.toml metrics.jsonl log.txt zoo/index.json generator.safetensors samples/index.json eval.json \
  report/loss_curves.png report/accuracy.png report/first_layer.png; do
  [ -s "$work/run/$left" ] || fail "the run left no $left"
done
[ -z "$(find "$work/run" -name '.*' -type f)" ] || fail "the run left temporary files: $(find "$work/run" -name '.*' -type f)"
"$theta" run "$work/small.toml" --out "$work/run" >/dev/null 2>"$work/err" || fail "the second run failed"
[ "$(grep -c 'done before, skipped' "$work/err")" = 4 ] || fail "finished stages were not skipped"
"$theta" run "$work/run/config.toml" --out "$work/run" >/dev/null 2>"$work/err" || fail "the resolved configuration does not run"
[ "$(grep -c 'done before, skipped' "$work/err")" = 4 ] || fail "the resolved configuration is another run"
"$theta" run "$work/small.toml" --out "$work/run" --set sample.count=13 --set eval.baselines=true >/dev/null 2>"$work/err" || fail "a changed run failed"
[ "$(grep -c 'done before, skipped' "$work/err")" = 2 ] || fail "a changed sample stage did not keep zoo and fit alone"

"$theta" --profile "$work/trace.json" run "$work/small.toml" --out "$work/traced" >/dev/null 2>"$work/err" || fail "a traced run failed"
for file in zoo/shard-00000.safetensors generator.safetensors samples/shard-00000.safetensors; do
  cmp -s "$work/traced/$file" "$work/run/$file" || [ $file = samples/shard-00000.safetensors ] || fail "$file depends on the trace"
done
"$theta" plan "$work/small.toml" --what-if fit.compact=true --png "$work/plan.png" >"$work/plan.txt" || fail "plan --what-if failed"
grep -q '^fit.compact=true .*→' "$work/plan.txt" || fail "plan --what-if says nothing"
[ -s "$work/plan.png" ] || fail "plan --png draws nothing"
"$theta" wall "$work/small.toml" --memory 64MiB,1GiB --json >"$work/wall.json" || fail "wall --json failed"
"$theta" plan "$work/small.toml" --json >"$work/plan.json" || fail "plan --json failed"
"$theta" device --json >"$work/device.json" || fail "device --json failed"
"$theta" zoo info "$work/run/zoo" --json >"$work/info.json" || fail "zoo info --json failed"
python3 - "$work" <<'PYTHON' || fail "the JSON does not hold what it should"
import json, sys
work = sys.argv[1]
plan = json.load(open(work + "/plan.json"))
assert [p["name"] for p in plan["plans"]] == ["zoo", "fit.autoencoder", "fit.encode", "fit.denoiser", "sample", "sample.scores", "eval", "eval.quality", "eval.curvature"]
assert plan["peak_device_bytes"] == max(p["device_bytes"] for p in plan["plans"])
assert json.load(open(work + "/device.json"))["devices"][0]["name"] == "cpu"
info = json.load(open(work + "/info.json"))
assert info["rows"] == 60 and info["parameters"] == 49 * 6 + 6 + 60 + 10 and info["columns"]["run"]["distinct"] == 6
groups = {g["name"]: g for g in json.load(open(work + "/run/eval.json"))["groups"]}
assert list(groups) == ["training", "held_out", "generated", "noise_0.01", "noise_0.03", "noise_0.1", "average_16", "gaussian", "pairs", "along_runs"]
for g in groups.values():
    assert set(g["memorised"]) == {"value", "low", "high", "n"} and g["memorised"]["n"] == g["networks"] == 10
    for what in ("accuracy", "loss", "max_iou", "nearest_l2", "ece", "hull", "norm", "barrier"):
        assert set(g[what]) == {"mean", "std", "min", "max", "low", "high", "n"}
    assert g["role"] in ("training", "held_out") or (g["verdict"] and g["reasons"])
trace = json.load(open(work + "/trace.json"))
assert {"zoo", "fit", "sample", "eval", "report", "step", "conv1d_forward", "memory"} <= {e["name"] for e in trace}
walls = json.load(open(work + "/wall.json"))["walls"]
assert {w["generator"] for w in walls} >= {"", "p-diff", "transformer", "subspace", "windows"}
for w in walls: # more memory, larger networks
    assert all(v["parameters"] >= w["parameters"] for v in walls if v["generator"] == w["generator"] and v["changes"] == w["changes"] and v["memory"] > w["memory"])
assert all(w["no_wall"] for w in walls if w["generator"] == "windows" and w["memory"] > 1e9)
memory = [json.loads(l) for l in open(work + "/run/metrics.jsonl") if "peak_bytes" in l]
assert {m["stage"] for m in memory} == {"zoo.memory", "fit.memory", "sample.memory", "eval.memory"}
for m in memory: # the plan, and what a stage has beside it whatever its size: mapped shards, threads, columns
    assert m["peak_bytes"] <= m["planned_bytes"] + (32 << 20), m
for line in open(work + "/run/metrics.jsonl"):
    assert {"stage", "step"} <= set(json.loads(line))
steps = [json.loads(l)["step"] for l in open(work + "/run/metrics.jsonl") if json.loads(l)["stage"] == "fit.denoiser"]
assert steps == sorted(set(steps)) and steps[-1] == 300
PYTHON
for threads in 1 3; do
  "$theta" --threads $threads run "$work/small.toml" --out "$work/run$threads" >/dev/null 2>"$work/err" || fail "a run on $threads threads failed"
done
for file in zoo/shard-00000.safetensors generator.safetensors samples/shard-00000.safetensors; do
  cmp -s "$work/run1/$file" "$work/run3/$file" || fail "$file depends on the number of threads"
done
expect 2 "--threads" "$theta" run "$work/small.toml" --threads 0

expect 0 "" "$theta" bench --device cpu --only '^softmax_xent|^sgd' --json "$work/bench.json"
grep -q '"name": "softmax_xent_200000x10"' "$work/bench.json" || fail "the benchmark's record lacks a case"
grep -q '"copy_GB_per_s"' "$work/bench.json" || fail "the benchmark's record lacks the ceilings"
