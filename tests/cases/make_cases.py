"""Writes small inputs, one folder a case, as other programs write them; tests/tools/test_cases.sh says what is right for
each.   python3 make_cases.py FOLDER   (numpy alone)"""
import io, json, os, struct, sys, zipfile
import numpy as np

out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "made")
rng = np.random.default_rng(20261125)
names = {np.dtype("f4"): "F32", np.dtype("f8"): "F64", np.dtype("f2"): "F16", np.dtype("i8"): "I64", np.dtype("?"): "BOOL", np.dtype("u1"): "U8"}


def path(*parts):
    p = os.path.join(out, *parts); os.makedirs(os.path.dirname(p), exist_ok=True); return p


def safetensors(file, tensors, meta=None, pad=b" ", after=b"", extra=None, align=8):
    head, blob = {} if meta is None else {"__metadata__": meta}, b""
    for name, a in tensors:
        head[name] = {"dtype": names[a.dtype], "shape": list(a.shape), "data_offsets": [len(blob), len(blob) + a.nbytes]}; blob += a.tobytes()
    for name, entry, data in extra or []:
        head[name] = {**entry, "data_offsets": [len(blob), len(blob) + len(data)]}; blob += data
    text = json.dumps(head).encode()
    while len(text) % align: text += pad
    open(path(file), "wb").write(struct.pack("<Q", len(text)) + text + blob + after)


def mlp(dtype="f4", widths=(196, 16, 10)):
    got = []
    for l, (i, o) in enumerate(zip(widths, widths[1:])):
        bound = 1 / np.sqrt(i)
        got += [(f"{2 * l}.weight", rng.uniform(-bound, bound, (o, i)).astype(dtype)), (f"{2 * l}.bias", rng.uniform(-bound, bound, o).astype(dtype))]
    return got


def renamed(tensors, how): return [(how(n), a) for n, a in tensors]


# names as people give them: one network each, the same weights under five habits
net = mlp()
for case, how in {"names_sequential": lambda n: n, "names_fc": lambda n: n.replace("0.", "fc1.").replace("2.", "fc2."), "names_prefix": lambda n: "module." + n, "names_layers": lambda n: "model.layers." + {"0": "0", "2": "1"}[n[0]] + n[1:], "names_unicode": lambda n: "层." + n}.items():
    safetensors(f"{case}/a.safetensors", renamed(net, how))
# a convolutional network under PyTorch's usual names (28x28 images: 6 of 5x5, pool 2, 16 of 5x5, pool 2, 120-84-10)
u = lambda *s: rng.uniform(-.1, .1, s).astype("f4")
safetensors("lenet5/a.safetensors", [("conv1.weight", u(6, 1, 5, 5)), ("conv1.bias", u(6)), ("conv2.weight", u(16, 6, 5, 5)), ("conv2.bias", u(16)), ("fc1.weight", u(120, 256)), ("fc1.bias", u(120)), ("fc2.weight", u(84, 120)), ("fc2.bias", u(84)), ("fc3.weight", u(10, 84)), ("fc3.bias", u(10))])
# beside the weights: what state dicts hold
safetensors("counter/a.safetensors", mlp(), extra=[("bn.num_batches_tracked", {"dtype": "I64", "shape": []}, struct.pack("<q", 5))])
safetensors("mask/a.safetensors", mlp(), extra=[("mask", {"dtype": "BOOL", "shape": [4]}, b"\1\0\1\1")])
safetensors("fp8_scales/a.safetensors", mlp(), extra=[("q", {"dtype": "F8_E4M3", "shape": [4]}, b"\0" * 4)])
safetensors("empty_tensor/a.safetensors", mlp(), extra=[("e", {"dtype": "F32", "shape": [0, 5]}, b"")])
safetensors("scalar/a.safetensors", mlp() + [("logit_scale", np.array(4.6, "f4"))])
# several files a network; several networks a file
safetensors("several_files/model-00001-of-00002.safetensors", net[:2]); safetensors("several_files/model-00002-of-00002.safetensors", net[2:])
json.dump({"metadata": {"total_size": 13288}, "weight_map": {n: f"model-0000{1 + (i > 1)}-of-00002.safetensors" for i, (n, _) in enumerate(net)}}, open(path("several_files", "model.safetensors.index.json"), "w"))
many = [mlp() for _ in range(6)]
safetensors("stacked/a.safetensors", [(many[0][i][0], np.stack([m[i][1] for m in many])) for i in range(4)])
flat = np.stack([np.concatenate([a.ravel() for _, a in m]) for m in many])
np.save(path("npy", "weights.npy"), flat); np.savez(path("npz", "weights.npz"), theta=flat, test_accuracy=np.linspace(.1, .6, 6).astype("f4"))
np.save(path("npy_fortran", "weights.npy"), np.asfortranarray(flat))
# numbers that are not
for i in range(16):
    m = mlp()
    if i == 4: m[0][1][3, 4] = np.nan
    safetensors(f"nan/n{i:02}.safetensors", m)
    m = mlp()
    if i == 8: m[2][1][0, 0] = np.inf
    safetensors(f"inf/n{i:02}.safetensors", m)
    m = mlp(); m[1][1][:] = .25
    safetensors(f"constant/n{i:02}.safetensors", m)
# metrics
for i in range(4): safetensors(f"metrics/n{i}.safetensors", mlp())
rows = [(f"n{i}.safetensors", f"0.{i}5") for i in range(4)]
for name, text in {"quoted": "file,test_accuracy,note\n" + "".join(f'{f},{a},"a, ""b"""\n' for f, a in rows), "bom": "\ufefffile,test_accuracy\n" + "".join(f"{f},{a}\n" for f, a in rows), "crlf_blank": "file,test_accuracy\r\n" + "".join(f"{f}, {a}\r\n" for f, a in rows) + "\r\n", "text_column": "file,test_accuracy,note\n" + "".join(f"{f},{a},good\n" for f, a in rows)}.items():
    open(path("metrics", name + ".csv"), "w", newline="", encoding="utf-8").write(text)
# headers
safetensors("header_nul_padding/a.safetensors", mlp(), pad=b"\0"); safetensors("header_empty_metadata/a.safetensors", mlp(), meta={}); safetensors("header_trailing/a.safetensors", mlp(), after=b"\0" * 7)
safetensors("header_escape/a.safetensors", [("\x1b[31mred\x07" + n, a) for n, a in mlp()] + [("x", np.zeros(1, "?"))])
# data: MNIST's files as they are once unpacked, tiny
def idx(name, a): open(path("idx", name), "wb").write(struct.pack(">HBB", 0, 8, a.ndim) + struct.pack(">" + "I" * a.ndim, *a.shape) + a.tobytes())
for part, n in (("train", 64), ("t10k", 16)):
    idx(f"{part}-images-idx3-ubyte", rng.integers(0, 256, (n, 28, 28)).astype("u1")); idx(f"{part}-labels-idx1-ubyte", (np.arange(n) % 10).astype("u1"))
for part, n in (("data_batch_1", 40), ("data_batch_2", 40), ("data_batch_3", 40), ("data_batch_4", 40), ("data_batch_5", 40), ("test_batch", 20)):
    open(path("cifar10", part + ".bin"), "wb").write(b"".join(bytes([i % 10]) + rng.integers(0, 256, 3072).astype("u1").tobytes() for i in range(n)))
print("made", len(os.listdir(out)), "cases in", out)
