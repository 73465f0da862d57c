#!/usr/bin/env bash
# The first Ctrl-C ends every subcommand that can last, with status 130.
source "$(dirname "$0")/common.sh"

# stops [STATUS] command...: Ctrl-C, a moment after the command has begun to listen, ends it with 130, or STATUS. What it is given to do would
# last for many such moments, and end with 0.
stops() {
  local expected=130
  case $1 in [0-9]*) expected=$1; shift ;; esac
  "$@" >/dev/null 2>"$work/err" &
  local pid=$! listens=0
  until [ $((16#${listens:-0} & 2)) -ne 0 ] || ! kill -0 $pid 2>/dev/null; do
    listens=$(awk '/^SigCgt/ { print substr($2, length($2) - 3) }' /proc/$pid/status 2>/dev/null)
  done
  sleep 0.3
  kill -INT $pid 2>/dev/null
  wait $pid
  local status=$?
  [ $status -eq $expected ] || fail "$*: Ctrl-C ended it with $status: $(tail -n 1 "$work/err")"
}

"$theta" run "$work/small.toml" --out "$work/run" >/dev/null 2>"$work/err" || fail "a run failed: $(tail -n 1 "$work/err")"
config=("$work/small.toml" --out "$work/run")
stops "$theta" run "$work/small.toml" --out "$work/other" --set zoo.networks=100000
stops "$theta" zoo train "$work/small.toml" --out "$work/other" --set zoo.networks=100000
stops "$theta" fit "${config[@]}" --set fit.autoencoder.steps=1000000
stops "$theta" fit "${config[@]}" --set fit.generator=subspace --set fit.subspace.steps=1000000
stops "$theta" eval "${config[@]}" --set eval.distance=assigned --set eval.networks=200
stops "$theta" finetune "${config[@]}" --set finetune.networks=12 --set finetune.every=1
stops "$theta" compare "${config[@]}" --zoo mine="$work/run/zoo"
stops "$theta" sample "${config[@]}" --set sample.count=1000000
printf '%s\n' 'base = "small.toml"' 'vary = ["seed=1 | seed=2"]' >"$work/study.toml"
stops "$theta" study "$work/study.toml" --out "$work/study"
stops "$theta" wall "$work/small.toml" --memory 64GiB
stops "$theta" bench
stops 0 "$theta" watch "$work/run" # what lasts until Ctrl-C ends well by it
stops 0 "$theta" report "$work/run" --serve

# Files of networks, out and in.
"$theta" zoo train "$work/small.toml" --out "$work/many" --set zoo.networks=5000 --set zoo.steps=1 --set zoo.checkpoints=last --set zoo.count=1 >/dev/null 2>"$work/err" ||
  fail "a zoo of many failed: $(tail -n 1 "$work/err")"
stops "$theta" zoo export "$work/many/zoo" "$work/files"
"$theta" zoo export "$work/many/zoo" "$work/all" >/dev/null 2>"$work/err" || fail "an export failed: $(tail -n 1 "$work/err")"
stops "$theta" zoo import "$work/all" "$work/back"

# Pictures of fields.
printf '%s\n' '[data]' 'pool = 2' '[network]' 'kind = "field"' 'widths = [2, 16, 1]' '[zoo]' 'networks = 4000' 'wave = 500' 'steps = 2' >"$work/fields.toml"
"$theta" zoo train "$work/fields.toml" --out "$work/fields" >/dev/null 2>"$work/err" || fail "fields failed: $(tail -n 1 "$work/err")"
stops "$theta" render "$work/fields/zoo" --count 4000 --side 200 --png "$work/fields.png"
[ ! -e "$work/fields.png" ] || fail "a stopped picture was written"
