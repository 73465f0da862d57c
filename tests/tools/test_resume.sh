#!/usr/bin/env bash
# Killed (kill -9) and interrupted (Ctrl-C) at any moment, then continued, a run ends with the same bytes.
source "$(dirname "$0")/common.sh"

# Long enough to be hit in every stage.
long=(--set zoo.steps=4000 --set zoo.count=400 --set fit.autoencoder.steps=1500 --set fit.denoiser.steps=3000)
start=$(date +%s%N)
"$theta" run "$work/small.toml" --out "$work/whole" "${long[@]}" >/dev/null 2>/dev/null || fail "the undisturbed run failed"
milliseconds=$((($(date +%s%N) - start) / 1000000))

same() {
  for file in generator.safetensors eval.json zoo samples; do
    diff -rq "$work/whole/$file" "$1/$file" >/dev/null || fail "$2: $file differs from an undisturbed run"
  done
}

# kill -9 at ten moments spread over the run; each continues what the last one left.
for i in 1 2 3 4 5 6 7 8 9 10; do
  killed_after $(((RANDOM % 400 + 100) * milliseconds / 1000)) "$theta" run "$work/small.toml" --out "$work/killed" "${long[@]}"
done
"$theta" run "$work/small.toml" --out "$work/killed" "${long[@]}" >/dev/null 2>/dev/null || fail "the killed run did not continue"
same "$work/killed" "after kill -9"

# Ctrl-C: saves at once, ends with 130, and continues from there.
interrupted=0
for i in 1 2 3 4 5 6; do
  "$theta" run "$work/small.toml" --out "$work/stopped" "${long[@]}" >/dev/null 2>"$work/err" &
  pid=$!
  pause=$((milliseconds / 6 + RANDOM % 200))
  sleep "$((pause / 1000)).$(printf %03d $((pause % 1000)))"
  kill -INT $pid 2>/dev/null
  wait $pid
  status=$?
  case $status in
  130) interrupted=$((interrupted + 1)) ;;
  0) break ;;
  *) fail "Ctrl-C ended with $status: $(tail -n 1 "$work/err")" ;;
  esac
done
[ $interrupted -ge 2 ] || fail "only $interrupted of the interrupted runs ended with 130"
"$theta" run "$work/small.toml" --out "$work/stopped" "${long[@]}" >/dev/null 2>/dev/null || fail "the interrupted run did not continue"
same "$work/stopped" "after Ctrl-C"

# So do generators whose state is in files: p-diff's streamed layers, drafts of the subspace and of windows.
again() {
  local name=$1
  shift
  "$theta" run "$work/small.toml" --out "$work/$name.whole" "$@" >/dev/null 2>"$work/err" || fail "$name: the undisturbed run failed: $(tail -n 1 "$work/err")"
  for i in 1 2 3 4 5 6; do
    killed_after $((RANDOM % 900 + 100)) "$theta" run "$work/small.toml" --out "$work/$name.killed" "$@"
  done
  "$theta" run "$work/small.toml" --out "$work/$name.killed" "$@" >/dev/null 2>"$work/err" || fail "$name: the killed run did not continue: $(tail -n 1 "$work/err")"
  for file in generator.safetensors eval.json zoo samples; do
    diff -rq "$work/$name.whole/$file" "$work/$name.killed/$file" >/dev/null || fail "$name after kill -9: $file differs from an undisturbed run"
  done
  [ -z "$(find "$work/$name.killed" -name '.*' -type f)" ] || fail "$name left files: $(find "$work/$name.killed" -name '.*' -type f)"
}
again streamed --set fit.stream=file --set fit.tile=16 --set fit.autoencoder.steps=300
again held --set fit.stream=memory --set fit.moments=8bit --set fit.autoencoder.steps=300
again subspace --set fit.generator=subspace --set fit.subspace.align=true --set fit.subspace.width=32 --set fit.subspace.steps=2000 --set fit.subspace.batch=8
again windows --set fit.generator=windows --set fit.windows.chunk=32 --set fit.windows.window=4 --set fit.windows.state=32 --set fit.windows.width=32 --set fit.windows.steps=1500 --set fit.windows.batch=4 --set sample.solver_steps=10
