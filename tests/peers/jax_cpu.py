#!/usr/bin/env python3
"""theta's cases on the cpu in JAX: many small networks trained side by side (vmap, scan), the small weight transformer's step,
p-diff's two networks. Prints a JSON object a line: name and the best rate of each case. Run by cpu.py; pip install jax numpy."""
import argparse, functools, json, math, time
import jax, jax.numpy as jnp

SECONDS = 1.5  # of each measurement


def best(run, seconds=SECONDS):
    jax.block_until_ready(run())
    times = []
    while sum(times) < seconds or len(times) < 3:
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return min(times)


def adam(p, m, v, g, lr=1e-3, decay=0.0):
    m = jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, m, g)
    v = jax.tree.map(lambda a, b: 0.999 * a + 0.001 * b * b, v, g)
    return jax.tree.map(lambda a, b, c: a - lr * (b / (jnp.sqrt(c) + 1e-8) + decay * a), p, m, v), m, v


def trained(loss, parameters, networks, steps):
    """Network-steps a second of `networks` side by side; parameters(key) and loss(parameters, key) are those of one."""
    def one(p, m, v, key):
        def body(state, key):
            p, m, v = state
            return adam(p, m, v, jax.grad(loss)(p, key)), 0
        return jax.lax.scan(body, (p, m, v), jax.random.split(key, steps))[0]
    keys = jax.random.split(jax.random.PRNGKey(0), networks)
    p, run = jax.vmap(parameters)(keys), jax.jit(jax.vmap(one))
    zero = jax.tree.map(jnp.zeros_like, p)
    return networks * steps / best(lambda: run(p, zero, zero, keys))


def stepped(loss, weights):
    """Steps a second, each a call of its own: XLA multiplies convolutions within a scan many times slower."""
    step = jax.jit(lambda p, m, v, key: adam(p, m, v, jax.grad(loss)(p, key)))
    zero, key = jax.tree.map(jnp.zeros_like, weights), jax.random.PRNGKey(0)
    return 1 / best(lambda: step(weights, zero, zero, key))


def images(side):
    key = jax.random.PRNGKey(0)
    return jax.random.randint(key, (60000, *side), 0, 256, dtype=jnp.uint8), jax.random.randint(key, (60000,), 0, 10)


def cross_entropy(logits, labels):
    return -jax.nn.log_softmax(logits)[jnp.arange(len(labels)), labels].mean()


def perceptron(kind, sizes, batch, networks, steps):
    def parameters(key):
        keys = jax.random.split(key, len(sizes))
        scale = 30 if kind == "siren" else 1
        return [(jax.random.normal(k, (i, o)) / math.sqrt(i) / scale, jnp.zeros(o)) for k, i, o in zip(keys, sizes, sizes[1:])]
    def network(p, h):
        for i, (w, b) in enumerate(p):
            h = h @ w + b
            if i + 1 < len(p):
                h = jnp.sin(30 * h) if kind == "siren" else jax.nn.relu(h)
        return h
    if kind == "mlp":
        pixels, labels = images((sizes[0],))
        def loss(p, key):
            i = jax.random.randint(key, (batch,), 0, 60000)
            return cross_entropy(network(p, pixels[i].astype(jnp.float32) / 255), labels[i])
    else:
        key = jax.random.PRNGKey(0)
        points, signal = jax.random.uniform(key, (batch, sizes[0])), jax.random.uniform(key, (batch, 1))
        def loss(p, key):
            return ((network(p, points) - signal) ** 2).mean()
    return trained(loss, parameters, networks, steps)


