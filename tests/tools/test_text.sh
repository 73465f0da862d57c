#!/usr/bin/env bash
# Language models through every stage: a trunk and its branches, told by mixtures, about a straight line, judged, written by;
# killed and continued they are the same; what cannot be is refused in one line.
source "$(dirname "$0")/common.sh"
mkdir "$work/data"
words=("the house is red and old" "das haus ist rot und alt" "koci maly dom")
RANDOM=5
for c in 0 1 2; do
  read -ra of <<<"${words[$c]}"
  for line in $(seq 70); do
    for word in $(seq 11); do printf '%s ' "${of[RANDOM % ${#of[@]}]}"; done
    echo "${of[RANDOM % ${#of[@]}]}"
  done >"$work/data/language$c.txt"
done
cat >"$work/text.toml" <<TOML
seed = 3
[data]
name = "text"
folder = "$work/data"
[network]
kind = "gpt"
widths = [8, 16, 18]
activation = "gelu"
subset = ["blocks.*.attn.*.weight", "blocks.*.mlp.*.weight"]
low_rank = 2
fixed_a = true
[network.gpt]
context = 12
blocks = 1
heads = 2
[zoo]
networks = 60
wave = 16
steps = 30
batch = 4
lr = 2e-2
held_out = 0.6
start = "shared"
mixture = 0.5
mixture_most = 0.8
pure = 2
trunk_steps = 200
trunk_batch = 8
trunk_lr = 5e-3
[fit]
generator = "subspace"
about_line = true
[fit.subspace]
conditions = ["share_language0", "share_language1", "share_language2"]
width = 16
layers = 1
steps = 200
batch = 8
[sample]
count = 12
solver_steps = 4
prompt = ["held_out"]
[eval]
networks = 12
references = 30
TOML
"$theta" run "$work/text.toml" --out "$work/whole" >"$work/out" 2>"$work/err" || fail "text did not run: $(tail -n 1 "$work/err")"
for group in training held_out generated retrieval ridge ridge_and_rest average_16 gaussian told_others; do
  grep -q "^$group " "$work/out" || fail "the table has no line for $group"
done
grep -qE '^held_out .* 100 \(100 to 100\) .* 6 of 6 ' "$work/out" || fail "held-out networks do not gain what they gain, or not first what they read"
grep -qE '^retrieval .* 1\.00 \(' "$work/out" || fail "copies are not called remembered"
grep -q "straight line tells" "$work/err" || grep -q "straight line tells" "$work/out" || fail "fit does not say what a straight line tells"
for picture in bits written; do
  [ "$(head -c 4 "$work/whole/report/$picture.png" | tail -c 3)" = PNG ] || fail "report drew no $picture.png"
done
"$theta" zoo info "$work/whole/zoo" >"$work/info" 2>&1
for what in "lora_B.weight" share_language0 test_bits validation_bits; do grep -q "$what" "$work/info" || fail "zoo info does not tell of $what"; done
grep -q lora_A "$work/info" && fail "a fixed factor is a part of rows"

# What networks write: letters of the alphabet, the same again, of samples too.
write() { "$theta" write "$@" 2>"$work/err" || fail "write $* failed: $(cat "$work/err")"; }
write "$work/whole/zoo" --row 3 --start "The h" --characters 40 >"$work/first"
write "$work/whole/zoo" --row 3 --start "The h" --characters 40 >"$work/again"
cmp -s "$work/first" "$work/again" || fail "a network writes something else the second time"
grep -q "^the h" "$work/first" || fail "what is written does not begin as was asked"
write "$work/whole/samples" --rows 2 --characters 30 --temperature 0 >"$work/first"
grep -q "^-- row 1" "$work/first" || fail "write --rows does not say which row it is"
expect 2 "--row: found 60, expected less than 60" "$theta" write "$work/whole/zoo" --row 60
expect 2 "index.json" "$theta" write "$work/whole"
expect 2 "no beginning" "$theta" write "$work/whole/zoo" --start ""
expect 2 "" "$theta" write "$work/whole/zoo" --characters 0
cp -r "$work/whole/samples" "$work/alone"
expect 2 "expected --trunk" "$theta" write "$work/alone"
write "$work/alone" --trunk "$work/whole/zoo" --characters 5 >/dev/null

for i in 1 2 3 4 5; do
  killed_after $((RANDOM % 900 + 100)) "$theta" run "$work/text.toml" --out "$work/killed" --threads $((i % 2 + 1))
