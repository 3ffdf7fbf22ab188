#!/usr/bin/env python3
"""Writes tests/fixtures with Hugging Face transformers: what our tokens and logits are compared with. Run once; commit the result.

  pip install -r tools/requirements.txt
  golden.py --sst2 DIR --mixed FILE [--bundled data/sst2-mini] [--out tests/fixtures] [--mixed-ids FILE]

golden/NAME/       odd random checkpoints, and golden.json: {max_length, cases: [{text, ids, logits}]}
activations.json   every function of transformers' table at some points: {x: […], NAME: […], …}
sst2_dev.json      the bundled checkpoint on the SST-2 dev sentences: [{text, truth, label, logits}]
token_ids.json     the bundled tokenizer: [{text, tokens, ids}]; `tokens` counts before truncation, [CLS] and [SEP] included
--mixed-ids also writes the ids of every line of --mixed, a JSON list a line: too large to commit, for a check to run once.

Logits are f32 arithmetic over the stored weights, eager attention, one text at a time, no padding, nine significant digits.
"""
import argparse, dataclasses, json, os, pathlib, random, re

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin while they wait are 5 times slower on a busy machine

import torch
from safetensors.torch import save_file
from transformers import BertTokenizerFast, DistilBertConfig, DistilBertForSequenceClassification
from transformers.activations import ACT2FN

from odd_texts import MORE_ODD_TEXTS, ODD_TEXTS, WORDS, vocabulary

SERVED_TOKENS = 128  # the default of --max-length


# --- random checkpoints ---------------------------------------------------------------------------------------------

@dataclasses.dataclass
class Odd:
    """One random checkpoint: its config, and what is unusual about its files."""
    config: dict
    dtype: torch.dtype = torch.float32
    cased: bool = False
    tokenizer_json: bool = True  # without it, vocab.txt and tokenizer_config.json must do
    prefix: str = "distilbert."
    old: bool = False  # config.json and tensors as transformers wrote them around 2021
    legacy: bool = False  # gamma and beta, keys by their general names, what has its default left out, sines and cosines not stored
    shards: int = 1
    max_length: int = 512


CONFIGS = {
    "three-labels": Odd(dict(dim=48, n_heads=3, n_layers=2, hidden_dim=100, num_labels=3)),
    "one-layer-relu": Odd(dict(dim=40, n_heads=5, n_layers=1, hidden_dim=160, num_labels=6, activation="relu")),
    "f16": Odd(dict(dim=64, n_heads=4, n_layers=3, hidden_dim=96, num_labels=2), dtype=torch.float16),
    "bf16-bare-names": Odd(dict(dim=32, n_heads=1, n_layers=2, hidden_dim=128, num_labels=2), dtype=torch.bfloat16, prefix=""),
    "old-sinusoidal": Odd(dict(dim=24, n_heads=2, n_layers=4, hidden_dim=96, num_labels=2, sinusoidal_pos_embds=True),
                          tokenizer_json=False, old=True),
    "cased": Odd(dict(dim=20, n_heads=4, n_layers=2, hidden_dim=48, num_labels=4), cased=True, tokenizer_json=False, max_length=100),
    "sharded-gamma": Odd(dict(dim=16, n_heads=2, n_layers=2, hidden_dim=40, num_labels=2, activation="gelu_python"), legacy=True, shards=3),
    "no-table-f64": Odd(dict(dim=12, n_heads=3, n_layers=2, hidden_dim=24, num_labels=3, sinusoidal_pos_embds=True, activation="gelu_fast"),
                        dtype=torch.float64, legacy=True),
}

# Keys of the default model's config.json that nobody reads, and its class names.
OLD_CONFIG = {"finetuning_task": "sst-2", "output_past": True, "tie_weights_": True, "transformers_version": "4.5.0.dev0",
              "id2label": {"0": "NEGATIVE", "1": "POSITIVE"}, "label2id": {"NEGATIVE": 0, "POSITIVE": 1}}
NEW_KEYS = {"bos_token_id", "dtype", "eos_token_id", "tie_word_embeddings"}
GENERAL_KEYS = {"dim": "hidden_size", "n_layers": "num_hidden_layers", "n_heads": "num_attention_heads"}


