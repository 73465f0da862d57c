#!/usr/bin/env python3
"""How fast rows of a large file come into memory: copied out of a mapping, by pread, by pread with the next rows asked for
ahead, and by pread past the kernel's cache (O_DIRECT). Rows in a random order, as batches are drawn, and one after another,
as windows are; from a cold cache and from a warm one; by turns, medians of GB/s. Needs disk for the file, and an otherwise
idle machine. --json FILE writes a record."""
import argparse, json, mmap, os, random, statistics, tempfile, time

ALIGNED = 4096
WAYS = ["mapping", "pread", "pread, next asked for", "O_DIRECT"]


def drop(path):
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def read_all(path, size, way, order, row, buffer):
    file = os.open(path, os.O_RDONLY | (os.O_DIRECT if way == "O_DIRECT" else 0))
    mapping = mmap.mmap(file, size, prot=mmap.PROT_READ) if way == "mapping" else None
    to = memoryview(buffer)[:row]
    start = time.perf_counter()
    for i, at in enumerate(order):
        if mapping:
            to[:] = memoryview(mapping)[at : at + row]
            continue
        if way == "pread, next asked for" and i + 1 < len(order):
            os.posix_fadvise(file, order[i + 1], row, os.POSIX_FADV_WILLNEED)
        if os.preadv(file, [to], at) != row:
            raise RuntimeError(f"{path}: a short read at {at}")
    seconds = time.perf_counter() - start
    if mapping:
        mapping.close()
    os.close(file)
    return len(order) * row / seconds / 1e9


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", help="where the file is made (a real disk, not a tmpfs)")
    parser.add_argument("--gib", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    options = parser.parse_args()
    size = int(options.gib * (1 << 30)) // (64 << 20) * (64 << 20)
    rows = {"4 KiB": 4 << 10, "64 KiB": 64 << 10, "1 MiB": 1 << 20, "8 MiB": 8 << 20, "64 MiB": 64 << 20}
    results = []
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = os.path.join(folder, "rows")
        block = os.urandom(64 << 20)
        with open(path, "wb") as file:
            for _ in range(size // len(block)):
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
        buffer = mmap.mmap(-1, max(rows.values()))  # page aligned, as O_DIRECT wants it
        buffer.write(bytes(len(buffer)))
        for name, row in rows.items():
            for pattern in ["random", "in order"]:
                order = list(range(0, size, row))
                if pattern == "random":
                    random.Random(1).shuffle(order)
                order = order[: max(8, min(len(order), int(1e9) // row, 20000))]
                for cache in ["cold", "warm"]:
                    rates = {way: [] for way in WAYS}
                    for _ in range(options.rounds):
                        for way in WAYS:
                            drop(path)
                            if cache == "warm":
                                read_all(path, size, "pread", order, row, buffer)
                            rates[way].append(read_all(path, size, way, order, row, buffer))
                    found = {way: statistics.median(r) for way, r in rates.items()}
                    results.append({"row_bytes": row, "order": pattern, "cache": cache, "gb_per_second": found})
                    print(f"{name:>7} {pattern:9} {cache:5}", "  ".join(f"{way}: {rate:6.2f} GB/s" for way, rate in found.items()), flush=True)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"program": "tests/peers/reads.py", "rounds": options.rounds, "file_bytes": size, "results": results}, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
