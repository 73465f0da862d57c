#!/usr/bin/env bash
# Small inputs as other programs write them (tests/cases/make_cases.py), each with what is right for it.
source "$(dirname "$0")/common.sh"
for python in python3 /usr/bin/python3; do
  "$python" -c 'import numpy' 2>/dev/null && break
  python=""
done
[ -n "$python" ] || { echo "   skipped: no python3 with numpy here"; exit 77; }
cases=$work/cases
"$python" tests/cases/make_cases.py "$cases" >/dev/null || fail "the cases could not be made"

# take CASE import's options...: imported into $work/z/CASE; what was said is in $work/said, what it is in $work/info.
take() {
  local case=$1
  shift
  "$theta" zoo import "$cases/$case" "$work/z/$case" "$@" >/dev/null 2>"$work/said" || fail "$case: $(tail -n 1 "$work/said")"
  "$theta" zoo info "$work/z/$case" --json >"$work/info" 2>/dev/null || fail "$case: info failed"
}
said() { grep -qF -- "$2" "$work/said" || fail "$1: did not say '$2': $(tail -n 1 "$work/said")"; }
is() { # CASE, what a Python expression of the zoo's information z gives
  local found
  found=$("$python" -c "import json, sys; z = json.load(open(sys.argv[1])); print($2)" "$work/info")
  [ "$found" = "$3" ] || fail "$1: $2: found $found, expected $3"
}
whole='z["rows"], z["parameters"], z["facts"].get("architecture", {}).get("kind")'
theta_of() { "$theta" zoo export "$work/z/$1" "$work/x/$1" 2>/dev/null; tail -c 13288 "$work/x/$1/network-000000.safetensors" | sha256sum; }

# One network under five habits of naming; the names stay.
first=""
while read -r case name; do
  take "$case" --activation relu
  is "$case" "$whole" "1 3322 mlp"
  is "$case" 'z["layout"][0]["name"]' "$name"
  found=$(theta_of "$case")
  [ "$found" = "${first:=$found}" ] || fail "$case: holds other weights"
done <<NAMES
names_sequential 0.weight
names_fc fc1.weight
names_prefix module.0.weight
names_layers model.layers.0.weight
names_unicode 层.0.weight
NAMES
take several_files --activation relu # through its index: the same network
is several_files "$whole" "1 3322 mlp"
[ "$(theta_of several_files)" = "$first" ] || fail "several_files: holds other weights"

cat >"$work/lenet.toml" <<'TOML'
[network]
kind = "cnn"
channels = [6, 16]
kernels = [5, 5]
pools = [2, 2]
widths = [120, 84, 10]
TOML
take lenet5 --config "$work/lenet.toml"
is lenet5 "$whole" "1 44426 cnn"

# What is no parameter is left out, and named.
for left in counter:bn.num_batches_tracked mask:mask fp8_scales:q empty_tensor:e; do
  take "${left%%:*}" --activation relu
  is "${left%%:*}" "$whole" "1 3322 mlp"
  said "${left%%:*}" "left out: ${left#*:}"
done
take scalar
is scalar 'z["parameters"], z["layout"][-1]["name"], z["layout"][-1]["shape"]' "3323 logit_scale []"

# Several networks a file.
printf '[data]\npool = 2\n[network]\nwidths = [196, 16, 10]\n' >"$work/mlp.toml"
take stacked --activation relu
is stacked "$whole" "6 3322 mlp"
for flat in npy npz npy_fortran; do
  take $flat --config "$work/mlp.toml"
  is $flat "$whole" "6 3322 mlp"
  [ "$(theta_of $flat)" = "$(theta_of stacked)" ] || fail "$flat: holds other weights than the stack"
done
"$theta" zoo info "$work/z/npz" --json >"$work/info"
is npz 'round(z["columns"]["test_accuracy"]["max"], 6)' 0.6

# Numbers that are not.
for bad in nan:n04 inf:n08; do
  take "${bad%%:*}" --activation relu
  said "${bad%%:*}" "1 of 16 networks are not finite, dropped; the first: ${bad#*:}.safetensors"
  is "${bad%%:*}" 'z["rows"], z["facts"]["dropped"]["not_finite"]' "15 1"
done
take constant --activation relu
is constant "$whole" "16 3322 mlp"

# Metrics as people write them.
for table in quoted bom crlf_blank text_column; do
  "$theta" zoo import "$cases/metrics" "$work/z/$table" --activation relu --metrics "$cases/metrics/$table.csv" >/dev/null 2>"$work/said" ||
    fail "$table: $(tail -n 1 "$work/said")"
  "$theta" zoo info "$work/z/$table" --json >"$work/info" 2>/dev/null
  is $table 'z["rows"], round(z["columns"]["test_accuracy"]["min"], 6), round(z["columns"]["test_accuracy"]["max"], 6)' "4 0.05 0.35"
done
said text_column note

# Headers.
expect 2 "found a NUL byte" "$theta" zoo import "$cases/header_nul_padding" "$work/z/nul"
expect 2 "the tensors end at byte 13288" "$theta" zoo import "$cases/header_trailing" "$work/z/trailing"
take header_empty_metadata --activation relu
is header_empty_metadata "$whole" "1 3322 mlp"
take header_escape --activation relu
is header_escape "$whole" "1 3322 mlp"
"$theta" zoo info "$work/z/header_escape" >"$work/info" 2>&1
LC_ALL=C grep -q "[$(printf '\033\007')]" "$work/said" "$work/info" && fail "header_escape: control characters reached the terminal"

# Data.
train=(zoo train "$work/small.toml" --set zoo.networks=2 --set zoo.steps=40 --set zoo.count=2 --set zoo.batch=8)
"$theta" "${train[@]}" --out "$work/idx" --set data.name=idx --set "data.folder=$cases/idx" --set data.validation=10 2>"$work/said" ||
  fail "idx: $(tail -n 1 "$work/said")"
"$theta" zoo info "$work/idx/zoo" | grep -q '"name":"idx"' || fail "idx: recorded as something else"
"$theta" "${train[@]}" --out "$work/cifar" --set data.name=cifar10 --set "data.folder=$cases/cifar10" --set data.validation=20 \
  --set 'network.widths=[192,6,10]' 2>"$work/said" || fail "cifar10: $(tail -n 1 "$work/said")"
strided=(--set network.kind=cnn --set 'network.channels=[4,5]' --set 'network.kernels=[3,2]' --set 'network.pools=[1,1]'
  --set 'network.strides=[2,1]' --set network.average=true --set 'network.widths=[10]')
"$theta" "${train[@]}" --out "$work/averaged" --set data.name=cifar10 --set "data.folder=$cases/cifar10" --set data.validation=20 "${strided[@]}" \
  2>"$work/said" || fail "a strided network of cifar10: $(tail -n 1 "$work/said")"
expect 2 "there is no such folder" "$theta" "${train[@]}" --out "$work/none" --set data.name=cifar10 --set "data.folder=$work/absent" --set 'network.widths=[192,6,10]'
[ -e "$work/none" ] && fail "a run without its data left a folder"
expect 2 "expected a convolution to average" "$theta" "${train[@]}" --out "$work/none" "${strided[@]}" --set 'network.channels=[]' --set 'network.kernels=[]' \
  --set 'network.pools=[]' --set 'network.strides=[]'
expect 2 "expected one of each" "$theta" "${train[@]}" --out "$work/none" "${strided[@]}" --set 'network.strides=[2]'
expect 2 "expected one of them" "$theta" "${train[@]}" --out "$work/none" "${strided[@]}" --set 'network.pools=[1,2]' --set data.pool=2