def randomise(model):
    """Weights so large that texts differ in their logits; LayerNorms that are not the identity."""
    config = model.config
    for name, weight in model.named_parameters():
        with torch.no_grad():
            if "position_embeddings" in name and config.sinusoidal_pos_embds:
                continue  # a formula made these; checkpoints store them all the same
            weight.normal_(std=0.5 if "embeddings.weight" in name else 2 / config.dim ** 0.5)
            if name.endswith(("LayerNorm.weight", "layer_norm.weight")):
                weight.mul_(0.5).add_(1.0)


def write_tokenizer(folder, odd):
    words = vocabulary(odd.cased)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    settings = {"do_lower_case": not odd.cased, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings) + "\n")
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    if odd.tokenizer_json:
        tokenizer.save_pretrained(folder)
    return tokenizer


def write_config(folder, model, odd):
    """The config as transformers writes it now, or as it did for the default model."""
    config = model.config.to_diff_dict() | {"architectures": ["DistilBertForSequenceClassification"]}
    config["dtype"] = str(odd.dtype).removeprefix("torch.")
    if odd.old:
        config = {key: value for key, value in config.items() if key not in NEW_KEYS} | OLD_CONFIG
    if odd.legacy:
        config = {GENERAL_KEYS.get(key, key): value for key, value in config.items() if key != "max_position_embeddings"}
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def write_weights(folder, model, odd):
    tensors = {name.replace("distilbert.", odd.prefix, 1): tensor.contiguous() for name, tensor in model.state_dict().items()}
    if odd.old:
        tensors["distilbert.embeddings.position_ids"] = torch.arange(512).unsqueeze(0)
    if odd.legacy:
        tensors = {legacy_name(name): tensor for name, tensor in tensors.items()
                   if not (model.config.sinusoidal_pos_embds and "position_embeddings" in name)}
    names = list(tensors)
    files = ["model.safetensors"] if odd.shards == 1 else [f"model-{i + 1:05}-of-{odd.shards:05}.safetensors" for i in range(odd.shards)]
    for i, file in enumerate(files):
        save_file({name: tensors[name] for name in names[i::odd.shards]}, folder / file, metadata={"format": "pt"})
        (folder / file).chmod(0o644)
    if odd.shards > 1:
        index = {"metadata": {}, "weight_map": {name: files[i % odd.shards] for i, name in enumerate(names)}}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def legacy_name(name):
    """As TensorFlow calls the tensors of a norm; transformers reads that of LayerNorm."""
    return re.sub(r"LayerNorm\.bias$", "LayerNorm.beta", re.sub(r"LayerNorm\.weight$", "LayerNorm.gamma", name))


