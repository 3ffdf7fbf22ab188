"""Requests a second and their latency, at 1, 16 and 64 clients with 1 and 32 texts a request, then one text while a table is scored.

oha sends the same body again and again, and equal texts that wait together are computed once: with several clients the figures are upper
bounds. Needs oha (`cargo install oha`) and pyarrow. It prints tables in Markdown:

    python benches/python/load.py --model data/sst2-mini
"""
import argparse
import json
import pathlib
import subprocess
import threading

import pyarrow as pa

from client import Server, exchange, processor

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SENTENCES = ["a gripping , funny and touching film", "too long by half , and dull throughout", "it never quite finds its feet", "what a joy"]


def load(args, server, texts, clients, seconds):
    """Requests a second, p50 and p99 in milliseconds; every answer must be 200."""
    body = json.dumps({"input": {"texts": json.dumps([f"{SENTENCES[n % len(SENTENCES)]} {n}" for n in range(texts)])}})
    command = [args.oha, "-z", f"{seconds}s", "-c", str(clients), "-m", "POST", "-T", "application/json", "-d", body, "--no-tui", "--output-format", "json"]
    run = json.loads(subprocess.run([*command, f"http://{server.http}/predictions"], capture_output=True, text=True, check=True).stdout)
    answers = run["statusCodeDistribution"]
    assert set(answers) == {"200"}, answers
    percentiles = run["latencyPercentiles"]
    return run["summary"]["requestsPerSec"], percentiles["p50"] * 1000, percentiles["p99"] * 1000


def clients(args, server):
    print("\n| texts a request | clients | requests/s | texts/s | p50, ms | p99, ms |\n|---|---|---|---|---|---|")
    for texts in (1, 32):
        for count in (1, 16, 64):
            rate, p50, p99 = load(args, server, texts, count, args.seconds)
            print(f"| {texts} | {count} | {rate:,.0f} | {rate * texts:,.0f} | {p50:.2f} | {p99:.2f} |", flush=True)


def overtaking(args, server):
    """One text, one client: idle, and while a DoExchange of many rows runs."""
    idle = load(args, server, 1, 1, args.seconds)
    table = pa.table({"text": [SENTENCES[n % len(SENTENCES)] + f" {n}" for n in range(args.rows)]})
    bulk = threading.Thread(target=exchange, args=(server.flight, table))
    bulk.start()
    busy = load(args, server, 1, 1, args.seconds)
    assert bulk.is_alive(), "the table was scored too soon: give more --rows"
    bulk.join()
    print("\n| one text, one client | requests/s | p50, ms | p99, ms |\n|---|---|---|---|")
    for name, (rate, p50, p99) in (("idle", idle), (f"while a DoExchange of {args.rows:,} rows runs", busy)):
        print(f"| {name} | {rate:,.0f} | {p50:.2f} | {p99:.2f} |")
    print(f"\np99 is {busy[2] / idle[2]:.1f} times its idle one.")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--binary", default=REPOSITORY / "target" / "release" / "textflight")
    p.add_argument("--model", default=REPOSITORY / "data" / "sst2-mini")
    p.add_argument("--oha", default="oha", help="where oha is, if not on the path")
    p.add_argument("--seconds", type=int, default=8, help="of each measurement")
    p.add_argument("--rows", type=int, default=1_000_000, help="of the table")
    p.add_argument("--overtaking", action="store_true", help="measure that alone")
    args = p.parse_args()
    print(f"{pathlib.Path(args.model).name}, {processor()}")
    with Server(args.binary, "--model", args.model) as server:
        load(args, server, 32, 16, 2)  # not counted: memory and caches warm up
        if not args.overtaking:
            clients(args, server)
        overtaking(args, server)


if __name__ == "__main__":
    main()
