#!/usr/bin/env bash
# Fields of bodies through every stage: solids and a folder of meshes, drawn, exported and judged; bad meshes are refused in
# one line.
source "$(dirname "$0")/common.sh"
cat >"$work/solids.toml" <<'TOML'
seed = 3
[data]
name = "solids"
solids = 200
points = 600
families = ["chair", "gear", "superquadric"]
signal = "distance"
band = 0.2
[network]
kind = "field"
widths = [3, 12, 12, 1]
activation = "sine"
initialisation = "siren"
omega = 5
[zoo]
networks = 120
wave = 60
steps = 60
batch = 200
lr = 5e-3
schedule = "cosine"
checkpoints = "last"
count = 1
held_out = 0.6
start = "base"
base_rounds = 30
base_networks = 10
[fit]
generator = "subspace"
[fit.subspace]
power = 0.5
conditions = ["class:3"]
width = 32
layers = 1
steps = 200
batch = 16
[sample]
count = 12
batch = 12
prompt = ["class=0..2"]
points = 3
solver_steps = 5
[eval]
networks = 10
references = 40
noise = [0.01]
TOML
"$theta" run "$work/solids.toml" --out "$work/run" >"$work/out" 2>"$work/err" || fail "solids did not run: $(tail -n 1 "$work/err")"
for group in training held_out generated noise_0.01 average_16 gaussian gaussian_full; do
  grep -q "^$group " "$work/out" || fail "the table has no line for $group"
done
for picture in generated nearest fields; do
  [ "$(head -c 4 "$work/run/report/$picture.png" | tail -c 3)" = PNG ] || fail "report drew no $picture.png"
done
"$theta" run "$work/solids.toml" --out "$work/run" >"$work/again" 2>/dev/null || fail "a done run did not end well"
diff <(grep "^generated " "$work/out") <(grep "^generated " "$work/again") >/dev/null || fail "what is done is told otherwise"

for format in ply stl obj; do
  "$theta" render "$work/run/zoo" --rows 0..2 --side 24 --png "$work/some.png" --meshes "$work/meshes/$format" --format $format >"$work/out" || fail "render --meshes failed"
  [ "$(ls "$work/meshes/$format" | grep -c "\.$format$")" -ge 2 ] || fail "no meshes were written as $format"
done
grep -q "3 fields" "$work/out" || fail "render did not say what it drew: $(cat "$work/out")"
expect 2 "2 to 512" "$theta" render "$work/run/zoo" --side 1000

# What was written is a data set of three classes, one of each format; a bad mesh is named.
"$theta" zoo train "$work/solids.toml" --out "$work/of_meshes" --set data.name=meshes --set "data.folder=\"$work/meshes\"" --set zoo.networks=8 --set zoo.wave=8 --set zoo.held_out=0.5 \
  >"$work/out" 2>"$work/err" || fail "meshes were not learned: $(tail -n 1 "$work/err")"
"$theta" zoo info "$work/of_meshes/zoo" --json | grep -q '"name": "meshes"' || fail "the zoo does not say what it is of"
printf 'OFF\n3 1 0\n0 0 0\n' >"$work/meshes/ply/cut.off"
expect 2 "cut.off: found its end" "$theta" zoo train "$work/solids.toml" --out "$work/no" --set data.name=meshes --set "data.folder=\"$work/meshes\""
[ ! -e "$work/no" ] || fail "a refused run left its folder"
expect 2 "expected a folder of meshes" "$theta" zoo train "$work/solids.toml" --out "$work/no" --set data.name=meshes
expect 2 "expected union, superquadric" "$theta" zoo train "$work/solids.toml" --out "$work/no" --set 'data.families=["sofa"]'
expect 2 "expected occupancy or distance" "$theta" zoo train "$work/solids.toml" --out "$work/no" --set data.signal=colour
