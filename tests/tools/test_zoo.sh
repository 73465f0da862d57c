#!/usr/bin/env bash
# A zoo of 2,048 networks, killed ten times at random, ends with the same bytes; a full disk ends the work with one line
# and leaves every published shard whole.
source "$(dirname "$0")/common.sh"
zoo=(--set network.widths=[49,4,10] --set zoo.wave=64 --set zoo.steps=100 --set zoo.checkpoints=last --set zoo.count=1)
start=$(date +%s%N)
"$theta" zoo train "$work/small.toml" --out "$work/whole" --networks 2048 "${zoo[@]}" 2>/dev/null || fail "zoo train failed"
milliseconds=$((($(date +%s%N) - start) / 1000000))
"$theta" zoo info "$work/whole/zoo" --json >"$work/info" || fail "zoo info failed"
grep -q '"rows": 2048' "$work/info" || fail "zoo info does not say 2048 rows"

for i in 1 2 3 4 5 6 7 8 9 10; do
  killed_after $(((RANDOM % 60 + 10) * milliseconds / 100)) \
    "$theta" zoo train "$work/small.toml" --out "$work/killed" --networks 2048 "${zoo[@]}"
done
"$theta" zoo train "$work/small.toml" --out "$work/killed" --networks 2048 "${zoo[@]}" 2>/dev/null || fail "the killed zoo did not continue"
diff -rq "$work/whole/zoo" "$work/killed/zoo" >/dev/null || fail "after kill -9 the zoo differs from an undisturbed one"
"$theta" zoo info "$work/whole/zoo" >/dev/null || fail "zoo info failed"
[ "$(head -c 4 "$work/whole/zoo.png" | tail -c 3)" = PNG ] || fail "zoo info drew no picture"

# A disk that has no room is refused at the start; one that fills up on the way leaves whole shards.
mkdir "$work/disk"
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=2600k tmpfs "$work/disk" 2>/dev/null; then
  at_end() { umount "$work/disk"; }
  expect 1 "free on its disk" "$theta" zoo train "$work/small.toml" --out "$work/disk/run" --networks 2048 "${zoo[@]}"
  "$theta" zoo train "$work/small.toml" --out "$work/disk/run" --networks 1024 "${zoo[@]}" --set zoo.steps=2000 >/dev/null 2>"$work/err" &
  pid=$!
  for i in $(seq 100); do
    [ -e "$work/disk/run/zoo/shard-00000.safetensors" ] && break
    sleep 0.1
  done
  head -c 4000000 /dev/zero >"$work/disk/other" 2>/dev/null # somebody else fills it
  wait $pid
  status=$?
  [ $status -eq 1 ] || fail "a full disk ended with $status, expected 1: $(tail -n 1 "$work/err")"
  [ -e "$work/disk/run/zoo/shard-00000.safetensors" ] || fail "the disk was full before the first shard"
  grep -q "No space left" "$work/err" || fail "a full disk was not named: $(tail -n 1 "$work/err")"
  [ -e "$work/disk/run/zoo/.shard-00001.safetensors.tmp" ] && fail "a full disk left half a shard"
  rm "$work/disk/other"
  "$theta" zoo train "$work/small.toml" --out "$work/disk/run" --networks 1024 "${zoo[@]}" --set zoo.steps=2000 2>/dev/null || fail "the zoo did not continue once there was room"
  "$theta" zoo verify "$work/disk/run/zoo" >/dev/null || fail "a shard of the full disk is damaged"
else
  echo "   not tried: a full disk (needs root and mount)"
fi
