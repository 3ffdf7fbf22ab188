#!/usr/bin/env python3
"""Writes tests/fixtures/tokenizer_settings.json with Hugging Face transformers 5: every setting of a tokenizer, on both roads.

  pip install transformers==5.23.0      (torch is not needed)
  tokenizer_settings.py [--out tests/fixtures/tokenizer_settings.json]

{texts, max_length, cases: [{name, road, files, ids | refused, may_refuse}]}
road      "json": tokenizer.json of golden/f16, changed by files["tokenizer.json"]; "vocab": its vocab.txt alone
files     what the folder holds besides; a value in files["tokenizer.json"]["model"] changes that key of the model, and the
          vocabulary "a list" is its own as one
ids       {number of a text: [tokens before truncation, ids]} where that differs from the first case of the road
refused   transformers does not load it; the text is its error
may_refuse  the setting that textflight names in its error where it does not do what transformers does
"""
import argparse, copy, json, logging, os, pathlib, random, shutil, tempfile, warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "critical")
warnings.filterwarnings("ignore")

from transformers import AutoTokenizer

logging.disable(logging.CRITICAL)
GOLDEN = pathlib.Path(__file__).parent.parent / "tests/fixtures/golden/f16"
MAX_LENGTH = 12

TEXTS = [
    "I love this movie",
    "CAF\u00c9 cr\u00e8me \u00fcber",
    "\u4e2d\u6587\u7535\u5f71 movie",
    "not [MASK] or [SEP] and[UNK]good [PAD]",
    "a <new> story <new>s un<new> NEW york new york",
    "  <mask>  love , <img>x <a> <b> <s> ",
    "one two three four five six seven eight nine ten great movie for all of us",
    "great " + "a" * 120 + " bad loves",
    "xyz##ing lo\u0301ve [mask] [CLS]",
    "new\tYork \u200bnew\x00york Love LOVE lovely",
    "\u65e5\u672c <\u65e5> zebra",
    "!",
]


def token(content, **flags):
    return {"__type": "AddedToken", "content": content} | flags


def decoder(*tokens, start=400):
    return {"added_tokens_decoder": {str(start + i): t if isinstance(t, dict) else {"content": t} for i, t in enumerate(tokens)}}


SPECIALS = {str(i): {"content": c, "special": True, "normalized": False} for i, c in enumerate(["[PAD]", None, "[MASK]", "[UNK]", "[CLS]", "[SEP]"]) if c}

