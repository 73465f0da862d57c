#!/usr/bin/env python3
"""theta beside its peers on the cpu, by turns in one run, since shared machines swing: medians of some rounds, with the
machine's ceilings; --json FILE writes a record for runs/records/. Needs build/theta, and for each peer a Python that has
it: --jax PYTHON (pip install jax numpy), --torch PYTHON (Debian: python3-torch libopenblas0-pthread). Run it on an idle machine."""
import argparse, json, os, statistics, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = "zoo_mlp_cpu_784-32|zoo_mlp_cpu_196|zoo_mlp_cpu_49|zoo_siren|zoo_field|zoo_cnn|transformer|graph|pdiff|gpt"


def theta_round(only):
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        subprocess.run(["build/theta", "bench", "--device", "cpu", "--only", only, "--json", file.name], check=True, stdout=subprocess.DEVNULL)
        record = json.load(open(file.name))
    return record, {r["name"]: r.get("network_steps_per_s", 1e3 / r["value"]) for r in record["results"]}


def peer_round(python, script, only):
    one = ["--only", only] if only != CASES else []  # parts of names, | between them
    run = subprocess.run([python, os.path.join(HERE, script), *one], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if run.returncode:
        sys.exit(f"{script}: {run.stderr.strip().splitlines()[-1]}")
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    return lines[0]["peer"], {line["name"]: line["per_s"] for line in lines}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jax")
    parser.add_argument("--torch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=CASES)
    parser.add_argument("--json")
    options = parser.parse_args()
    os.chdir(os.path.join(HERE, "../.."))
    peers = [(p, s) for p, s in ((options.jax, "jax_cpu.py"), (options.torch, "torch_cpu.py")) if p]
    ours, records, theirs = {}, [], {}
    for round in range(options.rounds):
        record, rates = theta_round(options.only)
        records.append(record)
        for name, rate in rates.items():
            ours.setdefault(name, []).append(rate)
        for python, script in peers:
            peer, rates = peer_round(python, script, options.only)
            for name, rate in rates.items():
                theirs.setdefault(name, {}).setdefault(peer, []).append(rate)
        print(f"round {round + 1} of {options.rounds} done", file=sys.stderr)
    ceiling = statistics.median(r["ceilings"]["multiply_add_TFLOP_per_s"] for r in records)
    record = records[-1]
    record["rounds"], record["peers"] = options.rounds, []
    for result in record["results"]:
        name = result["name"]
        rate = statistics.median(ours[name])
        flops = result["flops"] * rate / (result["network_steps_per_s"] * result["value"] * 1e-3 if "network_steps_per_s" in result else 1)
        entry = {"name": name, "per_s": rate, "GFLOP_per_s": flops * 1e-9, "share_of_multiply_adds": flops * 1e-12 / ceiling, "rounds": ours[name], "peers": {}}
        text = f"{name:<42}{rate:>12,.1f} /s {flops * 1e-9:>7.1f} GFLOP/s {100 * entry['share_of_multiply_adds']:>5.1f} %"
        for peer, rates in theirs.get(name, theirs.get(name.removesuffix("_bf16"), {})).items():  # what has no bf16 of its own: fp32
            their = statistics.median(rates)
            entry["peers"][peer] = {"per_s": their, "ratio": rate / their, "rounds": rates}
            text += f"   {peer} {their:,.1f}: {rate / their:.2f} times"
        record["peers"].append(entry)
        print(text)
    if options.json:
        with open(options.json, "w") as file:
            file.write(json.dumps(record, indent=1) + "\n")


main()
