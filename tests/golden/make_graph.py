"""The graph transformer's formulas in double, with their gradients (PyTorch): graph_transformer.safetensors, for
tests/engine/test_graph.cpp. Two perceptrons 5-3-4-2 and one 5-3-2 in a batch, two blocks, a condition that one is not told."""
import json, math, os, struct, torch
os.chdir(os.path.dirname(os.path.abspath(__file__)))
torch.set_default_dtype(torch.float64); torch.manual_seed(3)
I, O, D, E, HEADS, LAYERS, FEATURES = 5, 2, 12, 6, 3, 2, 8
WN, WE = I + 1 + O + O, 1  # a node's slots: weights of inputs, bias, weights to outputs, what no unit has; an edge's: a weight
p = {}
def lin(name, i, o): p[name + ".weight"] = torch.randn(o, i) / math.sqrt(i); p[name + ".bias"] = .3 * torch.randn(o)
for name, elements, told, width in (("nodes", WN, 10, D), ("edges", WE, 8, E)): lin(name + ".encode", elements, width); lin(name + ".told", told, width); lin(name + ".decode", width, elements)
lin("time.0", FEATURES, D); lin("conditions.x", FEATURES, D); lin("time.2", D, D)
for i in range(LAYERS):
    b = f"blocks.{i}."
    for name, n_in, n_out in (("qkv", D, 3 * D), ("edge_bias", E, 2 * HEADS), ("proj", D, D), ("fc1", D, 4 * D), ("fc2", 4 * D, D), ("ends", D, 2 * E), ("edge_fc1", E, 2 * E), ("edge_fc2", 2 * E, E), ("ada", D, 8 * D), ("edge_ada", D, 3 * E)): lin(b + name, n_in, n_out)
    p[b + "edge_values.weight"] = torch.randn(HEADS, D // HEADS, 2 * E) / math.sqrt(2 * E)
lin("final", D, 2 * D); lin("edge_final", D, 2 * E); lin("final_ends", D, 2 * E)
for v in p.values(): v.requires_grad_()
L = lambda name, x: x @ p[name + ".weight"].T + p[name + ".bias"]
norm = lambda x: torch.nn.functional.layer_norm(x, x.shape[-1:], eps=1e-6)
silu, gelu = torch.nn.functional.silu, lambda x: torch.nn.functional.gelu(x, approximate="tanh")
def numbers(v):  # features of a number: sines, then cosines
    a = v[:, None] * 1000 ** (torch.arange(FEATURES // 2) / (FEATURES // 2 - 1)); return torch.cat([torch.sin(a), torch.cos(a)], 1)
size = lambda n: math.log2(max(n, 1)) / 8
def features(hidden):  # of nodes, then of edges
    G = len(hidden); nodes, edges = [], []
    for g, n in enumerate(hidden):
        into = I if g == 0 else hidden[g - 1]; out = O if g == G - 1 else hidden[g + 1]
        nodes += [[1, 0, float(g == 0), float(g == G - 1), 1 / (1 + g), 1 / (G - g), (g + 1) / (G + 1), size(n), size(into), size(out)]] * n
    nodes.append([0, 1, 0, 0, 0, 0, 0, size(1), 0, 0])
    for g in range(G - 1): edges += [[1, 0, 1 / (1 + g), 1 / (G - g - 1), (2 * g + 3) / (2 * G + 2), size(hidden[g]), size(hidden[g + 1]), 0]] * (hidden[g] * hidden[g + 1])
    as_stored = lambda v: torch.tensor(v).float().double(); return as_stored(nodes), as_stored(edges).reshape(-1, 8)
def mask(hidden):  # of a node's elements: what it has
    m = torch.zeros(sum(hidden) + 1, WN)
    for g, n in enumerate(hidden):
        rows = slice(sum(hidden[:g]), sum(hidden[:g + 1])); m[rows, I] = 1
        if g == 0: m[rows, :I] = 1
        if g == len(hidden) - 1: m[rows, I + 1:I + 1 + O] = 1
    m[-1, I + 1 + O:] = 1; return m
def run(hidden, x, cond):  # x [n, nodes*WN + edges]
    n, S = len(x), sum(hidden) + 1; fn, fe = features(hidden)
    pairs = [(a, b) for g in range(len(hidden) - 1) for b in range(hidden[g + 1]) for a in range(hidden[g])]
    source = [sum(hidden[:g]) + a for g in range(len(hidden) - 1) for b in range(hidden[g + 1]) for a in range(hidden[g])]
    target = [sum(hidden[:g + 1]) + b for g in range(len(hidden) - 1) for b in range(hidden[g + 1]) for a in range(hidden[g])]
    h = L("nodes.encode", x[:, :S * WN].reshape(n, S, WN)) + L("nodes.told", fn); e = L("edges.encode", x[:, S * WN:].reshape(n, -1, WE)) + L("edges.told", fe)
    for i in range(LAYERS):
        b = f"blocks.{i}."; s1, k1, g1, s2, k2, g2, s3, k3 = torch.split(L(b + "ada", cond)[:, None], D, -1); se, ke, ge = torch.split(L(b + "edge_ada", cond)[:, None], E, -1)
        s = norm(e) * (1 + ke) + se; bias = L(b + "edge_bias", s).reshape(n, -1, 2, HEADS)
        q, k, v = [t.reshape(n, S, HEADS, -1).transpose(1, 2) for t in torch.split(L(b + "qkv", norm(h) * (1 + k1) + s1), D, -1)]
        score = q @ k.transpose(2, 3) / math.sqrt(D // HEADS); extra = torch.zeros(n, HEADS, S, S)
        for j, (a, c) in enumerate(zip(source, target)):
            extra = extra.index_put((torch.arange(n)[:, None], torch.arange(HEADS)[None], torch.tensor(c), torch.tensor(a)), bias[:, j, 0], accumulate=True)
            extra = extra.index_put((torch.arange(n)[:, None], torch.arange(HEADS)[None], torch.tensor(a), torch.tensor(c)), bias[:, j, 1], accumulate=True)
        w = torch.softmax(score + extra, -1); att = (w @ v).transpose(1, 2)  # n S H d
        gathered = torch.zeros(n, S, HEADS, 2, E)
        for j, (a, c) in enumerate(zip(source, target)):
            gathered = gathered.clone(); gathered[:, c, :, 0] = gathered[:, c, :, 0] + w[:, :, c, a, None] * s[:, j, None]; gathered[:, a, :, 1] = gathered[:, a, :, 1] + w[:, :, a, c, None] * s[:, j, None]
        att = att + torch.einsum("nshk,hdk->nshd", gathered.reshape(n, S, HEADS, 2 * E), p[b + "edge_values.weight"])
        h = h + g1 * L(b + "proj", att.reshape(n, S, D))
        h = h + g2 * L(b + "fc2", gelu(L(b + "fc1", norm(h) * (1 + k2) + s2)))
        t = L(b + "ends", norm(h) * (1 + k3) + s3)
        e = e + ge * L(b + "edge_fc2", gelu(L(b + "edge_fc1", s + t[:, target, :E] + t[:, source, E:])))
    s, k = torch.split(L("final", cond)[:, None], D, -1); y = norm(h) * (1 + k) + s
    s, k = torch.split(L("edge_final", cond)[:, None], E, -1); t = L("final_ends", y); z = norm(e) * (1 + k) + s + t[:, target, :E] + t[:, source, E:]
    return torch.cat([(L("nodes.decode", y) * mask(hidden)).reshape(n, -1), L("edges.decode", z).reshape(n, -1)], 1)
kinds = [((3, 4), 2), ((3,), 1)]
time = torch.tensor([.2, .9, .5]); told = torch.tensor([.3, float("nan"), .8])
of = L("conditions.x", torch.where(torch.isnan(told)[:, None], torch.zeros(3, FEATURES), numbers(torch.nan_to_num(told))))
cond = silu(L("time.2", silu(L("time.0", numbers(time)) + of)))
xs, ys, at = [], [], 0
for hidden, n in kinds:
    S = sum(hidden) + 1; m = torch.cat([mask(hidden).reshape(-1), torch.ones(sum(a * b for a, b in zip(hidden, hidden[1:])))])
    x = torch.randn(n, len(m)) * m; xs.append(x.reshape(-1)); ys.append(run(hidden, x, cond[at:at + n]).reshape(-1)); at += n
y = torch.cat(ys); dy = torch.randn(len(y)) * (y != 0); (y * dy).sum().backward()
tensors = {"x": torch.cat(xs), "time": time, "told": told, "y": y.detach(), "dy": dy, **{"param." + k: v.detach() for k, v in p.items()}, **{"grad." + k: v.grad for k, v in p.items()}}
header, at = {}, 0
for k, v in tensors.items(): header[k] = {"dtype": "F64", "shape": list(v.shape), "data_offsets": [at, at + 8 * v.numel()]}; at += 8 * v.numel()
header = json.dumps(header).encode(); header += b" " * (-len(header) % 8)
with open("graph_transformer.safetensors", "wb") as f: f.write(struct.pack("<Q", len(header)) + header + b"".join(v.contiguous().numpy().tobytes() for v in tensors.values()))