# name → settings in tokenizer_config.json, or several files by their names
SETTINGS = {
    "plain": {},
    **{f"truncation_side={v}": {"truncation_side": v} for v in ("left", "right", "up", None, 1)},
    "padding_side=left": {"padding_side": "left"},
    **{f"do_lower_case={v}": {"do_lower_case": v} for v in (False, True, None, "false", 0)},
    **{f"strip_accents={v}": {"strip_accents": v} for v in (False, True, None, "no")},
    **{f"cased,strip_accents={v}": {"do_lower_case": False, "strip_accents": v} for v in (False, True, None)},
    **{f"tokenize_chinese_chars={v}": {"tokenize_chinese_chars": v} for v in (False, True, None)},
    **{f"model_max_length={v}": {"model_max_length": v} for v in (5, 512, 1e30, None)},
    "clean_up_tokenization_spaces": {"clean_up_tokenization_spaces": True},
    **{f"split_special_tokens={v}": {"split_special_tokens": v} for v in (True, False, "yes", None)},
    "never_split": {"never_split": ["love", "[NEW]"]},
    "do_basic_tokenize": {"do_basic_tokenize": False},
    "wordpieces_prefix": {"wordpieces_prefix": "@@"},
    "use_fast": {"use_fast": False},
    "add_prefix_space": {"add_prefix_space": True},
    "add_bos_token": {"add_bos_token": True, "bos_token": "movie", "add_eos_token": True, "eos_token": "love"},
    "legacy": {"legacy": False, "from_slow": True, "max_len": 9, "stride": 2, "max_length": 7, "truncation_strategy": "only_first", "pad_to_multiple_of": 8},
    **{f"unk_token={v}": {"unk_token": v} for v in ("love", "[MASK]", "<unk>", None, "")},
    **{f"cls_token={v}": {"cls_token": v} for v in ("[SEP]", "movie", "<cls>", "a b", "a:b")},
    **{f"cls_token={v}": {"cls_token": v, "may_refuse": "cls_token"} for v in (None, "")},
    **{f"sep_token={v}": {"sep_token": v} for v in ("[CLS]", "love", "</s>")},
    "sep_token=None": {"sep_token": None, "may_refuse": "sep_token"},
    **{f"pad_token={v}": {"pad_token": v} for v in ("<new>", "love", None)},
    **{f"mask_token={v}": {"mask_token": v} for v in ("<mask>", "movie", None)},
    **{f"bos_token={v}": {"bos_token": v} for v in ("<s>", "movie", None)},
    "eos_token=<a>": {"eos_token": "<a>"},
    "mask_token object": {"mask_token": token("[MASK]", lstrip=True, rstrip=True)},
    "mask_token object new": {"mask_token": token("<mask>", lstrip=True, normalized=True, special=False)},
    "mask_token object single_word": {"mask_token": token("<new>", single_word=True)},
    "mask_token bare object": {"mask_token": {"content": "[MASK]", "lstrip": True}},
    "cls_token object": {"cls_token": token("movie", normalized=True)},
    "mask_token number": {"mask_token": 7},
    "image_token": {"image_token": "<img>"},
    "image_token object": {"image_token": token("<img>", lstrip=True), "z_token": "<a>"},
    "image_token bare object": {"image_token": {"content": "<img>"}},
    "image_token flag": {"image_token": True},
    "model_specific_special_tokens": {"model_specific_special_tokens": {"x": "<img>", "y": token("<a>")}},
    "model_specific_special_tokens of no token": {"model_specific_special_tokens": {"x": 1}},
    "model_specific_special_tokens list": {"model_specific_special_tokens": ["<a>"]},
    "added special": decoder({"content": "<new>", "special": True}),
    "added plain": decoder("<new>"),
    "added plain capitals": decoder("NEW"),
    "added normalized=false": decoder({"content": "NEW", "normalized": False}),
    "added single_word": decoder({"content": "new", "single_word": True}, {"content": "<new>", "single_word": True}),
    "added lstrip": decoder({"content": "<new>", "lstrip": True, "special": True}),
    "added rstrip": decoder({"content": "<new>", "rstrip": True, "special": True}),
    "added word of the vocabulary": decoder({"content": "love", "special": True}),
    "added mask": {"added_tokens_decoder": SPECIALS | {"2": {"content": "[MASK]", "lstrip": True, "special": True}}},
    "added as saved": {"added_tokens_decoder": SPECIALS | {"1": {"content": "[unused0]", "special": False}}, "mask_token": "[MASK]", "unk_token": "[UNK]"},
    "added two words": decoder("new york", {"content": "NEW york", "special": True}),
    "added chinese": decoder("\u6587\u7535", {"content": "<\u65e5>", "special": True}),
    "added accents": decoder("cr\u00e8me", {"content": "\u00fcber", "normalized": False}),
    "added order": {"added_tokens_decoder": {"900": {"content": "<a>"}, "7": {"content": "<b>", "special": True}, "800": {"content": "<img>"}}},
    "added not special sep": {"added_tokens_decoder": {"5": {"content": "[SEP]", "special": False, "normalized": True}, "2": {"content": "[MASK]", "special": False}}},
    "added unknown key": decoder({"content": "<new>", "id": 3, "nonsense": 1}),
    "added flag null": decoder({"content": "<new>", "lstrip": None}),
    "added no content": decoder({"special": True}),
    "added content number": decoder({"content": 5}),
    "added text": {"added_tokens_decoder": {"400": "<new>"}},
    "added list": {"added_tokens_decoder": [{"content": "<new>"}]},
    "added null": {"added_tokens_decoder": None},
    "added empty": {"added_tokens_decoder": {}},
    "added id no number": {"added_tokens_decoder": {"x": {"content": "<new>"}}},
    "added same after normalizing": decoder("NEW", "new") | {"may_refuse": "same"},
    "added empty after normalizing": decoder("\u0301"),
    "added twice": {"added_tokens_decoder": {"400": {"content": "<new>", "lstrip": True}, "401": {"content": "<new>", "special": True}}},
    "additional": {"additional_special_tokens": ["<a>", "<b>", "love"]},
    "additional objects": {"additional_special_tokens": [token("<a>", lstrip=True), token("new", special=False)]},
    "additional bare objects": {"additional_special_tokens": [{"content": "<a>"}]},
    "additional null": {"additional_special_tokens": None},
    "additional text": {"additional_special_tokens": "<a>"},
    "additional named": {"additional_special_tokens": {"x": "<a>"}},
    "extra": {"extra_special_tokens": ["<b>", "<a>"]},
    "extra named": {"extra_special_tokens": {"x_token": "<b>", "y": "<a>"}, "image_token": "<img>"},
    "extra null, additional": {"extra_special_tokens": None, "additional_special_tokens": ["<a>"]},
    "extra and additional": {"extra_special_tokens": ["<a>"], "additional_special_tokens": ["<b>"]},
    "extra empty and additional": {"extra_special_tokens": [], "additional_special_tokens": ["<b>"]},
    "extra with numbers": {"extra_special_tokens": ["<a>", 5]},
    "extra text": {"extra_special_tokens": "<a>"},
    **{f"tokenizer_class={v}": {"tokenizer_class": v, "do_lower_case": False} for v in (
        "BertTokenizer", "BertTokenizerFast", "DistilBertTokenizer", "DistilBertTokenizerFast", "ElectraTokenizer", "LayoutLMTokenizerFast",
        "LxmertTokenizer", "MobileBertTokenizer", "SqueezeBertTokenizerFast", "PreTrainedTokenizerFast", "TokenizersBackend", "PreTrainedTokenizer",
        None)},
    **{f"tokenizer_class={v}": {"tokenizer_class": v, "may_refuse": "tokenizer_class"} for v in ("RobertaTokenizerFast", "BertJapaneseTokenizer", "NoSuchTokenizer", "")},
    "auto_map": {"auto_map": {"AutoTokenizer": [None, "tokenization_own.OwnTokenizer"]}, "may_refuse": "auto_map"},
    "fast_tokenizer_files": {"fast_tokenizer_files": ["tokenizer.json", "tokenizer.4.0.0.json"], "may_refuse": "fast_tokenizer_files"},
    "init_inputs": {"init_inputs": [], "name_or_path": "x", "special_tokens_map_file": "/nowhere", "tokenizer_file": "/nowhere", "vocab_file": "/nowhere"},
    "init_inputs more": {"init_inputs": ["x"], "may_refuse": "init_inputs"},
    "vocab": {"vocab": {"love": 0}, "may_refuse": "vocab"},
    "class in config.json": {"config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}, "tokenizer_config.json": {"do_lower_case": False}},
    "class in both": {"config.json": {"tokenizer_class": "PreTrainedTokenizerFast"}, "tokenizer_config.json": {"tokenizer_class": "BertTokenizer", "do_lower_case": False}},
    "no tokenizer_config.json": {"tokenizer_config.json": None},
}
MAPS = {
    "map text": {"mask_token": "<mask>", "bos_token": "<s>"},
    "map object": {"mask_token": {"content": "[MASK]", "lstrip": True, "rstrip": False, "single_word": False, "normalized": False}},
    "map object normalized": {"mask_token": {"content": "<mask>", "lstrip": True, "normalized": True}, "cls_token": {"content": "movie"}},
    "map additional": {"additional_special_tokens": ["<a>", "<b>"]},
    "map additional objects": {"additional_special_tokens": [{"content": "<a>", "lstrip": True}]},
    "map extra": {"extra_special_tokens": ["<a>", {"content": "<b>", "rstrip": True}]},
    "map extra named": {"extra_special_tokens": {"x": "<a>", "y": "<b>"}},
    "map custom": {"image_token": "<img>", "z_token": {"content": "<a>", "lstrip": True}},
    "map settings": {"do_lower_case": False, "truncation_side": "left"},
    "map null": {"mask_token": None, "pad_token": None},
    "map nonsense": {"mask_token": 5},
    "map bad flag": {"mask_token": {"content": "<mask>", "lstrip": "yes"}},
}
LEGACY = {name: {"special_tokens_map.json": values} for name, values in MAPS.items()} | {
    "map beside added": {"special_tokens_map.json": {"mask_token": "<mask>", "do_lower_case": False}, "tokenizer_config.json": decoder("<new>")},
    "map over config": {"special_tokens_map.json": {"mask_token": "<mask>"}, "tokenizer_config.json": {"mask_token": "movie", "additional_special_tokens": ["<b>"]}},
    "map additional over extra": {"special_tokens_map.json": {"additional_special_tokens": ["<a>"]}, "tokenizer_config.json": {"extra_special_tokens": ["<b>"]}},
    "map extra after extra": {"special_tokens_map.json": {"extra_special_tokens": ["<a>"]}, "tokenizer_config.json": {"extra_special_tokens": ["<b>"]}},
    "numbered": {"added_tokens.json": {"<new>": 340, "NEW": 341, "love": 9}},
    "numbered order": {"added_tokens.json": {"<a>": 900, "<b>": 350}},
    "numbered special": {"added_tokens.json": {"<mask>": 340, "<a>": 341, "[MASK]": 2}, "tokenizer_config.json": {"mask_token": "<mask>", "extra_special_tokens": ["<a>"]}},
    "numbered special by map": {"added_tokens.json": {"<mask>": 340, "NEW": 341}, "special_tokens_map.json": {"mask_token": {"content": "<mask>"}, "bos_token": "NEW"}},
    "numbered special by object": {"added_tokens.json": {"NEW": 340}, "tokenizer_config.json": {"mask_token": token("NEW", lstrip=True)}},
    "numbered beside added": {"added_tokens.json": {"<a>": 340}, "tokenizer_config.json": decoder("<new>")},
    "numbered by no number": {"added_tokens.json": {"<new>": "x"}, "may_refuse": "added_tokens.json"},
    "numbered empty": {"added_tokens.json": {}, "special_tokens_map.json": {}},
}

BERT_POST = {"type": "BertProcessing", "sep": ["[MASK]", 2], "cls": ["[UNK]", 3]}
TEMPLATE = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[SEP]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
            "special_tokens": {"[SEP]": {"id": "[SEP]", "ids": [5], "tokens": ["[SEP]"]}}}
