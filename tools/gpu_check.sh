#!/usr/bin/env bash
# The whole truth about one GPU box, offline: builds, runs every test with cuda against cpu, runs compute-sanitizer over
# a part of them where it is installed, runs the demo on the GPU, and measures. Writes one record to runs/records/ and a
# summary; exit status 0 when everything held. `make gpu-check` calls it.
set -u
cd "$(dirname "$0")/.."
begin=$SECONDS failed=0 lines=() checks=""

# note NAME SECONDS RESULT DETAIL: one line of the summary and of the record
note() {
  lines+=("$(printf '%-34s %4ss  %-8s %s' "$1" "$2" "$3" "$4")")
  checks+="${checks:+, }\"$1\": {\"seconds\": $2, \"result\": \"$3\", \"detail\": \"${4//\"/}\"}"
  echo "${lines[-1]}"
  [ "$3" != FAILED ] || failed=1
}

# step NAME LIMIT command...: runs it, its output in a log; the last line of that is the detail.
logs=build/gpu-check
mkdir -p "$logs" runs/records
step() {
  local name=$1 limit=$2 from=$SECONDS log
  log=$logs/${name// /-}.log
  shift 2
  timeout "$limit" "$@" >"$log" 2>&1
  local status=$?
  local detail
  detail=$(grep -a 'test cases:\|ERROR SUMMARY\|RACECHECK SUMMARY' "$log" | tail -n 1 | tr -s ' =' ' ' | tr -d '\033')
  [ -n "$detail" ] || detail=$(tail -n 1 "$log" | cut -c1-90)
  if [ $status -eq 0 ]; then note "$name" $((SECONDS - from)) passed "$detail"; else note "$name" $((SECONDS - from)) FAILED "$detail"; fi
  return $status
}

command -v nvidia-smi >/dev/null && gpu=$(nvidia-smi --query-gpu=name,compute_cap --format=csv,noheader | head -n 1) || gpu=""
if [ -z "$gpu" ]; then
  echo "gpu-check: no GPU answers here (nvidia-smi), expected one" >&2
  exit 2
fi
arch=$(sed 's/.*, *//; s/\.//' <<<"$gpu")
[ "$arch" = 90 ] && arch=90a
echo "gpu-check: $gpu"

if step build 400 make CUDA=1 "CUDA_ARCH=$arch" build/theta build/cuda/run-tests; then
  step tests 300 build/cuda/run-tests
  sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
  if [ -n "$sanitizer" ]; then
    part=(-sf='*test_activation*,*test_conv1d*,*test_layernorm*,*test_batchnorm*,*test_softmax*,*test_gemm*,*test_reduce*,*test_counting*,*_training*,*test_convert*,*test_attention*,*test_modulate*,*test_diffusion*,*test_features*,*test_units*,*test_head_norm*')
    step memcheck 150 "$sanitizer" --tool memcheck --error-exitcode 9 build/cuda/run-tests "${part[@]}"
    step racecheck 150 "$sanitizer" --tool racecheck --error-exitcode 9 build/cuda/run-tests "${part[@]}"
  else
    note compute-sanitizer 0 absent "not installed here"
  fi
  rm -rf build/gpu-check/demo build/gpu-check/fields build/gpu-check/fashion build/gpu-check/bodies
  step demo 120 ./build/theta run runs/demo.toml --device cuda --out build/gpu-check/demo
  step fields 120 ./build/theta run runs/fields_demo.toml --device cuda --out build/gpu-check/fields
  step fashion 200 ./build/theta zoo train runs/fields_fashion.toml --device cuda --out build/gpu-check/fashion
  step bodies 300 ./build/theta run runs/fields_3d_small.toml --device cuda --out build/gpu-check/bodies
  rm -rf build/gpu-check/transformer
  step transformer 200 ./build/theta run runs/transformer_small.toml --device cuda --out build/gpu-check/transformer \
    --set zoo.networks=32768 --set fit.transformer.steps=20000 --set fit.transformer.arithmetic=bf16
  if [ "${SCALE:-0}" = 1 ]; then # G.pt's zoo, 2.1 million checkpoints: minutes, and 34 GB of disk
    rm -rf build/gpu-check/zoo
    step zoo_gpt_mnist_scale 1200 ./build/theta zoo train runs/zoo_gpt_mnist.toml --device cuda --out build/gpu-check/zoo
  fi
  step bench 200 ./build/theta bench --device cuda --json "$logs/bench.json"
fi

record=runs/records/$(date -u +%F)-$(sed 's/,.*//; s/[^A-Za-z0-9]\+/-/g' <<<"$gpu" | tr 'A-Z' 'a-z')-gpu-check.json
if [ -s "$logs/bench.json" ]; then
  # The benchmark's record is one object; what was checked joins it.
  { sed '$d' "$logs/bench.json"; printf ',\n "checks": {%s}\n}\n' "$checks"; } >"$record"
else
  printf '{"device": "%s", "checks": {%s}}\n' "$gpu" "$checks" >"$record"
fi

echo
echo "== gpu-check: $gpu, $((SECONDS - begin)) s"
printf '%s\n' "${lines[@]}"
[ -e "$logs/bench.log" ] && grep -E '^ceilings|^(layernorm|adamw|batchnorm|bias_act|softmax|pdiff|zoo)' "$logs/bench.log" | cut -c1-110
grep -a '^generated\|^training' "$logs/demo.log" 2>/dev/null | head -n 2 | cut -c1-80
echo "record: $record"
exit $failed
