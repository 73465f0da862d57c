#!/usr/bin/env bash
# A zoo exported to safetensors files and imported again has the same weights and columns; PyTorch loads the files and
# finds the same accuracies and losses.
source "$(dirname "$0")/common.sh"
"$theta" zoo train "$work/small.toml" --out "$work/run" --set 'network.activation=["tanh","gelu"]' 2>/dev/null || fail "zoo train failed"
"$theta" zoo export "$work/run/zoo" "$work/files" 2>/dev/null || fail "zoo export failed"
[ "$(find "$work/files" -name '*.safetensors' | wc -l)" = 60 ] || fail "export wrote another number of files"
"$theta" zoo import "$work/files" "$work/again" --metrics "$work/files/metrics.csv" --activation tanh 2>/dev/null || fail "zoo import failed"
"$theta" zoo export "$work/again" "$work/twice" 2>/dev/null || fail "the second export failed"
diff -rq "$work/files" "$work/twice" >/dev/null || fail "export, import and export again is not the same as export"
"$theta" zoo verify "$work/again" >/dev/null || fail "the imported zoo does not match its checksums"

expect 2 "found no file" "$theta" zoo import "$work/files" "$work/none" --pattern 'x*.safetensors'
expect 2 "found a zoo there" "$theta" zoo import "$work/files" "$work/again"
echo "file,loss" >"$work/short.csv"
expect 2 "found no line for network-000000.safetensors" "$theta" zoo import "$work/files" "$work/short" --metrics "$work/short.csv"
printf 'file,loss\nnetwork-000000.safetensors,0.5\nnetwork-000001.safetensors,x\n' >"$work/bad.csv"
expect 2 "line 3: loss: found 'x'" "$theta" zoo import "$work/files" "$work/bad" --metrics "$work/bad.csv"
"$theta" zoo train "$work/small.toml" --out "$work/other" --set network.widths=[49,5,10] --set zoo.networks=1 2>/dev/null
"$theta" zoo export "$work/other/zoo" "$work/mixed" 2>/dev/null
cp "$work/files/network-000003.safetensors" "$work/mixed/x.safetensors"
expect 2 "found '0.weight' [6, 49], expected '0.weight' [5, 49]" "$theta" zoo import "$work/mixed" "$work/mixture"
[ -e "$work/mixture/index.json" ] && fail "a refused import left a zoo"

# A run may learn from an imported zoo: MLPs are scored, what theta cannot run is generated all the same.
quick=(--set fit.autoencoder.steps=20 --set fit.denoiser.steps=20)
"$theta" zoo import "$work/mixed" "$work/plain" --pattern 'network-*' --activation relu 2>/dev/null || fail "import without metrics failed"
"$theta" run "$work/small.toml" --out "$work/from" "${quick[@]}" --set "zoo.from=$work/plain" >"$work/out" 2>/dev/null || fail "a run from an imported zoo failed"
grep -q generated "$work/out" || fail "a run from an imported zoo judged nothing"
"$theta" zoo import "$work/mixed" "$work/unknown" --pattern 'network-*' 2>/dev/null || fail "import of an unknown architecture failed"
"$theta" run "$work/small.toml" --out "$work/blind" "${quick[@]}" --set "zoo.from=$work/unknown" 2>"$work/err" >/dev/null || fail "a run from an unknown architecture failed: $(tail -n 1 "$work/err")"
"$theta" zoo info "$work/blind/samples" --json | grep -q '"rows": 12' || fail "an unknown architecture was not generated"
expect 2 "cannot be run on" "$theta" eval "$work/small.toml" --out "$work/blind" "${quick[@]}" --set "zoo.from=$work/unknown"
expect 2 "several activations" "$theta" fit "$work/small.toml" --out "$work/several" --set "zoo.from=$work/run/zoo"

# A convolutional network is recognised by a configuration, and scored as it was when it was trained.
kind() { "$theta" zoo train "$work/small.toml" --out "$work/$1" --set zoo.networks=2 --set zoo.steps=100 --set zoo.batch=49 "${@:2}" 2>"$work/err" &&
  "$theta" zoo export "$work/$1/zoo" "$work/$1/files" 2>/dev/null || fail "a zoo of a $1 failed: $(tail -n 1 "$work/err")"; }
convolutional=(--set network.kind=cnn --set network.widths=[8,10] --set network.channels=[4] --set network.kernels=[2] --set network.pools=[2] --set network.activation=tanh)
kind cnn "${convolutional[@]}"
sed 's/^widths.*/kind = "cnn"\nwidths = [8, 10]\nchannels = [4]\nkernels = [2]\npools = [2]\nactivation = "tanh"/' "$work/small.toml" >"$work/cnn.toml"
"$theta" zoo import "$work/cnn/files" "$work/cnn_again" --config "$work/cnn.toml" --metrics "$work/cnn/files/metrics.csv" 2>"$work/err" ||
  fail "import by a configuration failed: $(tail -n 1 "$work/err")"
"$theta" run "$work/small.toml" --out "$work/cnn_from" "${quick[@]}" --set "zoo.from=$work/cnn_again" --set eval.references=20 --set eval.networks=20 >"$work/out" 2>"$work/err" ||
  fail "a run from an imported cnn failed: $(tail -n 1 "$work/err")"
grep -q '^generated' "$work/out" || fail "an imported cnn was not judged"
sed 's/\[4\]/[5]/' "$work/cnn.toml" >"$work/wider.toml"
expect 2 "expected 'conv1.weight' [5, 1, 2, 2]" "$theta" zoo import "$work/cnn/files" "$work/none" --config "$work/wider.toml"

