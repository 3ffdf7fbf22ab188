#!/usr/bin/env python3
"""How long one request takes, of one text and of several, beside what its users could run instead: tables in Markdown.

  pip install -r benches/python/requirements.txt
  cargo build --release
  benches/python/latency.py --texts FILE [--model FOLDER] [--sizes 1,8] [--requests 40] [--rounds 5] [--before BINARY] [CONTENDER ...]

One client waits for each answer before it asks again, and asks each text once a round. textflight answers POST /predictions on a connection that
stays open; the others are called in their own process, tokenizing included, with as many threads as suit them best. Every contender
runs once a round, one after the other; --before is another binary of ours beside them. FILE, --model and --cache are as in peers.py.
"""
import argparse, http.client, json, os, statistics, sys, time

from client import Server, processor
from networks import PEERS, Peer, arguments, prepare, read_texts

OURS = ["textflight-f32", "textflight-bf16", "textflight-int8"]


class Textflight:
    """A server of ours, and a connection to it."""

    def __init__(self, dtype, args, binary):
        self.server = Server(binary, "--model", args.model, "--dtype", dtype)
        self.kernels = self.server.kernels()
        self.connection = http.client.HTTPConnection(self.server.http)

    def seconds(self, requests):
        return [self.ask(texts) for texts in requests]

    def ask(self, texts):
        start = time.perf_counter()
        body = json.dumps({"input": {"texts": json.dumps(texts)}})
        self.connection.request("POST", "/predictions", body, {"Content-Type": "application/json"})
        answer = json.load(self.connection.getresponse())
        seconds = time.perf_counter() - start
        assert answer["status"] == "succeeded" and len(answer["output"]["predicted_labels"]) == len(texts), answer
        return seconds

    def close(self):
        self.connection.close()
        self.server.close()


def at_its_best(name, args, requests):
    """The peer with the number of threads, one to all cores, that answers soonest."""
    cores = os.cpu_count()
    candidates = sorted({1, cores // 2, cores} - {0})
    tried = {}
    for threads in candidates:
        peer = Peer(name, args, threads)
        peer.seconds(requests[:5])
        tried[threads] = statistics.median(peer.seconds(requests))
        peer.close()
    return min(tried, key=tried.get)


def contender(name, args, requests):
    """What answers requests, and how it is called in the tables."""
    if name.startswith("before-"):
        return Textflight(name.removeprefix("before-textflight-"), args, args.before), name
    if name in OURS:
        ours = Textflight(name.removeprefix("textflight-"), args, args.binary)
        return ours, f"{name} ({ours.kernels})"
    threads = at_its_best(name, args, requests)
    return Peer(name, args, threads), f"{name}, {threads} thread{'s' if threads > 1 else ''}"


def measure(args, names, requests):
    """The rounds of each contender, each the median and the 95th percentile in milliseconds, and how it is called."""
    answering = {}
    rounds, called = {name: [] for name in names}, {}
    try:
        for name in names:
            print(f"loading {name}", file=sys.stderr, flush=True)
            answering[name], called[name] = contender(name, args, requests)
            answering[name].seconds(requests[:5])
        for number in range(1, args.rounds + 1):
            for name in names:
                times = [1000 * s for s in answering[name].seconds(requests)]
                rounds[name].append((statistics.median(times), statistics.quantiles(times, n=20, method="inclusive")[-1]))
                print(f"round {number}: {name}: p50 {rounds[name][-1][0]:.2f} ms", file=sys.stderr, flush=True)
    finally:
        for each in answering.values():
            each.close()
    return rounds, called


def report(size, rounds, called):
    print(f"\n| {size} text{'s' if size > 1 else ''} a request | p50, ms | p95, ms |\n|---|---|---|")
    for name, measured in rounds.items():
        p50, p95 = (statistics.median(column) for column in zip(*measured))
        print(f"| {called[name]} | {p50:.2f} | {p95:.2f} |")
    ours, others = [n for n in rounds if n in OURS], [n for n in rounds if n not in OURS]
    if ours and others:
        print("\np50 as a part of theirs, median of the rounds' ratios:\n")
        print("| | " + " | ".join(others) + " |\n|---|" + "---|" * len(others))
        for name in ours:
            ratio = lambda other: statistics.median(a / b for (a, _), (b, _) in zip(rounds[name], rounds[other]))
            print(f"| {name} | " + " | ".join(f"{ratio(other):.2f}" for other in others) + " |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("contenders", nargs="*", metavar="CONTENDER", help=f"any of {', '.join(OURS + PEERS)}; all by default")
    arguments(p)
    p.add_argument("--before", help="another binary of ours, to compare with")
    p.add_argument("--sizes", default="1,8", help="texts a request")
    p.add_argument("--requests", type=int, default=40, help="of each contender in a round, at least 20")
    p.add_argument("--rounds", type=int, default=5)
    args = p.parse_args()
    names = args.contenders or OURS + PEERS
    if unknown := set(names) - set(OURS + PEERS):
        p.error(f"no such contender: {', '.join(sorted(unknown))}")
    if args.requests < 20:
        p.error(f"--requests {args.requests}: the 95th percentile needs 20")
    texts = read_texts(args)
    prepare(args, names, texts)
    if args.before:
        names = names + [f"before-{name}" for name in names if name in OURS]
    print(f"{args.requests} requests a round with texts of {args.texts.name}, {args.rounds} rounds, {os.cpu_count()} cores, {processor()}, {time.strftime('%Y-%m-%d')}")
    for size in map(int, args.sizes.split(",")):
        if len(texts) < size * args.requests:
            p.error(f"{args.texts} has {len(texts)} texts; {args.requests} requests of {size} need {size * args.requests}")
        requests = [texts[size * i:size * (i + 1)] for i in range(args.requests)]
        report(size, *measure(args, names, requests))


if __name__ == "__main__":
    main()