TRUNCATION = {"direction": "Left", "max_length": 6, "strategy": "LongestFirst", "stride": 1}
PADDING = {"strategy": {"Fixed": 20}, "direction": "Left", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "<new>"}
NORMALIZER = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": False, "strip_accents": False, "lowercase": False}


def listed(*tokens):
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"added_tokens": [flags | t for t in tokens]}


JSON = {
    "json normalizer": {"normalizer": NORMALIZER},
    "json no normalizer": {"normalizer": None},
    "json other normalizer": {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}},
    "json pre_tokenizer": {"pre_tokenizer": {"type": "WhitespaceSplit"}},
    "json post_processor": {"post_processor": BERT_POST},
    "json template": {"post_processor": TEMPLATE},
    "json no post_processor": {"post_processor": None},
    "json truncation": {"truncation": TRUNCATION},
    "json truncation nonsense": {"truncation": {"direction": "Up"}},
    "json padding": {"padding": PADDING},
    "json prefix": {"model": {"continuing_subword_prefix": "@@", "max_input_chars_per_word": 5}},
    "json unk": {"model": {"unk_token": "[MASK]"}},
    "json vocab list": {"model": {"vocab": "a list"}},
    "json no vocab": {"model": {"vocab": None}, "may_refuse": "model.vocab"},
    "json added": listed({"id": 332, "content": "<new>"}, {"id": 333, "content": "NEW", "normalized": True, "special": False}),
    "json added mask": listed({"id": 2, "content": "[MASK]", "lstrip": True}, {"id": 5, "content": "[SEP]", "special": False, "normalized": True}),
    "json none added": {"added_tokens": []},
    "json added nonsense": {"added_tokens": [{"content": "<new>"}]},
    "json nonsense": {"post_processor": {"type": "Nonsense"}},
}