def convolutional(batch):
    shapes, order = [(8, 1, 5), (6, 8, 5), (4, 6, 2)], ("NCHW", "OIHW", "NCHW")
    pixels, labels = images((28, 28))
    def parameters(key):
        w = lambda *s: 0.1 * jax.random.normal(key, s)
        return dict(convolutions=[(w(o, i, k, k), w(o)) for o, i, k in shapes], w1=w(36, 20), b1=w(20), w2=w(20, 10), b2=w(10))
    def network(p, h):
        h = h[:, None]
        for i, (w, b) in enumerate(p["convolutions"]):
            h = jax.lax.conv_general_dilated(h, w, (1, 1), "VALID", dimension_numbers=order) + b[:, None, None]
            if i < 2:
                h = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
            h = jnp.tanh(h)
        return jnp.tanh(h.reshape(batch, -1) @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]
    def loss(p, key):
        i = jax.random.randint(key, (batch,), 0, 60000)
        return cross_entropy(network(p, pixels[i].astype(jnp.float32) / 255), labels[i])
    return stepped(loss, parameters(jax.random.PRNGKey(0)))


def transformer(d=96, layers=3, heads=4, tokens=9, batch=64, width=60, features=64, steps=20):
    key = jax.random.PRNGKey(0)
    n = lambda *s: 0.02 * jax.random.normal(key, s)
    z = jnp.zeros
    weights = dict(enc=n(width, d), eb=z(d), dec=n(d, width), db=z(width), t1=n(features, d), t2=n(d, d), fin=n(d, 2 * d),
                   blocks=[dict(mod=n(d, 6 * d), qkv=n(d, 3 * d), qb=z(3 * d), o=n(d, d), ob=z(d), w1=n(d, 4 * d), b1=z(4 * d),
                                w2=n(4 * d, d), b2=z(d)) for _ in range(layers)])
    norm = lambda x: (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-6)
    def model(p, x, t):
        angle = t[:, None] * jnp.exp(-jnp.arange(features // 2) * 0.3)
        c = jax.nn.silu(jax.nn.silu(jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], 1) @ p["t1"]) @ p["t2"])
        h = x @ p["enc"] + p["eb"]
        for b in p["blocks"]:
            shift1, scale1, gate1, shift2, scale2, gate2 = jnp.split((c @ b["mod"])[:, None], 6, -1)
            q, k, v = jnp.split((norm(h) * (1 + scale1) + shift1) @ b["qkv"] + b["qb"], 3, -1)
            split = lambda y: y.reshape(batch, tokens, heads, d // heads).transpose(0, 2, 1, 3)
            a = jax.nn.softmax(split(q) @ split(k).transpose(0, 1, 3, 2) / math.sqrt(d // heads)) @ split(v)
            h = h + gate1 * (a.transpose(0, 2, 1, 3).reshape(batch, tokens, d) @ b["o"] + b["ob"])
            h = h + gate2 * (jax.nn.gelu((norm(h) * (1 + scale2) + shift2) @ b["w1"] + b["b1"]) @ b["w2"] + b["b2"])
        shift, scale = jnp.split((c @ p["fin"])[:, None], 2, -1)
        return (norm(h) * (1 + scale) + shift) @ p["dec"] + p["db"]
    x = jax.random.normal(key, (batch, tokens, width))
    def loss(p, key):
        e, t = jax.random.normal(key, x.shape), jax.nn.sigmoid(jax.random.normal(key, (batch,)))
        return ((model(p, (1 - t[:, None, None]) * x + t[:, None, None] * e, t) - (e - x)) ** 2).mean()
    def body(state, key):
        return adam(*state, jax.grad(loss)(state[0], key)), 0
    run = jax.jit(lambda p, m, v: jax.lax.scan(body, (p, m, v), jax.random.split(key, steps))[0])
    zero = jax.tree.map(jnp.zeros_like, weights)
    return steps / best(lambda: run(weights, zero, zero))


def graph(d=96, e=32, layers=4, heads=4, batch=64, inputs=49, first=8, second=8, outputs=10, features=64, steps=20):
    """Perceptrons of two hidden layers as graphs, written for this one architecture, without index lists."""
    key, nodes = jax.random.PRNGKey(0), first + second + 1
    n = lambda *s: 0.05 * jax.random.normal(key, s)
    z = jnp.zeros
    weights = dict(u=n(inputs + 1, d), v=n(outputs + 1, d), b=n(outputs, d), e=n(1, e), kind=n(3, d), t1=n(features, d), t2=n(d, d), fin=n(d, 2 * d),
                   fe=n(d, 2 * e), ou=n(d, inputs + 1), ov=n(d, outputs + 1), ob=n(d, outputs), oe=n(e, 1), ends=n(d, e), ends2=n(d, e),
                   blocks=[dict(mod=n(d, 6 * d), mode=n(d, 3 * e), qkv=n(d, 3 * d), o=n(d, d), bias=n(e, 2 * heads), val=n(e, d), val2=n(e, d), w1=n(d, 4 * d),
                                b1=z(4 * d), w2=n(4 * d, d), es=n(d, e), et=n(d, e), m1=n(e, 2 * e), m2=n(2 * e, e)) for _ in range(layers)])
    norm = lambda x: (x - x.mean(-1, keepdims=True)) * jax.lax.rsqrt(x.var(-1, keepdims=True) + 1e-6)
    lower, upper = slice(first, first + second), slice(0, first)
    def model(p, x, t):
        u, v, edge, b = x
        angle = t[:, None] * jnp.exp(-jnp.arange(features // 2) * 0.3)
        c = jax.nn.silu(jax.nn.silu(jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], 1) @ p["t1"]) @ p["t2"])
        h, edge = jnp.concatenate([u @ p["u"] + p["kind"][0], v @ p["v"] + p["kind"][1], b @ p["b"] + p["kind"][2]], 1), edge @ p["e"]
        for q in p["blocks"]:
            shift1, scale1, gate1, shift2, scale2, gate2 = jnp.split((c @ q["mod"])[:, None], 6, -1)
            shift, scale, gate = jnp.split((c @ q["mode"])[:, None, None], 3, -1)
            split = lambda y: y.reshape(batch, nodes, heads, d // heads).transpose(0, 2, 1, 3)
            query, k, v = jnp.split((norm(h) * (1 + scale1) + shift1) @ q["qkv"], 3, -1)
            state = norm(edge)
            bias = (state @ q["bias"]).transpose(0, 3, 1, 2)
            score = split(query) @ split(k).transpose(0, 1, 3, 2) / math.sqrt(d // heads)
            score = score.at[:, :, lower, upper].add(bias[:, :heads]).at[:, :, upper, lower].add(bias[:, heads:].transpose(0, 1, 3, 2))
            w = jax.nn.softmax(score)
            out = (w @ split(v)).transpose(0, 2, 1, 3).reshape(batch, nodes, d)
            values = lambda name: (state @ q[name]).reshape(batch, second, first, heads, -1)
            down = jnp.einsum("nhij,nijhd->nihd", w[:, :, lower, upper], values("val")).reshape(batch, second, d)
            up = jnp.einsum("nhji,nijhd->njhd", w[:, :, upper, lower], values("val2")).reshape(batch, first, d)
            h = h + gate1 * (out.at[:, lower].add(down).at[:, upper].add(up) @ q["o"])
            h = h + gate2 * (jax.nn.gelu((norm(h) * (1 + scale2) + shift2) @ q["w1"] + q["b1"]) @ q["w2"])
            heard = state * (1 + scale) + shift + (norm(h)[:, lower] @ q["et"])[:, :, None] + (norm(h)[:, upper] @ q["es"])[:, None]
            edge = edge + gate * (jax.nn.gelu(heard @ q["m1"]) @ q["m2"])
        shift, scale = jnp.split((c @ p["fin"])[:, None], 2, -1)
        h = norm(h) * (1 + scale) + shift
        shift, scale = jnp.split((c @ p["fe"])[:, None, None], 2, -1)
        f = norm(edge) * (1 + scale) + shift + (h[:, lower] @ p["ends"])[:, :, None] + (h[:, upper] @ p["ends2"])[:, None]
        return [h[:, upper] @ p["ou"], h[:, lower] @ p["ov"], f @ p["oe"], h[:, -1:] @ p["ob"]]
    x = [jax.random.normal(key, (batch, *s)) for s in ((first, inputs + 1), (second, outputs + 1), (second, first, 1), (1, outputs))]
    def loss(p, key):
        t = jax.nn.sigmoid(jax.random.normal(key, (batch,)))
        noise = [jax.random.normal(jax.random.fold_in(key, i), a.shape) for i, a in enumerate(x)]
        at = lambda a: t.reshape((-1,) + (1,) * (a.ndim - 1))
        y = model(p, [(1 - at(a)) * a + at(a) * b for a, b in zip(x, noise)], t)
        return sum(((o - (b - a)) ** 2).sum() for o, a, b in zip(y, x, noise)) / sum(a.size for a in x)
    def body(state, key):
        return adam(*state, jax.grad(loss)(state[0], key)), 0
    run = jax.jit(lambda p, m, v: jax.lax.scan(body, (p, m, v), jax.random.split(key, steps))[0])
    zero = jax.tree.map(jnp.zeros_like, weights)
    return steps / best(lambda: run(weights, zero, zero))


def normalised(h, gamma, beta):
    return (h - h.mean((0, 2), keepdims=True)) * jax.lax.rsqrt(h.var((0, 2), keepdims=True) + 1e-5) * gamma + beta


ORDER = ("NCH", "OIH", "NCH")


def autoencoder(v, latent, channels, batch=50):
    key = jax.random.PRNGKey(0)
    levels = len(channels)
    length = -(-v // 2**levels) * 2**levels
    short = length // 2**levels
    w = lambda *s: 0.05 * jax.random.normal(key, s)
    layer = lambda o, i: (w(o, i, 7), jnp.ones((o, 1)), jnp.zeros((o, 1)))
    back = channels[::-1]
    weights = dict(enc=[layer(o, i) for i, o in zip([1] + channels, channels)],
                   dec=[layer(o, i) for i, o in zip(back, back[1:] + back[-1:])],
                   into=w(short * channels[-1], latent), mean=w(latent, latent), out=w(latent, short * channels[-1]), last=w(1, back[-1], 7))
    x = jax.random.normal(key, (batch, length))
    def loss(p, key):
        h = x[:, None]
        for c, a, b in p["enc"]:
            h = jax.nn.leaky_relu(normalised(jax.lax.conv_general_dilated(h, c, (2,), [(3, 3)], dimension_numbers=ORDER), a, b))
        z = h.reshape(batch, -1) @ p["into"] @ p["mean"]
        h = ((z + 0.1 * jax.random.normal(key, z.shape)) @ p["out"]).reshape(batch, channels[-1], short)
        for c, a, b in p["dec"]:
            h = jax.nn.elu(normalised(jax.lax.conv_general_dilated(h, c, (1,), [(3, 4)], lhs_dilation=(2,), dimension_numbers=ORDER), a, b))
        return ((jax.lax.conv_general_dilated(h, p["last"], (1,), [(3, 3)], dimension_numbers=ORDER)[:, 0] - x) ** 2).mean()
    return stepped(loss, weights)


def denoiser(latent=128, batch=50, channels=(1, 64, 128, 256, 512, 256, 128, 64, 1)):
    key = jax.random.PRNGKey(0)
    w = lambda *s: 0.05 * jax.random.normal(key, s)
    weights = [(w(o, i, 7), jnp.ones((o, 1)), jnp.zeros((o, 1))) for i, o in zip(channels, channels[1:])]
    x = jax.random.normal(key, (batch, 1, latent))
    def loss(p, key):
        e = jax.random.normal(key, x.shape)
        h, kept = x + e, []
        for i, (c, a, b) in enumerate(p):
            h = jax.lax.conv_general_dilated(h, c, (1,), [(3, 3)], dimension_numbers=ORDER)
            if i + 1 < len(p):
                h = jax.nn.elu(normalised(h, a, b))
                kept.append(h)
                if i >= 4:
                    h = h + kept[6 - i]
        return ((h - e) ** 2).mean()
    return stepped(loss, weights)


def convolution(which, batch, channels, outs, side, kernel, stride, groups, order):
    """A convolution of images, or one of its two gradients, alone, in the order of axes that is asked for."""
    key, padding = jax.random.PRNGKey(0), [((kernel - 1) // 2,) * 2] * 2
    shape = (batch, channels, side, side) if order == "NCHW" else (batch, side, side, channels)
    x, w = jax.random.normal(key, shape), jax.random.normal(key, (outs, channels // groups, kernel, kernel) if order == "NCHW" else (kernel, kernel, channels // groups, outs))
    numbers = (order, "OIHW" if order == "NCHW" else "HWIO", order)
    forward = lambda x, w: jax.lax.conv_general_dilated(x, w, (stride, stride), padding, dimension_numbers=numbers, feature_group_count=groups)
    dy = jax.random.normal(key, forward(x, w).shape)
    run = jax.jit({"fwd": lambda x, w, dy: forward(x, w), "bwd_data": lambda x, w, dy: jax.vjp(lambda x: forward(x, w), x)[1](dy)[0],
                   "bwd_weight": lambda x, w, dy: jax.vjp(lambda w: forward(x, w), w)[1](dy)[0]}[which])
    return 1 / best(lambda: run(x, w, dy), 1.0)


def momentum(loss, weights):
    """Steps a second of SGD with momentum, each a call of its own."""
    def step(p, m):
        m = jax.tree.map(lambda a, g: 0.9 * a + g, m, jax.grad(loss)(p))
        return jax.tree.map(lambda a, b: a - 0.01 * b, p, m), m
    run, zero = jax.jit(step), jax.tree.map(jnp.zeros_like, weights)
    return 1 / best(lambda: run(weights, zero), 4.0)


def resnet18(width, side, batch):
    """With the stem for small images, channels last, as XLA likes them on a cpu."""
    key, drawn = jax.random.PRNGKey(0), iter(range(100))
    w = lambda i, o, k: jax.random.normal(jax.random.fold_in(key, next(drawn)), (k, k, i, o)) * (2 / (k * k * i)) ** 0.5
    norm_of = lambda c: (jnp.ones(c), jnp.zeros(c))
    weights, blocks, i = dict(stem=w(1, width, 3), norm=norm_of(width)), [], width
    for stage in range(4):
        for j in range(2):
            o, stride = width << stage, 2 if stage > 0 and j == 0 else 1
            weights[f"{stage}.{j}"] = dict(c1=w(i, o, 3), n1=norm_of(o), c2=w(o, o, 3), n2=norm_of(o), **(dict(c3=w(i, o, 1), n3=norm_of(o)) if i != o else {}))
            blocks.append((f"{stage}.{j}", stride))
            i = o
    weights["fc"] = (jax.random.normal(key, (i, 10)) / i**0.5, jnp.zeros(10))
    def conv(x, w, s=1):
        return jax.lax.conv_general_dilated(x, w, (s, s), [(w.shape[0] // 2,) * 2] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"))
    def norm(x, g):
        return (x - x.mean((0, 1, 2))) * jax.lax.rsqrt(x.var((0, 1, 2)) + 1e-5) * g[0] + g[1]
    x, y = jax.random.normal(key, (batch, side, side, 1)), jax.random.randint(key, (batch,), 0, 10)
    def loss(p):
        h = jax.nn.relu(norm(conv(x, p["stem"]), p["norm"]))
        for name, s in blocks:
            b = p[name]
            r = norm(conv(jax.nn.relu(norm(conv(h, b["c1"], s), b["n1"])), b["c2"]), b["n2"])
            h = jax.nn.relu(r + (norm(conv(h, b["c3"], s), b["n3"]) if "c3" in b else h))
        return cross_entropy(h.mean((1, 2)) @ p["fc"][0] + p["fc"][1], y)
    return momentum(loss, weights)


def vision_transformer(d=64, hidden=256, blocks=6, heads=4, patch=4, side=28, batch=128):
    key, drawn = jax.random.PRNGKey(0), iter(range(100))
    n = lambda *s: 0.05 * jax.random.normal(jax.random.fold_in(key, next(drawn)), s)
    z, tokens = jnp.zeros, (side // patch) ** 2
    weights = dict(patch=n(patch * patch, d), pb=z(d), first=n(1, 1, d), places=n(1, tokens + 1, d), g=jnp.ones(d), b=z(d), head=n(d, 10), hb=z(10),
                   blocks=[dict(g1=jnp.ones(d), b1=z(d), qkv=n(d, 3 * d), qb=z(3 * d), o=n(d, d), ob=z(d), g2=jnp.ones(d), b2=z(d),
                                w1=n(d, hidden), c1=z(hidden), w2=n(hidden, d), c2=z(d)) for _ in range(blocks)])
    norm = lambda h, g, b: (h - h.mean(-1, keepdims=True)) * jax.lax.rsqrt(h.var(-1, keepdims=True) + 1e-6) * g + b
    x, y = jax.random.normal(key, (batch, side, side)), jax.random.randint(key, (batch,), 0, 10)
    def loss(p):
        h = x.reshape(batch, side // patch, patch, side // patch, patch).transpose(0, 1, 3, 2, 4).reshape(batch, tokens, patch * patch) @ p["patch"] + p["pb"]
        h = jnp.concatenate([jnp.broadcast_to(p["first"], (batch, 1, d)), h], 1) + p["places"]
        for b in p["blocks"]:
            q, k, v = jnp.split(norm(h, b["g1"], b["b1"]) @ b["qkv"] + b["qb"], 3, -1)
            split = lambda a: a.reshape(batch, tokens + 1, heads, d // heads).transpose(0, 2, 1, 3)
            a = jax.nn.softmax(split(q) @ split(k).transpose(0, 1, 3, 2) / math.sqrt(d // heads)) @ split(v)
            h = h + a.transpose(0, 2, 1, 3).reshape(h.shape) @ b["o"] + b["ob"]
            h = h + jax.nn.gelu(norm(h, b["g2"], b["b2"]) @ b["w1"] + b["c1"], approximate=False) @ b["w2"] + b["c2"]
        return cross_entropy(norm(h[:, 0], p["g"], p["b"]) @ p["head"] + p["hb"], y)
    return momentum(loss, weights)


def language_model(d, context, blocks, heads, batch, networks=0, steps=10, characters=47):
    """Many side by side, network-steps a second; or one, steps a second. Products of flat matrices: twice as fast on this cpu."""
    text = jax.random.randint(jax.random.PRNGKey(0), (1 << 20,), 0, characters)
    def parameters(key):
        drawn = iter(jax.random.split(key, 2 + 4 * blocks))
        n = lambda *s: 0.02 * jax.random.normal(next(drawn), s)
        z = jnp.zeros
        return dict(wte=n(characters, d), wpe=n(context, d), g=jnp.ones(d), b=z(d),
                    blocks=[dict(g1=jnp.ones(d), b1=z(d), qkv=n(d, 3 * d), qb=z(3 * d), o=n(d, d), ob=z(d), g2=jnp.ones(d), b2=z(d),
                                 w1=n(d, 4 * d), c1=z(4 * d), w2=n(4 * d, d), c2=z(d)) for _ in range(blocks)])
    norm = lambda h, g, b: (h - h.mean(-1, keepdims=True)) * jax.lax.rsqrt(h.var(-1, keepdims=True) + 1e-6) * g + b
    mask = jnp.where(jnp.tril(jnp.ones((context, context))) > 0, 0.0, -1e9)
    def loss(p, key):
        at = jax.random.randint(key, (batch,), 0, len(text) - context - 1)[:, None] + jnp.arange(context + 1)
        x, y = text[at[:, :-1]], text[at[:, 1:]].reshape(-1)
        h = (jax.nn.one_hot(x.reshape(-1), characters) @ p["wte"]).reshape(batch, context, d) + p["wpe"]
        h = h.reshape(-1, d)
        for b in p["blocks"]:
            q, k, v = jnp.split(norm(h, b["g1"], b["b1"]) @ b["qkv"] + b["qb"], 3, -1)
            split = lambda a: a.reshape(batch, context, heads, d // heads).transpose(0, 2, 1, 3)
            a = jax.nn.softmax(split(q) @ split(k).transpose(0, 1, 3, 2) / math.sqrt(d // heads) + mask) @ split(v)
            h = h + a.transpose(0, 2, 1, 3).reshape(-1, d) @ b["o"] + b["ob"]
            h = h + jax.nn.gelu(norm(h, b["g2"], b["b2"]) @ b["w1"] + b["c1"], approximate=False) @ b["w2"] + b["c2"]
        z = norm(h, p["g"], p["b"]) @ p["wte"].T
        return (jax.nn.logsumexp(z, -1) - (z * jax.nn.one_hot(y, characters)).sum(-1)).mean()
    if networks:
        return trained(loss, parameters, networks, steps)
    return stepped(loss, parameters(jax.random.PRNGKey(1)))


CASES = {  # theta's case: settings to try
    "zoo_mlp_cpu_784-32-32-10_b128_adam": [functools.partial(perceptron, "mlp", (784, 32, 32, 10), 128, n, 50) for n in (1, 2, 8)],
    "zoo_mlp_cpu_196-16-10_b128_adam": [functools.partial(perceptron, "mlp", (196, 16, 10), 128, n, 100) for n in (2, 8, 32)],
    "zoo_mlp_cpu_49-8-10_b64_adamw": [functools.partial(perceptron, "mlp", (49, 8, 10), 64, n, 200) for n in (64, 256)],
    "zoo_siren_cpu_2-32-32-1_784pts": [functools.partial(perceptron, "siren", (2, 32, 32, 1), 784, n, 50) for n in (2, 16)],
    "zoo_field_cpu_27-128-128-128-1_2048pts": [functools.partial(perceptron, "relu", (27, 128, 128, 128, 1), 2048, n, 10) for n in (1, 2)],
    "zoo_cnn_cpu_s_b128": [functools.partial(convolutional, 128)],
    "transformer_train_cpu_d96_L3_T9_b64": [transformer],
    "graph_train_cpu_d96_e32_L4_49-8-8-10_b64": [graph],
    "pdiff_vae_step_b50_v3072_latent64_fp32": [functools.partial(autoencoder, 3072, 64, [8, 16, 32, 32, 16])],
    "pdiff_denoiser_step_b50_latent128_fp32": [denoiser],
    "resnet18_cpu_w16_28x28_b128_sgd": [functools.partial(resnet18, 16, 28, 128)],
    "resnet18_cpu_w64_28x28_b32_sgd": [functools.partial(resnet18, 64, 28, 32)],
    "vit_cpu_w64_6blocks_28x28_b128_sgd": [vision_transformer],
    "gpt_cpu_w48_2blocks_t48_b8_x32_adam": [functools.partial(language_model, 48, 48, 2, 3, 8, n) for n in (1, 4, 16, 32)],
    "gpt_cpu_w384_6blocks_t128_b8_adam": [functools.partial(language_model, 384, 128, 6, 6, 8)],
}

for batch, channels, outs, side, kernel, stride, groups in [(128, 16, 16, 28, 3, 1, 1), (128, 64, 64, 14, 3, 1, 1), (128, 64, 64, 7, 3, 1, 1), (128, 64, 128, 7, 3, 2, 1), (64, 32, 32, 14, 7, 1, 32)]:
    for which in ("fwd", "bwd_data", "bwd_weight"):
        name = f"conv2d_k{kernel}_{which}_{batch}x{channels}x{outs}_{side}x{side}_s{stride}" + (f"_g{groups}" if groups > 1 else "")
        CASES[name] = [functools.partial(convolution, which, batch, channels, outs, side, kernel, stride, groups, order) for order in ("NHWC", "NCHW")]

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    only = parser.parse_args().only
    for name, settings in CASES.items():
        if any(part in name for part in only.split("|")):
            print(json.dumps({"name": name, "peer": "JAX " + jax.__version__, "per_s": max(run() for run in settings)}), flush=True)