for python in python3 /usr/bin/python3; do
  "$python" -c 'import torch' 2>/dev/null && break
  python=""
done
[ -n "$python" ] || { echo "   skipped: no python3 with torch here"; exit 77; }
images=.deps/usr/share/datasets/fashion-mnist
[ -e $images ] || images=/usr/share/datasets/fashion-mnist
# Fields and convolutional networks, for PyTorch to look at.
kind field --set network.kind=field --set network.widths=[2,16,16,1] --set network.activation=sine --set network.initialisation=siren --set zoo.lr=1e-3
kind encoded --set network.kind=field --set network.widths=[10,16,1] --set network.octaves=2
cat >"$work/check.py" <<PYTHON
import csv, gzip, json, struct, sys
import numpy as np, torch
work, images = sys.argv[1:]

def load(path):  # a safetensors file
    data = open(path, "rb").read(); n = struct.unpack("<Q", data[:8])[0]; header = json.loads(data[8:8 + n])
    return {k: torch.from_numpy(np.frombuffer(data[8 + n:][slice(*v["data_offsets"])], "<f4").reshape(v["shape"]).copy())
            for k, v in header.items() if k != "__metadata__"}

def idx(name):
    return np.frombuffer(gzip.open(f"{images}/{name}").read(), np.uint8)

def pooled(name):  # 28x28 -> 7x7, two roundings as the data set's
    x = idx(name)[16:].reshape(-1, 28, 28).astype(np.int64)
    return ((x.reshape(-1, 7, 4, 7, 4).sum((2, 4)) + 8) // 16).astype(np.float64)

train, test = pooled("train-images-idx3-ubyte.gz")[:55000], pooled("t10k-images-idx3-ubyte.gz")
labels = torch.from_numpy(idx("t10k-labels-idx1-ubyte.gz")[8:].astype(np.int64))
x = torch.from_numpy(((test / 255 - (train / 255).mean()) / (train / 255).std()).reshape(-1, 49).astype(np.float32))
activations = {7: torch.nn.Tanh(), 5: torch.nn.GELU()}
rows = list(csv.DictReader(open(f"{work}/files/metrics.csv")))
assert {int(r["activation"]) for r in rows} == set(activations)
for row in rows:
    net = torch.nn.Sequential(torch.nn.Linear(49, 6), activations[int(row["activation"])], torch.nn.Linear(6, 10))
    net.load_state_dict(load(f"{work}/files/{row['file']}"))
    with torch.no_grad():
        logits = net(x)
    accuracy = (logits.argmax(1) == labels).double().mean().item()
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    assert abs(accuracy - float(row["test_accuracy"])) <= 3e-4, (row, accuracy)  # three images between two classes
    assert abs(loss - float(row["test_loss"])) <= 1e-5 * loss, (row, loss)

class Sine(torch.nn.Module):
    def forward(self, x):
        return torch.sin(30 * x)

raw = torch.from_numpy((train.reshape(-1, 49) / 255 - 0.5).astype(np.float32))  # what fields learn
line = torch.linspace(-1, 1, 7)
grid = torch.stack([line.repeat(7), line.repeat_interleave(7)], 1)  # x first, then y
encoded = torch.cat([torch.stack([c] + [f(2**k * torch.pi * c) for k in range(2) for f in (torch.sin, torch.cos)], 1) for c in (grid[:, 0], grid[:, 1])], 1)
for name, points, net in (("field", grid, torch.nn.Sequential(torch.nn.Linear(2, 16), Sine(), torch.nn.Linear(16, 16), Sine(), torch.nn.Linear(16, 1))),
                          ("encoded", encoded, torch.nn.Sequential(torch.nn.Linear(10, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1)))):
    for row in csv.DictReader(open(f"{work}/{name}/files/metrics.csv")):
        net.load_state_dict(load(f"{work}/{name}/files/{row['file']}"))
        with torch.no_grad():
            loss = ((net(points)[:, 0] - raw[int(row["signal"])]) ** 2).mean().item()
        # sin(30 x) in float is off by 30 roundings of x: 4e-6, in errors of the loss's root
        assert abs(loss**0.5 - float(row["test_loss"]) ** 0.5) <= 2e-5, (name, row, loss)
        assert abs(-10 * np.log10(loss) - float(row["psnr"])) <= 0.05, (name, row, loss)

class Cnn(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.fc1, self.fc2 = torch.nn.Conv2d(1, 4, 2), torch.nn.Linear(36, 8), torch.nn.Linear(8, 10)
    def forward(self, x):
        x = torch.tanh(torch.nn.functional.max_pool2d(self.conv1(x), 2))
        return self.fc2(torch.tanh(self.fc1(x.flatten(1))))

net = Cnn()
for row in csv.DictReader(open(f"{work}/cnn/files/metrics.csv")):
    net.load_state_dict(load(f"{work}/cnn/files/{row['file']}"))
    with torch.no_grad():
        logits = net(x.reshape(-1, 1, 7, 7))
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    assert abs((logits.argmax(1) == labels).double().mean().item() - float(row["test_accuracy"])) <= 3e-4, row
    assert abs(loss - float(row["test_loss"])) <= 1e-5 * loss, (row, loss)
PYTHON
"$python" "$work/check.py" "$work" "$images" || fail "PyTorch finds other accuracies or losses"
