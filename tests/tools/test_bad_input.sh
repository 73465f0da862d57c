#!/usr/bin/env bash
# Bad usage and bad input: one clear line, exit status 2, nothing left behind.
source "$(dirname "$0")/common.sh"

expect 2 "subcommand" "$theta"
expect 2 "theta" "$theta" nonsense
expect 2 "CONFIG" "$theta" run
expect 2 "no such file" "$theta" run "$work/missing.toml"
echo 'stepps = 3' >"$work/bad.toml"
expect 2 "unknown key 'stepps'" "$theta" run "$work/bad.toml"
expect 2 "did you mean 'zoo.steps'" "$theta" run "$work/small.toml" --set zoo.stpes=3
expect 2 "found 'cuda:77x'" "$theta" run "$work/small.toml" --device cuda:77x
expect 2 "GPUs answer" "$theta" run "$work/small.toml" --device cuda:77
expect 2 "network.widths: found 50 inputs" "$theta" run "$work/small.toml" --out "$work/none" --set network.widths=[50,6,10]
expect 2 "network.widths: found 49 inputs and 10 outputs, expected 2" "$theta" run "$work/small.toml" --out "$work/none" --set network.kind=field
expect 2 "found 1 channels, 0 kernels" "$theta" run "$work/small.toml" --out "$work/none" --set network.kind=cnn --set network.channels=[4]
expect 2 "leave nothing of an image" "$theta" plan "$work/small.toml" --set network.kind=cnn --set network.channels=[4] --set network.kernels=[9] --set network.pools=[1]
expect 2 "expected mlp, field, cnn, pixels, resnet, vit, convnext, gpt, subset or coded" "$theta" plan "$work/small.toml" --set network.kind=perceptron
expect 2 "expected fashion-mnist, idx, cifar10, cifar100, images, solids, meshes or text" "$theta" plan "$work/small.toml" --set data.name=cubes
expect 2 "Largest: " "$theta" run "$work/small.toml" --out "$work/none" --memory-budget 100KiB
expect 2 "smaller with less" "$theta" plan "$work/small.toml" --memory-budget 100KiB
expect 2 "memory budget" "$theta" plan "$work/small.toml" --memory-budget lots
expect 2 "data.folder" "$theta" plan "$work/small.toml" --set 'data.foldr="/x"'
expect 2 "cannot be read" "$theta" plan "$work/small.toml" --set "data.folder=\"$work\""
[ ! -e "$work/none" ] || fail "a refused run left its folder"
expect 2 "not a complete zoo" "$theta" zoo info "$work"
expect 2 "not a complete zoo" "$theta" fit "$work/small.toml" --out "$work/empty"

expect 2 "fits no case" "$theta" bench --device cpu --only nonsense
expect 2 "expected a regular expression" "$theta" bench --device cpu --only '('

"$theta" zoo train "$work/small.toml" --out "$work/run" 2>/dev/null || fail "zoo train failed"
expect 0 "" "$theta" zoo verify "$work/run/zoo"
shard=$work/run/zoo/shard-00000.safetensors
cp "$shard" "$work/good"
printf '\x41' | dd of="$shard" bs=1 seek=20000 conv=notrunc status=none
expect 2 "do not match their checksums" "$theta" zoo verify "$work/run/zoo"
cp "$work/good" "$shard"
truncate -s 20000 "$shard"
expect 2 "shard-00000.safetensors" "$theta" zoo verify "$work/run/zoo"
expect 2 "shard-00000.safetensors" "$theta" fit "$work/small.toml" --out "$work/run"
printf '\xff' | dd of="$work/good" bs=1 seek=3 conv=notrunc status=none
cp "$work/good" "$shard"
expect 2 "header" "$theta" zoo info "$work/run/zoo"
