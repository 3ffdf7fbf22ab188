"""How many labels change with what a GPU rounds: numpy's forward of a DistilBERT, rounded where the kernels round.

  benches/python/rounding.py data/sst2-mini dev.tsv reviews.txt

Each FILE is one text a line, or a .tsv whose first column is `sentence`. Texts are cut at 128 tokens. Needs numpy, scipy, tokenizers and ml_dtypes.

f32 with the exact GELU (erf) is what all others are compared with. In f16 and bf16 weights and what lies between kernels are rounded, sums
and softmax, LayerNorm and the head are f32. In fp8 (e4m3) and int8 that is f16, and each row that goes into one of a layer's products, and each
output channel of its weights, is scaled to the largest number of the 8-bit type and rounded to it; products are exact, and scaled back in f32.
"""
import argparse, json, pathlib, struct, sys

import ml_dtypes, numpy as np
from scipy.special import erf
from tokenizers import Tokenizer

MAX_LENGTH = 128
SAME_LENGTH = 64  # texts at a time, all of one length: none is padded
TYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16, "fp8": np.float16, "int8": np.float16}
# What is compared: a precision, and whether GELU is the tanh form.
VARIANTS = [("f32", False), ("f32", True), ("f16", False), ("f16", True), ("bf16", False), ("bf16", True), ("fp8", False), ("int8", False)]


def read_safetensors(file):
    data = file.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header, data = json.loads(data[8:8 + length]), data[8 + length:]
    header.pop("__metadata__", None)
    kinds = {"F32": np.float32, "F16": np.float16}
    read = lambda entry: np.frombuffer(data[slice(*entry["data_offsets"])], kinds[entry["dtype"]]).reshape(entry["shape"])
    return {name.removeprefix("distilbert."): read(entry).astype(np.float32) for name, entry in header.items()}


def quantize(x, kind):
    """Rows of x in 8 bits, as floats, and their scales."""
    most = {"fp8": 448.0, "int8": 127.0}[kind]
    largest = np.abs(x).max(axis=-1, keepdims=True)
    scale = np.where(largest > 0, largest / most, 1).astype(np.float32)
    scaled = x / scale
    return (scaled.astype(ml_dtypes.float8_e4m3fn).astype(np.float32) if kind == "fp8" else np.rint(scaled)), scale


class Model:
    def __init__(self, folder, precision, tanh):
        config = json.loads((folder / "config.json").read_text())
        if config.get("activation", "gelu") != "gelu":
            sys.exit(f"{folder}: the activation {config['activation']} is not known here; only gelu is")
        self.heads, self.layers, self.tanh = config["n_heads"], config["n_layers"], tanh
        self.kind, self.type = precision, TYPES.get(precision)
        weights = read_safetensors(folder / "model.safetensors")
        in_type = lambda name: name.endswith(".weight") and "orm" not in name and "classifier" not in name
        self.weights = {name: self.round(w) if in_type(name) else w for name, w in weights.items()}

    def round(self, x):
        return x if self.type is None else x.astype(self.type).astype(np.float32)

    def product(self, x, name):
        weight, bias = self.weights[name + ".weight"], self.weights[name + ".bias"]
        if self.kind not in ("fp8", "int8"):
            return x @ weight.T + bias
        (x, rows), (weight, columns) = quantize(x, self.kind), quantize(weight, self.kind)
        return (x @ weight.T) * rows * columns[:, 0] + bias

    def gelu(self, x):
        if self.tanh:
            return 0.5 * x * (1 + np.tanh(np.float32(0.7978845608) * (x + np.float32(0.044715) * x ** 3)))
        return 0.5 * x * (1 + erf(x * np.float32(0.5 ** 0.5)))

    def norm(self, x, name):
        x = x - x.mean(axis=-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(1e-12))
        return self.round(x * self.weights[name + ".weight"] + self.weights[name + ".bias"])

    def attention(self, x, layer):
        rows, length, width = x.shape
        split = lambda t: t.reshape(rows, length, self.heads, -1).transpose(0, 2, 1, 3)
        q, k, v = (split(self.round(self.product(x, f"{layer}.attention.{n}_lin"))) for n in "qkv")
        scores = q @ k.transpose(0, 1, 3, 2) / np.float32((width // self.heads) ** 0.5)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = (weights / weights.sum(axis=-1, keepdims=True)) @ v
        return self.product(self.round(mixed.transpose(0, 2, 1, 3).reshape(rows, length, width)), layer + ".attention.out_lin")

    def logits(self, ids):
        x = self.weights["embeddings.word_embeddings.weight"][ids] + self.weights["embeddings.position_embeddings.weight"][:ids.shape[1]]
        x = self.norm(x, "embeddings.LayerNorm")
        for i in range(self.layers):
            layer = f"transformer.layer.{i}"
            x = self.norm(self.round(self.attention(x, layer)) + x, layer + ".sa_layer_norm")
            inner = self.round(self.gelu(self.product(x, layer + ".ffn.lin1")))
            x = self.norm(self.round(self.product(inner, layer + ".ffn.lin2")) + x, layer + ".output_layer_norm")
        linear = lambda x, name: x @ self.weights[name + ".weight"].T + self.weights[name + ".bias"]
        return linear(np.maximum(linear(x[:, 0], "pre_classifier"), 0), "classifier")


def texts_of(file):
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[0] for line in lines[1:]] if file.suffix == ".tsv" else lines


def batches(tokenizer, texts):
    """Which texts, and their ids: of one length each."""
    lengths = {}
    for number, encoding in enumerate(tokenizer.encode_batch(texts)):
        lengths.setdefault(len(encoding.ids), []).append((number, encoding.ids))
    for same in lengths.values():
        for i in range(0, len(same), SAME_LENGTH):
            numbers, ids = zip(*same[i:i + SAME_LENGTH])
            yield list(numbers), np.array(ids)


def confidence(logits):
    return 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="a DistilBERT in Hugging Face's layout")
    parser.add_argument("files", type=pathlib.Path, nargs="+", metavar="FILE", help="texts")
    parser.add_argument("--labels", type=pathlib.Path, metavar="FOLDER", help="write the f32 labels of each FILE there, a line a text")
    args = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(args.folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_LENGTH)
    tokenizer.no_padding()
    print("| texts | precision | GELU | labels that change | largest logit difference | largest confidence difference |")
    print("|---|---|---|---|---|---|")
    for file in args.files:
        texts = texts_of(file)
        made, expected = list(batches(tokenizer, texts)), None
        for precision, tanh in VARIANTS:
            model = Model(args.folder, precision, tanh)
            logits = np.empty((len(texts), 2), np.float32)
            for numbers, ids in made:
                logits[numbers] = model.logits(ids)
            if expected is None:
                expected = logits
                if args.labels:
                    (args.labels / (file.stem + ".labels")).write_text("\n".join(map(str, logits.argmax(axis=1))) + "\n")
                continue
            flips = int((logits.argmax(axis=1) != expected.argmax(axis=1)).sum())
            apart, sure = np.abs(logits - expected).max(), np.abs(confidence(logits) - confidence(expected)).max()
            print(f"| {file.stem}, {len(texts)} | {precision} | {'tanh' if tanh else 'erf'} | {flips} | {apart:.1e} | {sure:.1e} |", flush=True)


if __name__ == "__main__":
    main()
