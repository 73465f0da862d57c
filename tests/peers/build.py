"""How long theta takes to build: a clean clone of each commit given, one after another, without ccache, on a machine with nothing else running.
python3 tests/peers/build.py RECORD.json COMMIT [COMMIT ...] [--tests]

Every compilation is timed through the Makefile's CCACHE variable: wall and processor seconds of each object, the twenty slowest of them, nvcc's
apart; then `make demo` to its last picture, and with --tests `make test`."""
import datetime, json, os, pathlib, re, subprocess, sys, tempfile, time

timer = """#!/usr/bin/env python3
import os, resource, subprocess, sys, time
begin = time.time(); status = subprocess.call(sys.argv[1:]); used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(os.environ["BUILD_TIMES"], "a") as f: print(sys.argv[sys.argv.index("-o") + 1], time.time() - begin, used.ru_utime + used.ru_stime, used.ru_maxrss // 1024, sep="\\t", file=f)
sys.exit(status)
"""

def seconds(command, folder, **environment):
    begin = time.time()
    done = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return time.time() - begin, done

def measured(repository, commit, tests):
    with tempfile.TemporaryDirectory() as place:
        tree, times, wrapper = pathlib.Path(place) / "theta", pathlib.Path(place) / "times", pathlib.Path(place) / "timer"
        subprocess.run(["git", "clone", "-q", repository, tree], check=True); subprocess.run(["git", "checkout", "-q", commit], cwd=tree, check=True)
        wrapper.write_text(timer); wrapper.chmod(0o755)
        about = {"commit": subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=tree, capture_output=True, text=True).stdout.strip()}
        for name, command in [("deps", ["make", "deps"]), ("build", ["make", f"CCACHE={wrapper}", "build/theta"]), ("demo", ["make", f"CCACHE={wrapper}", "demo"])] + ([("test", ["make", f"CCACHE={wrapper}", "test"])] if tests else []):
            about[name + "_s"], done = seconds(command, tree, BUILD_TIMES=str(times))
            if done.returncode != 0: sys.exit(f"{commit}: {' '.join(map(str, command))}: {done.stdout[-2000:]}")
            if name == "test": about["test_ends"] = done.stdout.strip().splitlines()[-1]
            if name == "build":
                objects = [(o, float(w), float(c), int(m)) for o, w, c, m in (row.split("\t") for row in times.read_text().splitlines())]
                about["objects"] = len(objects)
                about["cpp_processor_s"] = sum(c for o, w, c, m in objects if not o.endswith(".cu.o")); about["nvcc_processor_s"] = sum(c for o, w, c, m in objects if o.endswith(".cu.o"))
                about["slowest"] = [{"object": re.sub("^build/[^/]*/", "", o), "processor_s": round(c, 1), "MiB": m} for o, w, c, m in sorted(objects, key=lambda x: -x[2])[:20]]
        return about

if __name__ == "__main__":
    arguments = [a for a in sys.argv[1:] if a != "--tests"]
    if len(arguments) < 2: sys.exit(__doc__)
    repository = pathlib.Path(__file__).resolve().parents[2]
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    record = {"what": "clean builds", "date": datetime.date.today().isoformat(), "machine": f"{model}, {os.cpu_count()} cores", "commits": [measured(repository, c, "--tests" in sys.argv) for c in arguments[1:]]}
    pathlib.Path(arguments[0]).write_text(json.dumps(record, indent=1) + "\n")
