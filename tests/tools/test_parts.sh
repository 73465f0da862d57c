#!/usr/bin/env bash
# A zoo in parts: in any order, beside one another, killed and continued, joined they are the zoo of one process, byte for
# byte; what is missing, twice or of another configuration is named.
source "$(dirname "$0")/common.sh"
few=(--set zoo.networks=22 --set zoo.wave=4 --set zoo.steps=120 --set zoo.count=3)
zoo() { "$theta" zoo "$1" "$work/small.toml" --out "$work/$2" "${few[@]}" "${@:3}"; }
quiet() { "$@" >/dev/null 2>"$work/err" || fail "$* failed: $(tail -n 1 "$work/err")"; }
quiet zoo train whole
quiet zoo train some --part 3/3
expect 2 "found 1 parts of 3, missing: 1, 2" zoo join some
zoo train some --part 1/3 >/dev/null 2>&1 &
first=$!
for i in 1 2 3; do
  killed_after $((RANDOM % 300 + 50)) "$theta" zoo train "$work/small.toml" --out "$work/some" "${few[@]}" --part 2/3 --threads $((i % 2 + 1))
done
wait $first || fail "a part beside another did not end"
quiet zoo train some --part 2/3
cp -r "$work/some" "$work/broken"
rm -f "$work/broken/parts/2-of-3/zoo/index.json"
expect 2 "missing: 2 (not complete)" zoo join broken
quiet zoo join some
diff -rq "$work/whole/zoo" "$work/some/zoo" >/dev/null || fail "parts that were joined are not the zoo of one process"
"$theta" zoo verify "$work/some/zoo" >/dev/null 2>&1 || fail "rows that were joined do not match their checksums"
grep -q "done before, skipped" <(zoo train some 2>&1) || fail "a zoo that was joined is not taken for the configuration's own"

mkdir "$work/other"
cp -r "$work/some/parts" "$work/other/parts"
cp -r "$work/other/parts/1-of-3" "$work/other/parts/again"
expect 2 "found part 1 twice" zoo join other
rm -r "$work/other/parts/again"
quiet zoo train other --part 1/2
expect 2 "found a part of " zoo join other
rm -r "$work/other/parts/1-of-2" "$work/other/parts/1-of-3"
cp -r "$work/some/parts/1-of-3" "$work/other/parts/"
expect 2 "other settings" zoo join other --set zoo.lr=1e-3
expect 2 "found part 1 of 3 of a zoo" "$theta" fit "$work/small.toml" --out "$work/some/parts/1-of-3" --set zoo.networks=22 --set zoo.wave=4 --set zoo.steps=120 --set zoo.count=3
expect 2 "expected a folder of its own" zoo train some/parts/1-of-3
expect 2 "found 7 parts, expected at most 6" zoo train some --part 1/7
for wrong in 0/3 4/3 3 x 1/3x -1/3 ""; do
  [ -z "$wrong" ] || expect 2 "expected a part and how many there are" zoo train some --part="$wrong"
done
expect 2 "found no folder" zoo join nothing

# On a trunk: every part trains it, and the zoo has it once.
mkdir "$work/data"
for c in 0 1; do
  for line in $(seq 90); do printf '%s\n' "$((RANDOM % 10)) $([ $c = 0 ] && echo the old red house || echo das alte rote haus) $line"; done >"$work/data/language$c.txt"
done
cat >"$work/text.toml" <<TOML
[data]
name = "text"
folder = "$work/data"
[network]
kind = "gpt"
widths = [8, 16, $(( 1 + $(cat "$work"/data/*.txt | sed 's/[0-9]/0/g' | fold -w 1 | sort -u | wc -l) ))] # characters, and the line's end
subset = ["blocks.*.mlp.*.weight"]
low_rank = 2
fixed_a = true
[network.gpt]
context = 8
blocks = 1
heads = 2
rotary = true
[zoo]
networks = 12
wave = 4
steps = 10
batch = 4
mixture = 0.5
trunk_steps = 40
TOML
quiet "$theta" zoo train "$work/text.toml" --out "$work/trunk_whole"
for part in 2/2 1/2; do quiet "$theta" zoo train "$work/text.toml" --out "$work/trunk_parts" --part $part; done
quiet "$theta" zoo join "$work/text.toml" --out "$work/trunk_parts"
diff -rq "$work/trunk_whole/zoo" "$work/trunk_parts/zoo" >/dev/null || fail "parts on a trunk that were joined are not the zoo of one process"
