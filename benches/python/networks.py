"""What users could run instead of textflight: the same checkpoint in PyTorch, ONNX Runtime and OpenVINO, each in a process of its own."""
import hashlib
import json
import pathlib
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
MAX_LENGTH = 128
PEERS = ["torch", "torch-bf16", "ort", "ort-int8", "openvino", "openvino-bf16", "openvino-int8"]


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


def openvino_int8(full, cache, calibration):
    """OpenVINO's fastest: weights and activations in 8 bits, quantized by NNCF over 25 batches of the texts; made once."""
    path = cache / "openvino-int8.xml"
    if not path.exists():
        import nncf
        import openvino

        data = nncf.Dataset([feeds(x) for x in calibration])
        quantized = nncf.quantize(openvino.Core().read_model(full), data, model_type=nncf.ModelType.TRANSFORMER, subset_size=25)
        openvino.save_model(quantized, path)
    return path


def feeds(x):
    """The inputs of the ONNX file."""
    return {key: x[key].astype("int64") for key in ("input_ids", "attention_mask")}


def tokenized(tokenizer, texts):
    return tokenizer(texts, padding=True, truncation=True, max_length=MAX_LENGTH, return_tensors="np")


def prepare(args, peers, texts):
    """The checkpoint, if `args` names none, and the files that these peers read, in `args.cache`; `texts` calibrate what is quantized."""
    from transformers import AutoTokenizer

    if not args.model:
        args.model = args.cache / "random-base"
        if not (args.model / "tokenizer_config.json").exists():
            random_base(args.model)
    # ONNX files belong to one checkpoint.
    folder = args.model.resolve()
    args.cache = args.cache / f"onnx-{folder.name}-{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    args.cache.mkdir(parents=True, exist_ok=True)
    if any(peer.startswith(("ort", "openvino")) for peer in peers):
        full, _ = onnx_files(args.model, args.cache)
        if "openvino-int8" in peers:
            tokenizer = AutoTokenizer.from_pretrained(args.model)
            openvino_int8(full, args.cache, [tokenized(tokenizer, some) for i in range(32) if (some := texts[i::32][:32])])


def arguments(parser):
    """Where a bench finds texts, model and binary."""
    parser.add_argument("--texts", type=pathlib.Path, required=True, help="a text a line, or a Parquet file")
    parser.add_argument("--column", default="text")
    parser.add_argument("--model", type=pathlib.Path, help="a DistilBERT classifier's folder")
    parser.add_argument("--cache", type=pathlib.Path, default=REPOSITORY / "target/peers", help="where ONNX files and the random checkpoint are kept")
    parser.add_argument("--binary", type=pathlib.Path, default=REPOSITORY / "target/release/textflight")


def read_texts(args):
    """The texts that are not blank."""
    if args.texts.suffix == ".parquet":
        import pyarrow.parquet as pq

        texts = pq.read_table(args.texts, columns=[args.column])[args.column].to_pylist()
    else:
        texts = args.texts.read_text(encoding="utf-8").splitlines()
    return [t for t in texts if t and t.strip()]


def network(peer, model, cache, threads):
    """A function from a tokenized batch to logits; the files of `prepare` are there."""
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
        return lambda x: session.run(None, feeds(x))[0]
    import openvino

    core = openvino.Core()
    file = cache / "openvino-int8.xml" if peer == "openvino-int8" else full
    compiled = core.compile_model(core.read_model(file), "CPU", {
        "INFERENCE_PRECISION_HINT": "bf16" if peer == "openvino-bf16" else "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads})
    return lambda x: next(iter(compiled(feeds(x)).values()))


class Peer:
    """One of them, in a process of its own."""

    def __init__(self, name, args, threads):
        command = [str(c) for c in (sys.executable, __file__, name, args.model, args.cache, threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        if self.process.stdout.readline() != "ready\n":
            sys.exit(f"{name} ended; to see why: {' '.join(command)}")

    def seconds(self, batches):
        """How long each batch of texts took, tokenizing included."""
        self.process.stdin.write(json.dumps(batches) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def answer(name, model, cache, threads):
    """The process of a peer."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    forward = network(name, model, cache, threads)
    print("ready", flush=True)
    for line in sys.stdin:
        seconds = []
        for texts in json.loads(line):
            start = time.perf_counter()
            forward(tokenized(tokenizer, texts))
            seconds.append(time.perf_counter() - start)
        print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    answer(sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]), int(sys.argv[4]))
