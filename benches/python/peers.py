#!/usr/bin/env python3
"""Rows a second of textflight and of what its users could run instead, on this machine, as tables in Markdown.

  pip install -r benches/python/requirements.txt
  cargo build --release
  benches/python/peers.py --texts FILE [--model FOLDER] [--rows 872] [--rounds 5] [CONTENDER ...]

FILE holds a text a line, or is a Parquet file (--column text). Without --model a checkpoint of DistilBERT-base's size with random
weights is made once in --cache: speed does not depend on their values.

Every contender runs once a round, one after the other, so that a noisy machine is noisy to all; medians of all rounds are printed.
Loading is not counted, all else is: reading and writing a Parquet file or a Flight stream for textflight, tokenizing in batches of
32 rows, padded to their longest, for the others. "sorted" orders the rows by length first, as a careful user would; textflight does so itself.
"""
import argparse, json, os, pathlib, statistics, subprocess, sys, tempfile, time

from client import Server, exchange, processor
from networks import PEERS, Peer, arguments, prepare, read_texts

OURS = ["textflight-f32", "textflight-bf16", "textflight-int8"]
BATCH = 32


class Rival:
    """One of the others, in batches of 32."""

    orders = ["client", "sorted"]

    def __init__(self, name, args, texts):
        self.texts, self.peer = texts, Peer(name, args, args.threads)
        self.peer.seconds(batches(texts[:3 * BATCH]))
        self.close = self.peer.close

    def run(self, order):
        texts = sorted(self.texts, key=len) if order == "sorted" else self.texts
        return len(texts) / sum(self.peer.seconds(batches(texts)))


def batches(texts):
    return [texts[i:i + BATCH] for i in range(0, len(texts), BATCH)]


class Textflight:
    """Our binary in one precision: a Parquet file, and the same rows through DoExchange."""

    orders = ["Parquet", "DoExchange"]

    def __init__(self, name, args, texts):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.model = ["--model", str(args.model), "--dtype", name.removeprefix("textflight-"), "--threads", str(args.threads)]
        self.binary, self.folder = str(args.binary), args.folder
        self.table = pa.table({"text": texts})
        pq.write_table(self.table, self.folder / "texts.parquet")
        # The threads of a server that nobody asks sleep.
        self.server = Server(self.binary, *self.model)
        self.kernels, self.close = self.server.kernels(), self.server.close
        self.exchange()

    def run(self, order):
        return self.parquet() if order == "Parquet" else self.exchange()

    def parquet(self):
        out = self.folder / "scored.parquet"
        out.unlink(missing_ok=True)
        command = [self.binary, "score", self.folder / "texts.parquet", "-o", out, "--text", "text", "--json", *self.model]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["rows_per_second"]

    def exchange(self):
        start = time.perf_counter()
        exchange(self.server.flight, self.table)
        return self.table.num_rows / (time.perf_counter() - start)


def report(names, contenders, measured, args, count):
    print(f"\n{count} rows of {args.texts.name}, {args.threads} threads, {processor()}, {time.strftime('%Y-%m-%d')}; "
          f"rows/s, median of {args.rounds} rounds (least to most)")
    for name in filter(OURS.__contains__, names):
        print(f"{name}: {contenders[name].kernels}")
    print()
    cell = lambda values: f"{statistics.median(values):.1f} ({min(values):.1f}–{max(values):.1f})"
    print("| | client order | sorted by length |\n|---|---|---|")
    for name in names:
        for order in contenders[name].orders:
            if order == "sorted":
                continue
            values = measured[name, order]
            other = cell(measured[name, "sorted"]) if order == "client" else "as it comes"
            print(f"| {name}{'' if order == 'client' else ', ' + order} | {cell(values)} | {other} |")
    ours, peers = [n for n in names if n in OURS], [n for n in names if n in PEERS]
    if not ours or not peers:
        return
    print("\nTimes as fast as each, Parquet / DoExchange, median of the rounds' ratios:\n")
    print("| | " + " | ".join(f"{p}, {o}" for p in peers for o in Rival.orders) + " |\n|---|" + "---|" * (2 * len(peers)))
    for name in ours:
        ratio = lambda way, p, o: statistics.median(a / b for a, b in zip(measured[name, way], measured[p, o]))
        cells = [" / ".join(f"{ratio(way, p, o):.2f}" for way in Textflight.orders) for p in peers for o in Rival.orders]
        print(f"| {name} | " + " | ".join(cells) + " |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("contenders", nargs="*", metavar="CONTENDER", help=f"any of {', '.join(OURS + PEERS)}; all by default")
    arguments(p)
    p.add_argument("--rows", type=int, default=872)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    args = p.parse_args()
    names = args.contenders or OURS + PEERS
    if unknown := set(names) - set(OURS + PEERS):
        p.error(f"no such contender: {', '.join(sorted(unknown))}")
    texts = read_texts(args)[:args.rows]
    prepare(args, names, texts)
    with tempfile.TemporaryDirectory() as folder:
        args.folder, contenders = pathlib.Path(folder), {}
        try:
            for name in names:
                print(f"loading {name}", file=sys.stderr, flush=True)
                contenders[name] = (Textflight if name in OURS else Rival)(name, args, texts)
            measured = {(n, o): [] for n in names for o in contenders[n].orders}
            for number in range(1, args.rounds + 1):
                for name, order in measured:
                    measured[name, order].append(contenders[name].run(order))
                    print(f"round {number}: {name}, {order}: {measured[name, order][-1]:.1f} rows/s", file=sys.stderr, flush=True)
        finally:
            for contender in contenders.values():
                contender.close()
    report(names, contenders, measured, args, len(texts))


if __name__ == "__main__":
    main()
