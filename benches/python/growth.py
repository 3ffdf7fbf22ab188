#!/usr/bin/env python3
"""How speed and memory grow with rows, with text length and with clients: tables in Markdown. The bundled model, this machine.

  pip install pyarrow
  cargo build --release
  benches/python/growth.py [--dtype f32] [--most-rows 1000000]

Every text ends in its own number, so that none is computed once for many. Loading is not counted.
"""
import argparse, json, os, pathlib, random, subprocess, tempfile, threading, time

import pyarrow as pa
import pyarrow.parquet as pq

from client import Server, exchange, processor

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent.parent
MODEL = REPOSITORY / "data/sst2-mini"
REVIEWS = pq.read_table(REPOSITORY / "data/reviews.parquet", columns=["text"])["text"].to_pylist()


def texts(rows):
    return pa.table({"text": [f"{REVIEWS[i % len(REVIEWS)]} {i}" for i in range(rows)]})


def score(args, folder, table, *options):
    """Rows a second of one file, and the process's peak memory in MiB."""
    file, out = folder / "in.parquet", folder / "out.parquet"
    pq.write_table(table, file)
    out.unlink(missing_ok=True)
    command = [args.binary, "score", file, "-o", out, "--json", "--model", MODEL, "--dtype", args.dtype, *options]
    process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    peak = 0
    # What the system counts for a child that has ended includes this process, of which it was a copy.
    while process.poll() is None:
        peak = max(peak, memory(process))
        time.sleep(0.01)
    summary = json.loads(process.stdout.read())
    assert process.returncode == 0 and summary["rows"] == table.num_rows
    return summary["rows_per_second"], peak


def memory(process):
    """The most MiB that a running process has had resident, 0 when it has just ended."""
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return next((int(l.split()[1]) / 1024 for l in status.splitlines() if l.startswith("VmHWM")), 0)


def rows(args, folder):
    print("| rows | rows/s | peak memory, MiB |\n|---|---|---|")
    count = 1000
    while count <= args.most_rows:
        speed, peak = score(args, folder, texts(count))
        print(f"| {count:,} | {speed:,.0f} | {peak:.0f} |", flush=True)
        count *= 10


def lengths(args, folder):
    """Texts of words that are one token each, so that their number is the length but for the two special tokens."""
    words = [w for w in (MODEL / "vocab.txt").read_text().splitlines() if w.isascii() and w.isalpha() and len(w) > 2]
    print("\n| tokens a text | tokens/s | rows/s | peak memory, MiB |\n|---|---|---|---|")
    for length in [4, 8, 16, 32, 64, 128, 256, 512]:
        rng = random.Random(length)
        column = [" ".join(rng.choices(words, k=length - 2)) for _ in range(max(400_000 // length, 2000))]
        speed, peak = score(args, folder, pa.table({"text": column}), "--max-length", "512")
        print(f"| {length} | {speed * length:,.0f} | {speed:,.0f} | {peak:.0f} |", flush=True)


def clients(args):
    print("\n| clients | rows/s together | peak memory of the server, MiB |\n|---|---|---|")
    for count in [1, 4, 16, 64]:
        with Server(args.binary, "--model", MODEL, "--dtype", args.dtype) as server:
            table = texts(64_000)
            parts = [table.slice(i * 64_000 // count, 64_000 // count) for i in range(count)]
            start = time.perf_counter()
            threads = [threading.Thread(target=exchange, args=(server.flight, part)) for part in parts]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            seconds = time.perf_counter() - start
            print(f"| {count} | {64_000 / seconds:,.0f} | {memory(server.process):.0f} |", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--binary", type=pathlib.Path, default=REPOSITORY / "target/release/textflight")
    p.add_argument("--dtype", default="f32")
    p.add_argument("--most-rows", type=int, default=1_000_000)
    args = p.parse_args()
    print(f"{args.dtype}, {os.cpu_count()} cores, {processor()}, {time.strftime('%Y-%m-%d')}\n")
    with tempfile.TemporaryDirectory() as folder:
        rows(args, pathlib.Path(folder))
        lengths(args, pathlib.Path(folder))
    clients(args)


if __name__ == "__main__":
    main()
