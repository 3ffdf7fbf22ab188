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

HERE = pathlib.Path(__file__).resolve()
REPOSITORY = HERE.parent.parent.parent
OURS = ["textflight-f32", "textflight-bf16", "textflight-int8"]
PEERS = ["torch", "torch-bf16", "ort", "ort-int8", "openvino", "openvino-bf16"]
BATCH, MAX_LENGTH = 32, 128


def random_base(folder):
    """A checkpoint of the real size, and its tokenizer from the bundled vocabulary."""
    import torch
    from transformers import BertTokenizerFast, DistilBertConfig, DistilBertForSequenceClassification

    torch.manual_seed(0)
    config = DistilBertConfig(num_labels=2, id2label={0: "NEGATIVE", 1: "POSITIVE"}, label2id={"NEGATIVE": 0, "POSITIVE": 1})
    DistilBertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(str(REPOSITORY / "data/sst2-mini/vocab.txt"), do_lower_case=True).save_pretrained(folder)


def onnx_files(model, cache):
    """The model as ONNX, in f32 and with dynamic int8 weights, made once."""
    full, small = cache / "model.onnx", cache / "model-int8.onnx"
    if not full.exists():
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        network = AutoModelForSequenceClassification.from_pretrained(model, attn_implementation="eager").float().eval()
        example = AutoTokenizer.from_pretrained(model)(["two texts", "of other lengths , as they come"], padding=True, return_tensors="pt")
        axes = {0: "batch", 1: "sequence"}
        torch.onnx.export(network, (example["input_ids"], example["attention_mask"]), str(full), dynamo=False, opset_version=17,
                          input_names=["input_ids", "attention_mask"], output_names=["logits"],
                          dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "batch"}})
    if not small.exists():
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(str(full), str(small), weight_type=QuantType.QInt8)
    return full, small


