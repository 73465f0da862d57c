#!/usr/bin/env python3
"""What becomes of a training beside another busy process: the weight transformer's fit and a zoo's training, alone and with
one process that never waits, by turns; the medians of their rates. --json FILE writes a record. Needs build/theta, two cores or
more and an otherwise idle machine."""
import argparse, json, os, statistics, subprocess, sys, tempfile, time

STEPS, NETWORKS = 2000, 1024


def seconds(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def fit(out):
    folder = os.path.join(out, "fit")
    subprocess.run(["cp", "-r", os.path.join(out, "base"), folder], check=True)
    took = seconds(["build/theta", "fit", *settings(folder)])
    subprocess.run(["rm", "-r", folder], check=True)
    return STEPS / took


def zoo(out):
    folder = os.path.join(out, "zoo")
    took = seconds(["build/theta", "zoo", "train", "runs/zoo_small.toml", "--networks", str(NETWORKS), "--out", folder])
    subprocess.run(["rm", "-r", folder], check=True)
    return NETWORKS / took


def settings(folder):
    return ["runs/transformer_small.toml", "--out", folder, "--device", "cpu", "--set", "zoo.networks=4096", "--set", f"fit.transformer.steps={STEPS}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../.."))
    with tempfile.TemporaryDirectory() as out:
        seconds(["build/theta", "zoo", "train", *settings(os.path.join(out, "base"))])
        results = []
        for name, unit, run in (("fit of the small weight transformer", "steps/s", fit), ("zoo of 196-16-10", "networks/s", zoo)):
            alone, beside = [], []
            for _ in range(options.rounds):
                alone.append(run(out))
                busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
                try:
                    beside.append(run(out))
                finally:
                    busy.kill()
                    busy.wait()
            share = statistics.median(beside) / statistics.median(alone)
            results.append({"name": name, "unit": unit, "alone": alone, "beside_one_busy_process": beside, "share": share})
            print(f"{name}: {statistics.median(alone):.1f} {unit} alone, {statistics.median(beside):.1f} beside a busy process: {100 * share:.0f} %")
    if options.json:
        with open(options.json, "w") as file:
            file.write(json.dumps({"cores": os.cpu_count(), "results": results}, indent=1) + "\n")


main()
