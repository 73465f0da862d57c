"""The joint curve of a planted case, in double (numpy): joint.safetensors, for tests/engine/test_joint.cpp. Perceptrons 16-4-3 trained on
stripes: seen ones, held-out ones, and groups of copies (units in another order and scale), averages of four, noise and fresh ones."""
import itertools, json, os, struct, numpy as np
os.chdir(os.path.dirname(os.path.abspath(__file__)))
rng = np.random.default_rng(5)
I, H, O, MEAN, STD = 16, 4, 3, 0.35, 0.25
def images(n):
    label = np.arange(n) % O
    byte = rng.integers(0, 90, (n, I)) + 120 * ((np.arange(I) // 4 % O)[None] == label[:, None])
    return byte, label
def parts(t): return t[:H * I].reshape(H, I), t[H * I:H * I + H], t[H * I + H:H * I + H + O * H].reshape(O, H), t[-O:]
def flat(a, b, c, d): return np.concatenate([a.ravel(), b, c.ravel(), d])
def forward(t, x):
    a, b, c, d = parts(t); h = np.maximum(x @ a.T + b, 0); return h, h @ c.T + d
x_of = lambda byte: (byte / 255 - MEAN) / STD
byte, label = images(30); test_byte, test_label = images(60)
def trained():
    t = flat(rng.normal(0, .35, (H, I)), np.zeros(H), rng.normal(0, .7, (O, H)), np.zeros(O)); x = x_of(byte)
    for _ in range(40):
        a, b, c, d = parts(t); h, z = forward(t, x); p = np.exp(z - z.max(1, keepdims=True)); p /= p.sum(1, keepdims=True); p[np.arange(len(x)), label] -= 1; p /= len(x)
        dh = (p @ c) * (h > 0); t = t - .05 * flat(dh.T @ x, dh.sum(0), p.T @ h, p.sum(0))
    return t.astype(np.float32).astype(np.float64)
def balanced(t):  # every unit's incoming weights with its bias and its outgoing weights of equal norms
    a, b, c, d = parts(t); s = np.sqrt(np.sqrt((c ** 2).sum(0)) / np.sqrt((a ** 2).sum(1) + b ** 2)); return flat(a * s[:, None], b * s, c / s, d)
def orders(t):
    a, b, c, d = parts(t); return [flat(a[list(p)], b[list(p)], c[:, list(p)], d) for p in itertools.permutations(range(H))]
def nearest_order(t, to): return min(orders(balanced(t)), key=lambda u: ((u - to) ** 2).sum())
def distance(t, u): return np.sqrt(min(((o - balanced(u)) ** 2).sum() for o in orders(balanced(t))))
accuracy = lambda t: float((forward(t, x_of(test_byte))[1].argmax(1) == test_label).mean())
seen = [trained() for _ in range(24)]; held_out = [trained() for _ in range(24)]
def copy(t):
    a, b, c, d = parts(t); p = rng.permutation(H); s = np.exp(rng.normal(0, .3, H)); return flat((a * s[:, None])[p], (b * s)[p], (c / s)[:, p], d)
def average():
    first, *others = rng.choice(24, 4, replace=False); to = balanced(seen[first]); return np.mean([to] + [nearest_order(seen[j], to) for j in others], 0)
groups = {"copies": [copy(t) for t in seen[:12]], "averages": [average() for _ in range(12)], "noise": [t + rng.normal(0, 1.0, len(t)) for t in seen[:12]], "fresh": [trained() for _ in range(12)]}
as_stored = lambda ts: np.array(ts).astype(np.float32).astype(np.float64)
apart = np.array([[np.inf if i == j else distance(a, b) for j, b in enumerate(seen)] for i, a in enumerate(seen)])
spread = np.median(apart.min(1)); bar = np.quantile([accuracy(t) for t in held_out], .1)
out = {"seen": as_stored(seen), "held_out": as_stored(held_out), "byte": test_byte.astype(float), "label": test_label.astype(float), "spread": np.array([spread]), "bar": np.array([bar])}
for name, ts in groups.items():
    ts = as_stored(ts); d = np.array([min(distance(t, s) for s in seen) for t in ts]); acc = np.array([accuracy(t) for t in ts])
    out |= {name: ts, name + ".distance": d, name + ".accuracy": acc, name + ".joint": np.array([((acc >= bar) & (d > m * spread)).mean() for m in (1, 2, 3, 4, 6)])}
    print(name, acc.round(2), d.round(2), out[name + ".joint"])
print(bar, spread)
header, at = {}, 0
for k, v in out.items(): header[k] = {"dtype": "F64", "shape": list(v.shape), "data_offsets": [at, at + 8 * v.size]}; at += 8 * v.size
header = json.dumps(header).encode(); header += b" " * (-len(header) % 8)
with open("joint.safetensors", "wb") as f: f.write(struct.pack("<Q", len(header)) + header + b"".join(np.ascontiguousarray(v, dtype="<f8").tobytes() for v in out.values()))
