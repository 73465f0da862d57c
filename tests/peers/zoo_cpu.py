#!/usr/bin/env python3
"""What a user would run instead of theta's trainer of zoos on the cpu: N perceptrons side by side in PyTorch, as batched
products with autograd. Times both in one run and prints their ratio; --json FILE writes a record for runs/records/.

Needs PyTorch on OpenBLAS (Debian: python3-torch libopenblas0-pthread) and build/theta; run it on an idle machine."""
import argparse, json, os, subprocess, sys, tempfile, time
import torch
import torch.nn.functional as F

CASES = {  # name of theta's case: widths, batch, optimiser
    "zoo_mlp_cpu_784-32-32-10_b128_adam": ((784, 32, 32, 10), 128, torch.optim.Adam),
    "zoo_mlp_cpu_49-8-10_b64_adamw": ((49, 8, 10), 64, torch.optim.AdamW),
}
SECONDS = 4  # of each measurement


def sgemm_rate():
    a = torch.randn(1024, 1024)
    a @ a
    best = min(timed(lambda: a @ a) for _ in range(10))
    return 2 * 1024**3 / best


def timed(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def torch_rate(widths, batch, optimizer, networks, threads):
    torch.set_num_threads(threads)
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

    step()
    once = timed(step)
    count = max(2, int(SECONDS / once))
    return networks * count / timed(lambda: [step() for _ in range(count)])


def theta_record():
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        subprocess.run(["build/theta", "bench", "--device", "cpu", "--only", "zoo_mlp_cpu", "--json", file.name], check=True,
                       stdout=subprocess.DEVNULL)
        return json.load(open(file.name))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json")
    options = parser.parse_args()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    cores = os.cpu_count()
    rate = sgemm_rate()
    if rate < 15e9 * cores:
        sys.exit(f"sgemm reaches {rate / 1e9:.0f} GFLOP/s: PyTorch runs on a reference BLAS here; install libopenblas0-pthread")
    record = theta_record()
    record["ceilings"]["torch_sgemm_TFLOP_per_s"] = rate / 1e12
    record["peer"] = f"PyTorch {torch.__version__}, eager, {cores} cores; the best of several numbers of networks and threads"
    record["peers"] = []
    for name, (widths, batch, optimizer) in CASES.items():
        settings = [(1, 1), (16, 1)] + [(n, cores) for n in (16, 64, 256, 1024)]
        rates = {f"{n} networks, {t} threads": torch_rate(widths, batch, optimizer, n, t) for n, t in settings}
        best = max(rates, key=rates.get)
        ours = next(r for r in record["results"] if r["name"] == name)["network_steps_per_s"]
        record["peers"].append({"name": name, "network_steps_per_s": rates[best], "setting": best, "ratio": ours / rates[best]})
        flops = next(r for r in record["results"] if r["name"] == name)["TFLOP_per_s"] * 1e12
        print(f"{name}: theta {ours:,.0f} network-steps/s ({flops / 1e9:.1f} GFLOP/s, {100 * flops / rate:.0f} % of sgemm's "
              f"{rate / 1e9:.0f}), PyTorch {rates[best]:,.0f} ({best}): {ours / rates[best]:.2f} times")
    if options.json:
        with open(options.json, "w") as file:
            file.write(json.dumps(record, indent=1) + "\n")


main()
