#!/usr/bin/env bash
# Stages run alone: what they begin with must have been made with the same settings; one writer a folder; numbers as
# people write them; what the program says of itself and of a generator.
source "$(dirname "$0")/common.sh"
quick=(--set fit.autoencoder.steps=20 --set fit.denoiser.steps=20)
"$theta" run "$work/small.toml" --out "$work/run" "${quick[@]}" >/dev/null 2>"$work/err" || fail "a run failed: $(tail -n 1 "$work/err")"

expect 2 "zoo.lr: found 0.005, expected 0.01; \`theta zoo train\`" "$theta" fit "$work/small.toml" --out "$work/run" "${quick[@]}" --set zoo.lr=1e-2
expect 2 "fit.latent: found 8, expected 6; \`theta fit\`" "$theta" sample "$work/small.toml" --out "$work/run" "${quick[@]}" --set fit.latent=6
expect 2 "sample.count: found 12, expected 13; \`theta sample\`" "$theta" eval "$work/small.toml" --out "$work/run" "${quick[@]}" --set sample.count=13
expect 2 "data.pool: found 4, expected 7" "$theta" sample "$work/small.toml" --out "$work/run" "${quick[@]}" --set data.pool=7 --set 'network.widths=[16,6,10]'

# Two writers: the second says who is at work there. A lock of a killed process is none; readers need none.
"$theta" zoo train "$work/small.toml" --out "$work/busy" --set zoo.steps=2000000 --set zoo.warmup=0 >/dev/null 2>&1 &
busy=$!
for _ in $(seq 100); do [ -s "$work/busy/.lock" ] && break; sleep 0.1; done
expect 2 "process $busy is at work there" "$theta" run "$work/small.toml" --out "$work/busy"
kill -9 $busy
wait $busy 2>/dev/null
expect 0 "" "$theta" zoo train "$work/small.toml" --out "$work/busy"
[ ! -e "$work/busy/.lock" ] || fail "a lock was left behind"
expect 0 "" "$theta" report "$work/small.toml" --out "$work/run" "${quick[@]}"

expect 0 "" "$theta" plan "$work/small.toml" --set zoo.steps=4e2 --set zoo.networks=1e3
expect 2 "zoo.steps: found 0.5" "$theta" plan "$work/small.toml" --set zoo.steps=0.5
expect 2 "zoo.count: found 500, expected at most 400" "$theta" plan "$work/small.toml" --set zoo.count=500
expect 2 "zoo.count: found 402, expected at most 401" "$theta" plan "$work/small.toml" --set zoo.count=402 --set zoo.checkpoints=last
expect 1 "cannot be" "$theta" zoo train "$work/small.toml" --out /proc/none

"$theta" --version >"$work/out" || fail "--version failed"
grep -q 'theta [0-9].*commit' "$work/out" && grep -q 'g++' "$work/out" && grep -q 'CUDA' "$work/out" || fail "--version says $(cat "$work/out")"
"$theta" generator info "$work/run/generator.safetensors" >"$work/out" || fail "generator info failed"
grep -q 'makes networks of 370 parameters' "$work/out" && grep -q 'latent = 8' "$work/out" || fail "generator info says $(cat "$work/out")"
printf 'x' >"$work/none.safetensors"
expect 2 "none.safetensors" "$theta" generator info "$work/none.safetensors"

# Installed, it finds its data from any folder.
make -s -C "$(dirname "$theta")/.." install PREFIX="$work/prefix" >/dev/null 2>"$work/err" || fail "make install failed: $(tail -n 1 "$work/err")"
(cd "$work" && "$work/prefix/bin/theta" plan "$work/small.toml" >/dev/null 2>"$work/err") || fail "the installed program fails: $(cat "$work/err")"
(cd / && "$theta" plan "$work/small.toml" >/dev/null 2>"$work/err") || fail "the program fails in another folder: $(cat "$work/err")"