done
"$theta" run "$work/text.toml" --out "$work/killed" >/dev/null 2>"$work/err" || fail "the killed run did not continue: $(tail -n 1 "$work/err")"
for file in generator.safetensors line.safetensors eval.json zoo samples; do
  diff -rq "$work/whole/$file" "$work/killed/$file" >/dev/null || fail "after kill -9: $file differs from an undisturbed run"
done

# Told by example: about what looking at held-out networks' text says, or a text of one's own.
by_example=(--set fit.shown=3 --set sample.prompt=[] --set fit.subspace.drop=1)
shown() { "$theta" "$1" "$work/text.toml" --out "$2" "${by_example[@]}" "${@:3}"; }
cp -r "$work/whole" "$work/shown"
shown run "$work/shown" >"$work/out" 2>"$work/err" || fail "told by example it did not run: $(tail -n 1 "$work/err")"
for group in generated looked looked_and_rest trained_on_shown ridge; do
  grep -q "^$group " "$work/out" || fail "told by example: the table has no line for $group"
done
rm -rf "$work/killed"
cp -r "$work/whole" "$work/killed"
for i in 1 2 3 4; do
  killed_after $((RANDOM % 500 + 50)) "$theta" run "$work/text.toml" --out "$work/killed" "${by_example[@]}" --threads $((i % 2 + 1))
done
shown run "$work/killed" >/dev/null 2>"$work/err" || fail "told by example: the killed run did not continue: $(tail -n 1 "$work/err")"
for file in generator.safetensors looking.safetensors eval.json zoo samples; do
  diff -rq "$work/shown/$file" "$work/killed/$file" >/dev/null || fail "told by example, after kill -9: $file differs from an undisturbed run"
done
head -c 400 "$work/data/language1.txt" >"$work/mine.txt"
shown sample "$work/shown" --set "sample.shown='$work/mine.txt'" >"$work/out" 2>"$work/err" || fail "a text of one's own is not taken: $(tail -n 1 "$work/err")"
write "$work/shown/samples" --row 0 --characters 20 >/dev/null
before=$(cat "$work/shown/samples/index.json")
tail -c 400 "$work/data/language2.txt" >"$work/mine.txt"
shown sample "$work/shown" --set "sample.shown='$work/mine.txt'" >"$work/out" 2>"$work/err" || fail "another text is not taken: $(tail -n 1 "$work/err")"
[ "$before" != "$(cat "$work/shown/samples/index.json")" ] || fail "another text of the same name is taken for the one before"
expect 2 "nothing says beside which networks" shown eval "$work/shown" --set "sample.shown='$work/mine.txt'"
expect 2 "sample.shown: found no file" shown sample "$work/shown" --set "sample.shown='$work/none.txt'"
echo hi >"$work/short.txt"
expect 2 "expected less than the 3 characters" shown sample "$work/shown" --set "sample.shown='$work/short.txt'"
expect 2 "fit.shown: found 3, expected fit.about_line" "$theta" plan "$work/text.toml" --set fit.shown=3 --set fit.about_line=false
expect 2 "fit.without: found 'klingon', expected classes of text: language0" "$theta" plan "$work/text.toml" --set "fit.without=['klingon']"
expect 2 "begin as one trunk" "$theta" plan "$work/text.toml" --set fit.shown=3 --set sample.prompt=[] --set network.fixed_a=false

expect 2 "found 19 characters, but the data has 18" "$theta" zoo train "$work/text.toml" --out "$work/bad" --set network.widths=[8,16,19]
expect 2 "expected data.name = \"text\"" "$theta" zoo train "$work/text.toml" --out "$work/bad" --set data.name=fashion-mnist --set data.folder=
expect 2 "network.low_rank" "$theta" plan "$work/text.toml" --set network.low_rank=9
expect 2 "found no folder" "$theta" plan "$work/text.toml" --set "data.folder=$work/none"
expect 2 "fit.about_line" "$theta" plan "$work/text.toml" --set fit.subspace.conditions=[]
expect 2 "no condition would be told" "$theta" plan "$work/text.toml" --set fit.about_line=false --set fit.subspace.drop=1
expect 2 "expected numbers" "$theta" plan "$work/text.toml" --set 'fit.subspace.conditions=["share_language0:3"]'
expect 2 "network.fixed_a" "$theta" plan "$work/text.toml" --set network.low_rank=0
expect 2 "found 2000, expected less than" "$theta" zoo train "$work/text.toml" --out "$work/bad" --set network.gpt.context=2000