def write_checkpoint(folder, odd, seed):
    """A whole checkpoint folder; returns its tokenizer and the model with its weights rounded as stored."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    tokenizer = write_tokenizer(folder, odd)
    config = DistilBertConfig(vocab_size=len(tokenizer), max_position_embeddings=512, attn_implementation="eager", **odd.config)
    model = DistilBertForSequenceClassification(config).eval()
    randomise(model)
    model = model.to(odd.dtype)
    write_config(folder, model, odd)
    write_weights(folder, model, odd)
    return tokenizer, model.float()


# --- what transformers says -----------------------------------------------------------------------------------------

@torch.inference_mode()
def logits(model, ids):
    out = model(torch.tensor([ids])).logits[0].tolist()
    assert all(abs(x) < 1e4 for x in out), "not finite"
    return [float(f"{x:.9g}") for x in out]


def ids_of(tokenizer, text, max_length):
    return tokenizer(text, truncation=True, max_length=max_length)["input_ids"]


def of_length(tokens, shuffle):
    """A text of exactly so many tokens, [CLS] and [SEP] among them: every word is one token in every vocabulary."""
    return " ".join(shuffle.choice(WORDS) for _ in range(tokens - 2))


def golden(tokenizer, model, max_length):
    shuffle = random.Random(7)
    texts = [of_length(n, shuffle) for n in (3, 4, 12, 30, 30, 64, 127, 128, 129, 500, 511, 512, 513, 700)] + ODD_TEXTS
    cases = [{"text": text, "ids": ids_of(tokenizer, text, max_length)} for text in texts]
    cases.append({"text": None, "ids": [tokenizer.cls_token_id]})  # one token: no text makes that
    for case in cases:
        case["logits"] = logits(model, case["ids"])
    return cases


def write_rows(path, rows, head="", tail=""):
    """JSON, a row a line, so that a diff shows which row changed."""
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    path.write_text(f"{head}[\n{lines}\n]{tail}\n")


def check_that_transformers_reads(folder, model):
    """The folder as a stranger would load it: the same logits as the model that was written."""
    read = DistilBertForSequenceClassification.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    ids = list(range(5, 90))
    assert max(abs(a - b) for a, b in zip(logits(read, ids), logits(model, ids), strict=True)) < 1e-5, folder


def write_activations(path):
    """Functions with parameters of their own are left out."""
    x = torch.arange(-12, 12.25, 0.25)
    functions = {name: ACT2FN[name] for name in ACT2FN.keys() if name not in ("prelu", "xielu")}
    values = {name: [float(f"{y:.9g}") for y in function(x).tolist()] for name, function in functions.items()}
    lines = [f"{json.dumps(name)}:{json.dumps(y, separators=(',', ':'))}" for name, y in ({"x": x.tolist()} | values).items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def write_golden(out):
    for seed, (name, odd) in enumerate(CONFIGS.items()):
        tokenizer, model = write_checkpoint(out / name, odd, seed)
        check_that_transformers_reads(out / name, model)
        cases = golden(tokenizer, model, odd.max_length)
        write_rows(out / name / "golden.json", cases, f'{{"max_length":{odd.max_length},"cases":', "}")
        spread = torch.tensor([case["logits"] for case in cases]).std(0)
        print(f"{name}: {len(cases)} cases, logits vary by {[round(x, 2) for x in spread.tolist()]}")


def write_sst2_dev(path, tokenizer, model, dev):
    rows = []
    for line in dev.read_text(encoding="utf-8").splitlines()[1:]:
        text, truth = line.rsplit("\t", 1)
        out = logits(model, ids_of(tokenizer, text, SERVED_TOKENS))
        rows.append({"text": text, "truth": int(truth), "label": max(range(len(out)), key=out.__getitem__), "logits": out})
    write_rows(path, rows)
    right = sum(row["label"] == row["truth"] for row in rows)
    print(f"SST-2 dev: {right}/{len(rows)} = {100 * right / len(rows):.2f}%")


def write_token_ids(path, tokenizer, texts):
    write_rows(path, [{"text": text, "tokens": len(tokenizer(text)["input_ids"]), "ids": ids_of(tokenizer, text, SERVED_TOKENS)}
                      for text in texts])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sst2", type=pathlib.Path, required=True)
    p.add_argument("--mixed", type=pathlib.Path, required=True)
    p.add_argument("--bundled", type=pathlib.Path, default="data/sst2-mini")
    p.add_argument("--out", type=pathlib.Path, default="tests/fixtures")
    p.add_argument("--mixed-ids", type=pathlib.Path)
    args = p.parse_args()
    write_golden(args.out / "golden")
    write_activations(args.out / "activations.json")

    tokenizer = BertTokenizerFast.from_pretrained(args.bundled)
    model = DistilBertForSequenceClassification.from_pretrained(args.bundled, dtype=torch.float32, attn_implementation="eager").eval()
    write_sst2_dev(args.out / "sst2_dev.json", tokenizer, model, args.sst2 / "dev.tsv")
    mixed = args.mixed.read_text(encoding="utf-8").splitlines()
    write_token_ids(args.out / "token_ids.json", tokenizer, ODD_TEXTS + MORE_ODD_TEXTS + random.Random(0).sample(mixed, 300))
    if args.mixed_ids:
        with args.mixed_ids.open("w") as out:
            out.writelines(json.dumps(ids_of(tokenizer, text, SERVED_TOKENS)) + "\n" for text in mixed)


if __name__ == "__main__":
    main()
