#!/usr/bin/env python3
"""What a user would run instead of theta's training step of the small weight transformer on the cpu: the same model in
PyTorch with autograd (adaLN blocks, neuron tokens, flow matching, AdamW, moving average). Times both in one run, by turns, and
prints the ratio of their medians, since shared machines swing; --json FILE writes a record for runs/records/.

Needs PyTorch on OpenBLAS (Debian: python3-torch libopenblas0-pthread) and build/theta; run it on an idle machine."""
import argparse, json, math, os, statistics, subprocess, tempfile, time
import torch
import torch.nn as nn
import torch.nn.functional as F

UNITS, WIDTH, OUTPUTS, D, LAYERS, HEADS, BATCH, FEATURES = 8, 60, 10, 96, 3, 4, 64, 64
CASE = "transformer_train_cpu_d96_L3_T9_b64"
ROUNDS, SECONDS = 21, 2  # of each of PyTorch's measurements


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


def torch_rate(threads):
    torch.set_num_threads(threads)
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

    for _ in range(5):
        step()
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < SECONDS:
        step()
        count += 1
    return count / (time.perf_counter() - start)


def theta_record():
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        subprocess.run(["build/theta", "bench", "--device", "cpu", "--only", CASE, "--json", file.name], check=True,
                       stdout=subprocess.DEVNULL)
        record = json.load(open(file.name))
    return 1e3 / next(r for r in record["results"] if r["name"] == CASE)["value"], record


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    options = parser.parse_args()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    cores = os.cpu_count()
    rounds, records = {threads: [] for threads in sorted({1, cores})}, []
    for _ in range(ROUNDS):
        for threads, of in rounds.items():
            of.append(torch_rate(threads))
        records.append(theta_record())
    rates = {threads: statistics.median(of) for threads, of in rounds.items()}
    best = max(rates, key=rates.get)
    ours, record = sorted(records, key=lambda r: r[0])[ROUNDS // 2]
    record["peer"] = f"PyTorch {torch.__version__}, eager; the better of one and {cores} threads; medians of {ROUNDS} rounds by turns"
    record["peers"] = [{"name": CASE, "steps_per_s": rates[best], "setting": f"{best} threads", "ours_steps_per_s": ours, "ratio": ours / rates[best],
                        "rounds": {"ours": [r[0] for r in records], **{f"{t} threads": of for t, of in rounds.items()}}}]
    print(f"{CASE}: theta {ours:.1f} steps/s on {cores} threads, PyTorch {rates[best]:.1f} on {best} ("
          + ", ".join(f"{t}: {r:.1f}" for t, r in rates.items()) + f"): {ours / rates[best]:.2f} times")
    if options.json:
        with open(options.json, "w") as file:
            file.write(json.dumps(record, indent=1) + "\n")


main()