def network(peer, model, cache, threads):
    """A function from a tokenized batch to logits."""
    if peer.startswith("torch"):
        import torch
        from transformers import AutoModelForSequenceClassification

        torch.set_num_threads(threads)
        loaded = AutoModelForSequenceClassification.from_pretrained(model, attn_implementation="sdpa").float().eval()
        if peer == "torch-bf16":
            loaded = loaded.to(torch.bfloat16)

        def forward(x):
            with torch.inference_mode():
                return loaded(torch.from_numpy(x["input_ids"]), torch.from_numpy(x["attention_mask"])).logits.float().numpy()
        return forward
    full, small = onnx_files(model, cache)
    if peer.startswith("ort"):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(small if peer == "ort-int8" else full), options, ["CPUExecutionProvider"])
        return lambda x: session.run(None, {k: x[k].astype("int64") for k in ("input_ids", "attention_mask")})[0]
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(full), "CPU", {
        "INFERENCE_PRECISION_HINT": "bf16" if peer == "openvino-bf16" else "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads})
    return lambda x: next(iter(compiled({k: x[k].astype("int64") for k in ("input_ids", "attention_mask")}).values()))


def serve_peer(peer, args):
    """The child process of a peer: loads, then answers each line, "client" or "sorted", with its rows a second."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    forward = network(peer, args.model, args.cache, args.threads)
    texts = json.loads(args.texts.read_text())

    def run(texts):
        for i in range(0, len(texts), BATCH):
            forward(tokenizer(texts[i:i + BATCH], padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="np"))

    run(texts[:3 * BATCH])
    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        run(sorted(texts, key=len) if line.strip() == "sorted" else texts)
        print(len(texts) / (time.perf_counter() - start), flush=True)


class Peer:
    """One of the others, in a process of its own."""

    orders = ["client", "sorted"]

    def __init__(self, name, args, texts):
        command = [sys.executable, str(HERE), "--serve", name, "--model", args.model, "--cache", args.cache, "--texts", texts, "--threads", str(args.threads)]
        self.process = subprocess.Popen([str(c) for c in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        while (line := self.process.stdout.readline()) != "ready\n":
            if not line:
                sys.exit(f"{name} ended; to see why: {' '.join(map(str, command))}")

    def run(self, order):
        self.process.stdin.write(order + "\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Textflight:
    """Our binary in one precision: a Parquet file, and the same rows through DoExchange."""

    orders = ["Parquet", "DoExchange"]

    def __init__(self, name, args, texts):
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.model = ["--model", str(args.model), "--dtype", name.removeprefix("textflight-"), "--threads", str(args.threads)]
        self.binary, self.folder = str(args.binary), texts.parent
        self.table = pa.table({"text": json.loads(texts.read_text())})
        pq.write_table(self.table, self.folder / "texts.parquet")
        # The threads of a server that nobody asks sleep.
        self.server = subprocess.Popen([self.binary, "serve", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0", *self.model],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        ready = self.server.stdout.readline()
        if not ready.startswith("ready"):
            sys.exit(f"{self.binary} serve {' '.join(self.model)} did not get ready")
        self.address = ready.split()[1].removeprefix("flight=")
        self.exchange()

    def run(self, order):
        return self.parquet() if order == "Parquet" else self.exchange()

    def parquet(self):
        out = self.folder / "scored.parquet"
        out.unlink(missing_ok=True)
        command = [self.binary, "score", self.folder / "texts.parquet", "-o", out, "--text", "text", "--json", *self.model]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["rows_per_second"]

    def exchange(self):
        from client import exchange

        start = time.perf_counter()
        exchange(self.address, self.table)
        return self.table.num_rows / (time.perf_counter() - start)

    def close(self):
        self.server.terminate()
        self.server.wait()


def report(names, contenders, measured, args, count):
    from client import processor

    print(f"\n{count} rows of {args.texts.name}, {args.threads} threads, {processor()}, {time.strftime('%Y-%m-%d')}; "
          f"rows/s, median of {args.rounds} rounds (least to most)\n")
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
    print("| | " + " | ".join(f"{p}, {o}" for p in peers for o in Peer.orders) + " |\n|---|" + "---|" * (2 * len(peers)))
    for name in ours:
        ratio = lambda way, p, o: statistics.median(a / b for a, b in zip(measured[name, way], measured[p, o]))
        cells = [" / ".join(f"{ratio(way, p, o):.2f}" for way in Textflight.orders) for p in peers for o in Peer.orders]
        print(f"| {name} | " + " | ".join(cells) + " |")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("contenders", nargs="*", metavar="CONTENDER", help=f"any of {', '.join(OURS + PEERS)}; all by default")
    p.add_argument("--texts", type=pathlib.Path, required=True)
    p.add_argument("--column", default="text")
    p.add_argument("--model", type=pathlib.Path, help="a DistilBERT classifier's folder")
    p.add_argument("--cache", type=pathlib.Path, default=REPOSITORY / "target/peers", help="where ONNX files and the random checkpoint are kept")
    p.add_argument("--rows", type=int, default=872)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--binary", type=pathlib.Path, default=REPOSITORY / "target/release/textflight")
    p.add_argument("--serve", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.serve:
        return serve_peer(args.serve, args)
    names = args.contenders or OURS + PEERS
    if unknown := set(names) - set(OURS + PEERS):
        p.error(f"no such contender: {', '.join(sorted(unknown))}")
    if not args.model:
        args.model = args.cache / "random-base"
        if not (args.model / "tokenizer_config.json").exists():
            random_base(args.model)
    # ONNX files belong to one checkpoint.
    args.cache = args.cache / f"onnx-{args.model.resolve().name}"
    args.cache.mkdir(parents=True, exist_ok=True)
    if any(n.startswith(("ort", "openvino")) for n in names):
        onnx_files(args.model, args.cache)
    if args.texts.suffix == ".parquet":
        import pyarrow.parquet as pq

        texts = pq.read_table(args.texts, columns=[args.column])[args.column].to_pylist()
    else:
        texts = args.texts.read_text(encoding="utf-8").splitlines()
    texts = [t for t in texts if t and t.strip()][:args.rows]
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "texts.json"
        file.write_text(json.dumps(texts))
        contenders = {}
        try:
            for name in names:
                print(f"loading {name}", file=sys.stderr, flush=True)
                contenders[name] = (Textflight if name in OURS else Peer)(name, args, file)
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