def split(settings):
    """Settings of tokenizer_config.json alone, or several files."""
    settings = copy.deepcopy(settings)
    may_refuse = settings.pop("may_refuse", None)
    files = settings if any(key.endswith(".json") for key in settings) else {"tokenizer_config.json": settings}
    return {"tokenizer_config.json": {}} | files, may_refuse


def all_cases():
    everything = SETTINGS | LEGACY
    for road in ("json", "vocab"):
        for name, settings in everything.items():
            yield name, road, *split(settings)
    for name, settings in everything.items():
        files, may_refuse = split(settings)
        if "config.json" not in files and files["tokenizer_config.json"] is not None and "tokenizer_class" not in files["tokenizer_config.json"]:
            files["tokenizer_config.json"]["tokenizer_class"] = "PreTrainedTokenizerFast"
            yield f"{name}, backend", "json", files, may_refuse
    for name, changes in JSON.items():
        changes = dict(changes)
        may_refuse = changes.pop("may_refuse", None)
        for more in ({}, {"tokenizer_class": "PreTrainedTokenizerFast"}, {"truncation_side": "right", "pad_token": "love", "do_lower_case": False}, decoder("<new>")):
            yield f"{name}, {','.join(more)}", "json", {"tokenizer_config.json": copy.deepcopy(more), "tokenizer.json": changes}, may_refuse


