#!/usr/bin/env python3
"""theta's cases on the cpu in eager PyTorch: perceptrons side by side as batched products, and the small weight transformer's
step. Prints a JSON object a line: name and the best rate of each case. Run by cpu.py; needs PyTorch on OpenBLAS (Debian:
python3-torch libopenblas0-pthread), since a reference BLAS flatters."""
import argparse, json, math, os, sys, time
import torch
import torch.nn as nn
import torch.nn.functional as F

SECONDS = 1.5  # of each measurement
CORES = os.cpu_count()


def rate(step, units=1):
    for _ in range(3):
        step()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        step()
        count += 1
    return units * count / (time.perf_counter() - start)


def check_blas():
    a = torch.randn(1024, 1024)
    flops = 2 * 1024**3 * rate(lambda: a @ a)
    if flops < 15e9 * CORES:
        sys.exit(f"sgemm reaches {flops / 1e9:.0f} GFLOP/s: PyTorch runs on a reference BLAS here; install libopenblas0-pthread")


def perceptrons(widths, batch, optimizer, networks):
    images, labels = torch.randn(55000, widths[0]), torch.randint(0, widths[-1], (55000,))
    parameters = []
    for i, o in zip(widths, widths[1:]):
        parameters += [(torch.randn(networks, i, o) / i**0.5).requires_grad_(), torch.zeros(networks, 1, o, requires_grad=True)]
    update = optimizer(parameters, lr=1e-3, foreach=True)

    def step():
        chosen = torch.randint(0, 55000, (networks, batch))
        h = images[chosen]
        for l in range(0, len(parameters), 2):
            h = torch.baddbmm(parameters[l + 1], h, parameters[l])
            if l + 2 < len(parameters):
                h = torch.relu(h)
        loss = F.cross_entropy(h.reshape(-1, widths[-1]), labels[chosen].reshape(-1), reduction="sum") / batch
        update.zero_grad(set_to_none=True)
        loss.backward()
        update.step()

    return rate(step, networks)


UNITS, WIDTH, OUTPUTS, D, LAYERS, HEADS, BATCH, FEATURES = 8, 60, 10, 96, 3, 4, 64, 64


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.fc1, self.fc2, self.ada = nn.Linear(D, 4 * D), nn.Linear(4 * D, D), nn.Linear(D, 6 * D)

    def forward(self, x, c):
        b, t, _ = x.shape
        shift1, scale1, gate1, shift2, scale2, gate2 = self.ada(c)[:, None].chunk(6, -1)
        norm = lambda u: F.layer_norm(u, (D,), eps=1e-6)
        q, k, v = self.qkv(norm(x) * (1 + scale1) + shift1).view(b, t, 3, HEADS, D // HEADS).permute(2, 0, 3, 1, 4)
        a = ((q @ k.transpose(-1, -2)) * (D // HEADS) ** -0.5).softmax(-1) @ v
        x = x + gate1 * self.proj(a.transpose(1, 2).reshape(b, t, D))
        return x + gate2 * self.fc2(F.gelu(self.fc1(norm(x) * (1 + scale2) + shift2)))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.units, self.biases = nn.Linear(WIDTH, D), nn.Linear(OUTPUTS, D)
        self.units_out, self.biases_out = nn.Linear(D, WIDTH), nn.Linear(D, OUTPUTS)
        self.time = nn.Sequential(nn.Linear(FEATURES, D), nn.SiLU(), nn.Linear(D, D))
        self.blocks, self.final = nn.ModuleList(Block() for _ in range(LAYERS)), nn.Linear(D, 2 * D)
        self.f = torch.exp(torch.linspace(0, math.log(1000), FEATURES // 2))

    def forward(self, x, biases, t):
        angle = t[:, None] * self.f
        c = F.silu(self.time(torch.cat([angle.sin(), angle.cos()], 1)))
        h = torch.cat([self.units(x), self.biases(biases)[:, None]], 1)
        for block in self.blocks:
            h = block(h, c)
        shift, scale = self.final(c)[:, None].chunk(2, -1)
        h = F.layer_norm(h, (D,), eps=1e-6) * (1 + scale) + shift
        return self.units_out(h[:, :-1]), self.biases_out(h[:, -1])


def transformer():
    model, average = Model(), Model()
    update = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.99), foreach=True)
    x, biases = torch.randn(BATCH, UNITS, WIDTH), torch.randn(BATCH, OUTPUTS)

    def step():
        t, e, eb = torch.sigmoid(torch.randn(BATCH)), torch.randn_like(x), torch.randn_like(biases)
        v, vb = model((1 - t)[:, None, None] * x + t[:, None, None] * e, (1 - t)[:, None] * biases + t[:, None] * eb, t)
        loss = (((v - (e - x)) ** 2).sum() + ((vb - (eb - biases)) ** 2).sum()) / (BATCH * (UNITS * WIDTH + OUTPUTS))
        update.zero_grad(set_to_none=True)
        loss.backward()
        update.step()
        with torch.no_grad():
            torch._foreach_mul_([p for p in average.parameters()], 0.999)
            torch._foreach_add_([p for p in average.parameters()], [p for p in model.parameters()], alpha=0.001)

    return rate(step)


CASES = {  # theta's case: (threads, measurement) to try
    "zoo_mlp_cpu_784-32-32-10_b128_adam": [(t, lambda n=n: perceptrons((784, 32, 32, 10), 128, torch.optim.Adam, n))
                                           for t, n in ((1, 1), (1, 16), (CORES, 16), (CORES, 64))],
    "zoo_mlp_cpu_49-8-10_b64_adamw": [(t, lambda n=n: perceptrons((49, 8, 10), 64, torch.optim.AdamW, n))
                                      for t, n in ((1, 16), (CORES, 64), (CORES, 256), (CORES, 1024))],
    "transformer_train_cpu_d96_L3_T9_b64": [(1, transformer), (CORES, transformer)],
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    only = parser.parse_args().only
    check_blas()
    for name, settings in CASES.items():
        if any(part in name for part in only.split("|")):
            rates = []
            for threads, measure in settings:
                torch.set_num_threads(threads)
                rates.append(measure())
            print(json.dumps({"name": name, "peer": "PyTorch " + torch.__version__ + ", eager", "per_s": max(rates)}), flush=True)
