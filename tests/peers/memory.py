#!/usr/bin/env python3
"""What theta's switches against memory cost in seconds: the steps of p-diff's autoencoder, the weight transformer and the
windows, as configured and with each switch, by turns; medians of the rates that the program itself reports, and the
planned and the measured memory of the stage. --json FILE writes a record. Needs build/theta and an otherwise idle machine."""
import argparse, json, os, re, statistics, subprocess, tempfile

ZOO = ["--set", "network.widths=[784,32,32,10]", "--set", "data.pool=1", "--set", "zoo.count=40", "--set", "zoo.steps=400"]
PDIFF = ["runs/demo.toml", *ZOO, "--set", "fit.autoencoder.channels=[16,32,64,64,16]", "--set", "fit.autoencoder.batch=10", "--set", "fit.denoiser.steps=2", "--set", "fit.compact=false"]
TRANSFORMER = ["runs/demo.toml", *ZOO, "--set", "fit.generator=transformer", "--set", "fit.transformer.tokens=chunk", "--set", "fit.transformer.chunk=1000",
               "--set", "fit.transformer.balance=false", "--set", "fit.transformer.width=192", "--set", "fit.transformer.batch=16"]
WINDOWS = ["runs/demo.toml", *ZOO, "--set", "fit.generator=windows"]
CASES = [
    ("p-diff's autoencoder, V = 26,506", PDIFF, "fit.autoencoder", "fit.autoencoder.steps", 12,
     [[], ["fit.compact=true"], ["fit.tile=4096"], ["fit.stream=memory"], ["fit.stream=file"], ["fit.stream=file", "fit.moments=8bit"], ["fit.tile=4096", "fit.stream=file"]]),
    ("weight transformer, V = 26,506", TRANSFORMER, "fit.transformer", "fit.transformer.steps", 40,
     [[], ["fit.transformer.recompute=true"], ["fit.transformer.fused=true"], ["fit.transformer.arithmetic=bf16"], ["fit.transformer.accumulate=4"]]),
    ("windows, V = 26,506", WINDOWS, "fit.windows", "fit.windows.steps", 100,
     [[], ["fit.windows.recompute=true"], ["fit.windows.fused=true"], ["fit.windows.window=4"]]),
]


def sets(changes):
    return [word for change in changes for word in ("--set", change)]


def rate(out, config, stage, steps_key, steps, changes):
    for name in ("generator.safetensors", ".generator.state.safetensors"):
        if os.path.exists(os.path.join(out, name)):
            os.remove(os.path.join(out, name))
    command = ["build/theta", "fit", *config, *sets(changes), "--set", f"{steps_key}={steps}", "--out", out, "--device", "cpu"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    found = re.findall(re.escape(stage) + r": \d+ steps in .*, ([0-9.e+]+) steps/s", said)
    memory = [json.loads(line) for line in open(os.path.join(out, "metrics.jsonl")) if '"fit.memory"' in line][-1]
    return float(found[-1]), memory["peak_bytes"]


def planned(config, stage, changes):
    said = subprocess.run(["build/theta", "plan", *config, *sets(changes), "--json"], check=True, capture_output=True, text=True).stdout
    plan = next(p for p in json.loads(said)["plans"] if p["name"] == stage)
    return plan["device_bytes"], plan["host_bytes"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    options = parser.parse_args()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    results = []
    with tempfile.TemporaryDirectory() as out:
        subprocess.run(["build/theta", "zoo", "train", *PDIFF, "--out", out, "--device", "cpu"], check=True, capture_output=True)
        for name, config, stage, steps_key, steps, switches in CASES:
            rates = {str(changes): [] for changes in switches}
            peaks = {}
            for _ in range(options.rounds):
                for changes in switches:
                    found, peaks[str(changes)] = rate(out, config, stage, steps_key, steps, changes)
                    rates[str(changes)].append(found)
            plain = statistics.median(rates[str([])])
            for changes in switches:
                median = statistics.median(rates[str(changes)])
                device, host = planned(config, stage, changes)
                results.append({"name": name, "changes": changes, "steps_per_s": rates[str(changes)], "times_as_long": plain / median,
                                "planned_device_bytes": device, "planned_host_bytes": host, "peak_bytes": peaks[str(changes)]})
                print(f"{name:36} {' '.join(changes) or 'as configured':36} {median:8.2f} steps/s, {plain / median:5.2f} times as long, "
                      f"{device / 2**20:8.1f} MiB planned, {host / 2**20:6.1f} staged, {peaks[str(changes)] / 2**20:8.1f} measured", flush=True)
    if options.json:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
        with open(options.json, "w") as file:
            file.write(json.dumps({"commit": commit, "cores": os.cpu_count(), "results": results}, indent=1) + "\n")


main()