def mixed(loaded):
    """Several that load by themselves at once: what one does may hang on another."""
    shuffle = random.Random(12)
    everything = SETTINGS | LEGACY
    names = [name for name, settings in everything.items() if "may_refuse" not in settings and name in loaded]
    for number in range(80):
        files = {"tokenizer_config.json": {}}
        for name in shuffle.sample(names, 4):
            for file, values in split(everything[name])[0].items():
                files[file] = (files.get(file) or {}) | (values or {})
        road = shuffle.choice(["json", "vocab"])
        if road == "json":
            for name in shuffle.sample([name for name in JSON if "may_refuse" not in JSON[name] and f"{name}, " in loaded], 2):
                files["tokenizer.json"] = files.get("tokenizer.json", {}) | JSON[name]
            if shuffle.random() < 0.3:
                files["tokenizer_config.json"]["tokenizer_class"] = "TokenizersBackend"
        yield f"mixed {number}", road, files, None


def write_folder(folder, road, files):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    config = json.loads((GOLDEN / "config.json").read_text()) | files.get("config.json", {})
    (folder / "config.json").write_text(json.dumps(config))
    if road == "vocab":
        shutil.copy(GOLDEN / "vocab.txt", folder)
    else:
        tokenizer = json.loads((GOLDEN / "tokenizer.json").read_text())
        changes = files.get("tokenizer.json", {})
        model = tokenizer["model"] | changes.get("model", {})
        if model["vocab"] == "a list":
            model["vocab"] = list(tokenizer["model"]["vocab"])
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer | changes | {"model": model}))
    for name, values in files.items():
        if values is not None and name not in ("config.json", "tokenizer.json"):
            (folder / name).write_text(json.dumps(values))


def outcome(folder):
    """What transformers gives for every text, or why it does not."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return [[len(tokenizer(text)["input_ids"]), tokenizer(text, truncation=True, max_length=MAX_LENGTH)["input_ids"]] for text in TEXTS]
    except BaseException as error:  # whatever it is: this is how transformers refuses
        return f"{type(error).__name__}: {error}".splitlines()[0][:100].replace(str(folder), "FOLDER")


def row_of(folder, first, name, road, files, may_refuse):
    write_folder(folder, road, files)
    found = outcome(folder)
    row = {"name": name, "road": road, "files": files}
    if isinstance(found, str):
        row["refused"] = found
    else:
        plain = first.setdefault(road, found)
        row["ids"] = {str(i): ids for i, ids in enumerate(found) if found is plain or ids != plain[i]}
    return row | ({"may_refuse": may_refuse} if may_refuse else {})


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", type=pathlib.Path, default="tests/fixtures/tokenizer_settings.json")
    args = p.parse_args()
    first = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = pathlib.Path(scratch) / "checkpoint"
        rows = [row_of(folder, first, *case) for case in all_cases()]
        loaded = {row["name"] for row in rows if "ids" in row}
        rows += [row_of(folder, first, *case) for case in mixed(loaded)]
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows)
    texts = json.dumps(TEXTS, separators=(",", ":"))
    args.out.write_text(f'{{"max_length":{MAX_LENGTH},"texts":{texts},"cases":[\n{lines}\n]}}\n')
    print(f"{len(rows)} cases, {sum('refused' in row for row in rows)} of them refused, {args.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()
