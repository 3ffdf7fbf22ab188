"""tools/gpu-check: with a binary that only pretends, for what it makes of each outcome, and with the real one on the CPU."""
import importlib.util
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tarfile

import pytest

import server as servers

TOOL = servers.REPOSITORY / "tools" / "gpu-check"
HAS_TORCH = importlib.util.find_spec("torch") is not None

DOCUMENT = {
    "textflight": "0.1.0", "device": "cuda:0", "card": "NVIDIA H100 80GB HBM3",
    "agreement": [
        {"dtype": "f16", "texts": 2000, "labels_equal": 1999, "max_logit_difference": 0.0021,
         "logit_bound": 0.01, "max_confidence_difference": 0.0003, "enough": True},
        {"dtype": "bf16", "texts": 2000, "labels_equal": 1990, "max_logit_difference": 0.018,
         "logit_bound": 0.07, "max_confidence_difference": 0.004, "enough": True},
    ],
    "facts": {"capability": "9.0", "multiprocessors": 132, "memory_gib": 79.2, "clock_mhz": 1980, "memory_clock_mhz": 2619,
              "driver": "CUDA 12.8", "code": "sm_90"},
    "kernels": [{"dtype": "f16", "mean_tokens": 25, "median_rows": 640, "median_tokens": 16_300,
                 "kinds": [{"kind": "product", "calls": 24.0, "us": 1500.4}, {"kind": "attention", "calls": 6.0, "us": 300.6}]}],
    "product": [{"dtype": "f16", "tflops": 612.34}],
    "speed": [
        {"dtype": dtype, "mean_tokens": mean, "batch_rows": rows,
         "rows_per_second": 1000.25 * rows, "useful_tflops": 2.5, "utilization": 0.036,
         "batch_tokens": rows * mean, "usual": rows == 128, "median_rows": rows - 1, "median_tokens": rows * mean - 3, "host_us": 61.5}
        for dtype in ("f16", "bf16") for mean in (100, 25) for rows in (32, 128)
    ],
}
LOGITS = [0.5, -0.25]

# Writes what it was called with; then does as it was told.
FAKE = """#!{python}
import json, os, pathlib, shutil, sys
told = json.loads(pathlib.Path(__file__).with_suffix(".json").read_text())
libraries = os.environ.get("TEXTFLIGHT_CUDA_LIBRARIES")
pathlib.Path(__file__).with_suffix(".called").write_text(json.dumps([sys.argv[1:], libraries]))
shutil.copytree(told["files"], sys.argv[sys.argv.index("--work") + 1], dirs_exist_ok=True)
print("progress of the binary", file=sys.stderr)
print(told["stdout"])
sys.exit(told["code"])
"""


def run(*arguments, **environment):
    command = [sys.executable, TOOL, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, env={**servers.environment(), **environment})


def save(file, tensors):
    """A safetensors file of f32 zeros, or of the numbers given, without the package."""
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, (shape, values) in tensors.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        added = struct.pack(f"<{count}f", *(values or [0] * count))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + len(added)]}
        data += added
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data)


@pytest.fixture
def fake(tmp_path):
    """Makes a binary that says what it is told to, beside the files that `check` writes: a model whose logits are its last bias."""
    files = tmp_path / "files"
    (files / "model").mkdir(parents=True)
    (files / "model/config.json").write_text(json.dumps({"n_heads": 2, "n_layers": 1}))
    names = {"embeddings.word_embeddings.weight": [9, 4], "embeddings.position_embeddings.weight": [8, 4]}
    layer = "transformer.layer.0."
    linears = {f"{layer}attention.{n}_lin": [4, 4] for n in ("q", "k", "v", "out")}
    linears |= {layer + "ffn.lin1": [6, 4], layer + "ffn.lin2": [4, 6], "pre_classifier": [4, 4], "classifier": [2, 4]}
    linears |= {name: [4] for name in ("embeddings.LayerNorm", layer + "sa_layer_norm", layer + "output_layer_norm")}
    for name, shape in linears.items():
        names |= {name + ".weight": shape, name + ".bias": shape[:1]}
    prefix = lambda name: name if "classifier" in name else "distilbert." + name
    save(files / "model/model.safetensors", {prefix(n): (s, LOGITS if n == "classifier.bias" else None) for n, s in names.items()})
    for mean in (25, 100):
        (files / f"tokens-{mean}.json").write_text(json.dumps([[1, 2], [1, 3, 4, 2], [1, 5, 2]]))
    (files / "logits.json").write_text(json.dumps({"ids": [[1, 2], [1, 3, 2]], "logits": [LOGITS, LOGITS]}))
    # Where the environment of the tests has no torch, that of whoever runs them may.
    (tmp_path / "no-torch").mkdir()
    (tmp_path / "no-torch/torch.py").write_text("raise ImportError('none here')\n")

    class Fake:
        binary, folder, without_torch = tmp_path / "fake", files, {"PYTHONPATH": str(tmp_path / "no-torch")}

        def __init__(self, document=DOCUMENT, code=0):
            self.binary.write_text(FAKE.format(python=sys.executable))
            self.binary.chmod(0o755)
            stdout = document if isinstance(document, str) else json.dumps(document)
            self.binary.with_suffix(".json").write_text(json.dumps({"files": str(files), "stdout": stdout, "code": code}))

        def called(self):
            return json.loads(self.binary.with_suffix(".called").read_text())

    return Fake


def test_it_can_be_run_by_its_name():
    assert os.access(TOOL, os.X_OK)
    done = run("--help")
    assert done.returncode == 0 and "tools/gpu-check --binary ./textflight" in done.stdout


def test_the_report(fake, tmp_path):
    done = run("--binary", fake().binary, "--output", tmp_path / "gpu.md", **fake.without_torch)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "progress of the binary\n"
    lines = done.stdout.splitlines()
    assert lines[0] == "### NVIDIA H100 80GB HBM3, textflight 0.1.0"
    assert re.fullmatch(r"cuda:0, driver \S+ \(CUDA 12\.8\), kernels sm_90, \d{4}-\d\d-\d\d; a random checkpoint", lines[2])
    assert lines[4].startswith("Compute capability 9.0, 132 multiprocessors, 79.2 GiB, up to 1980 MHz, memory 2619 MHz")
    assert lines[6].startswith(("While it was measured, ", "Clocks and power while it was measured: unknown"))
    speed = "{} | 3.6% | 62"
    row = lambda mean, batch, formed, rate: f"| {mean} | {batch} | {formed} | {speed.format(rate)} | {speed.format(rate)} |"
    assert [line for line in lines if line.startswith("|")] == [
        "| dtype | texts | labels equal | largest logit difference | allowed | largest confidence difference | enough |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| f16 | 2000 | 1999 | 0.0021 | 0.01 | 0.0003 | yes |",
        "| bf16 | 2000 | 1990 | 0.018 | 0.07 | 0.004 | yes |",
        "| dtype | TFLOP/s |",
        "| --- | --- |",
        "| f16 | 612.3 |",
        "| mean tokens | batch rows | rows, tokens a forward | f16 rows/s | utilization | host µs | bf16 rows/s | utilization | host µs |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        row(25, "32", "31, 797", "32008.0"),
        row(25, "128 (usual)", "127, 3197", "128032.0"),
        row(100, "32", "31, 3197", "32008.0"),
        row(100, "128 (usual)", "127, 12797", "128032.0"),
        "| dtype | mean tokens | rows | tokens | all, µs | product, µs (calls) | attention, µs (calls) |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| f16 | 25 | 640 | 16300 | 1801 | 1500 (24) | 301 (6) |",
    ]
    assert lines[-1] == "PyTorch: not measured: none here"
    assert (tmp_path / "gpu.md").read_text(encoding="utf-8") == done.stdout


def test_options_reach_the_binary(fake, tmp_path):
    binary = fake()
    done = run("--binary", binary.binary, "--device", "cuda:1", "--libraries", tmp_path, "--rows", 7, "--agreement-texts", 9,
               "--seconds", "0.5", "--tiny", **fake.without_torch)
    assert done.returncode == 0, done.stderr
    arguments, libraries = binary.called()
    work = arguments.pop(arguments.index("--work") + 1)
    assert arguments == ["check", "--device", "cuda:1", "--work", "--json",
                         "--rows", "7", "--agreement-texts", "9", "--seconds", "0.5", "--tiny"]
    assert libraries == str(tmp_path)
    assert not os.path.exists(work), "the checkpoint was left behind"


@pytest.mark.parametrize(("device", "visible", "asked"), [
    ("cuda:1", "", "1"), ("cuda:1", "3, GPU-5fb1", "GPU-5fb1"), ("cuda:1", "3,0", "0"), ("cuda", "7", "7"), ("cuda:one", "3", "one")])
def test_the_card_that_is_measured_is_the_one_that_is_asked(fake, tmp_path, device, visible, asked):
    """CUDA numbers the cards that it may see, and by its own order unless it is told nvidia-smi's."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin/nvidia-smi"
    program.write_text(f'#!/bin/sh\necho "$1 $CUDA_DEVICE_ORDER" >> {tmp_path}/asked\necho "a name"\n')
    program.chmod(0o755)
    environment = {"PATH": f"{program.parent}:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": visible}
    done = run("--binary", fake({**DOCUMENT, "device": device}).binary, "--device", device, **fake.without_torch, **environment)
    assert done.returncode == 0, done.stderr
    assert set((tmp_path / "asked").read_text().splitlines()) == {f"--id={asked} PCI_BUS_ID"}


def test_without_options_the_binary_chooses(fake):
    binary = fake()
    assert run("--binary", binary.binary, **fake.without_torch).returncode == 0
    arguments, libraries = binary.called()
    assert (arguments[:3], arguments[-1], len(arguments), libraries) == (["check", "--device", "cuda:0"], "--json", 6, None)


def test_disagreement_is_an_exit_code_after_the_report(fake):
    worse = [DOCUMENT["agreement"][0], {**DOCUMENT["agreement"][1], "enough": False}]
    done = run("--binary", fake({**DOCUMENT, "agreement": worse}).binary, **fake.without_torch)
    assert done.returncode == 1
    assert "| bf16 | 2000 | 1990 | 0.018 | 0.07 | 0.004 | **no** |" in done.stdout
    assert done.stdout.endswith("PyTorch: not measured: none here\n")


def test_a_torch_without_cuda(fake, tmp_path):
    (tmp_path / "cpu/torch/nn").mkdir(parents=True)
    (tmp_path / "cpu/torch/__init__.py").write_text("class cuda:\n    is_available = lambda: False\n__version__ = '9.9+cpu'\n")
    (tmp_path / "cpu/torch/nn/__init__.py").touch()
    (tmp_path / "cpu/torch/nn/functional.py").touch()
    done = run("--binary", fake().binary, PYTHONPATH=str(tmp_path / "cpu"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\nPyTorch: not measured: PyTorch 9.9+cpu sees no CUDA device\n")


@pytest.mark.parametrize("code", [2, 3])
def test_the_failure_of_the_binary_is_passed_on(fake, code):
    binary = fake(code=code).binary
    done = run("--binary", binary)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == f"progress of the binary\nerror: `{binary} check` ended with exit code {code}\n"


def check_error(done, code, pattern):
    assert (done.returncode, done.stdout) == (code, "")
    assert re.fullmatch(rf"error: {pattern}\n", done.stderr.removeprefix("progress of the binary\n")), done.stderr


def test_errors_are_one_line(fake, tmp_path):
    check_error(run("--binary", tmp_path / "missing"), 2, r"no such file: .*missing; --binary takes .*")
    check_error(run("--binary", TOOL.with_name("requirements.txt")), 2, r".*requirements\.txt cannot be run here: Permission denied")
    check_error(run("--binary", fake().binary, "--libraries", tmp_path / "missing"), 2, r"no such folder: .*missing; --libraries takes .*")
    check_error(run("--binary", fake().binary, "--rows", 0), 2, r"argument --rows: 0 is not above 0; .*")
    check_error(run(), 2, r"the following arguments are required: --binary; .*")
    check_error(run("--binary", fake("hello").binary), 1, r".* did not print a JSON document: .*")
    half = fake({"textflight": "1", "device": "cpu"}).binary
    check_error(run("--binary", half, **fake.without_torch), 1, r".* is not as expected: KeyError: .*")


def test_a_report_that_cannot_be_written_is_printed_all_the_same(fake, tmp_path):
    done = run("--binary", fake().binary, "--output", tmp_path, **fake.without_torch)
    assert done.returncode == 2
    assert done.stdout.startswith("### ") and done.stderr.endswith("cannot be written: Is a directory\n")


@pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed")
def test_pytorch_beside_ours(fake):
    speed = [{**entry, "dtype": "f32" if entry["dtype"] == "f16" else "int8"} for entry in DOCUMENT["speed"]]
    done = run("--binary", fake({**DOCUMENT, "device": "cpu", "card": None, "facts": None, "kernels": [], "speed": speed}).binary, "--seconds", "0.01")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("### cpu, textflight 0.1.0\n\ncpu, 2")
    lines = re.findall(r"^\| ((?:mean|25|100) .*) \|$", done.stdout, re.MULTILINE)
    rows = [line.split(" | ") for line in lines]
    assert rows[0][3:] == ["f32 rows/s", "utilization", "host µs", "int8 rows/s", "utilization", "host µs",
                           "PyTorch f32 client order", "sorted", "ratio"]
    assert [row[:2] for row in rows[1:]] == [[mean, batch] for mean in ("25", "100") for batch in ("32", "128 (usual)", "512")]
    for row in rows[1:]:
        if row[1] == "512":
            assert row[2:9] == ["–"] * 7 and row[11] == "–", "textflight was not measured so"
        else:
            assert float(row[11]) == pytest.approx(float(row[3]) / float(row[9]), abs=0.006)
    assert re.search(r"\nPyTorch \S+ in f32 on the CPU: its logits of 2 texts, .* by 0\.0e\+00 at most in f32", done.stdout)


@pytest.mark.skipif(not HAS_TORCH, reason="torch is not installed")
@pytest.mark.parametrize("logits", [[0.5, -0.248], [float("nan"), -0.25]])
def test_pytorch_with_other_logits_is_no_peer(fake, logits):
    binary = fake({**DOCUMENT, "device": "cpu"}).binary
    (fake.folder / "logits.json").write_text(json.dumps({"ids": [[1, 2], [1, 3, 2]], "logits": [LOGITS, logits]}))
    done = run("--binary", binary)
    assert done.returncode == 1
    assert "| f16 | 2000 | 1999 |" in done.stdout and "| ratio |" not in done.stdout
    assert re.search(r"\nerror: PyTorch does not compute the same model: .* differ by (0\.002|nan) .*\n$", done.stderr)


def test_the_real_binary_on_the_cpu():
    done = run("--binary", servers.BINARY, "--device", "cpu", "--tiny")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("### cpu, textflight ")
    assert re.search(r"^\| \w+ \| \d+ \| \d+ \| \S+ \| \S+ \| \S+ \| yes \|$", done.stdout, re.MULTILINE)
    assert re.search(r"^\| \d+ \| \d+ \| \d+, \d+ \| [\d.]+ \|", done.stdout, re.MULTILINE)
    assert ("| ratio |" in done.stdout) == HAS_TORCH
    assert re.search(r"\nPyTorch \S+ in f32 on the CPU: its logits " if HAS_TORCH else r"\nPyTorch: not measured: ", done.stdout)


BUNDLE = servers.REPOSITORY / "tools" / "gpu-bundle"


def bundle(*arguments):
    command = [sys.executable, BUNDLE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_a_bundle_is_all_that_a_machine_needs(fake, tmp_path):
    """With a script in place of a binary that is made for a card: an ELF's head and a library's name are in it, behind its end."""
    binary = tmp_path / "cuda-binary"
    binary.write_bytes(pathlib.Path("/bin/true").resolve().read_bytes() + b"libcublasLt.so.12 GLIBC_2.34 GLIBC_2.4")
    binary.chmod(0o755)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/libcublasLt.so.12").write_text("a library")
    done = bundle("--binary", binary, "--output", tmp_path / "b.tar.gz", "--libraries", tmp_path / "lib")
    assert done.returncode == 0, done.stderr
    with tarfile.open(tmp_path / "b.tar.gz") as tar:
        tar.extractall(tmp_path / "there", filter="data")
    there = tmp_path / "there/textflight-gpu"
    files = sorted(str(file.relative_to(there)) for file in there.rglob("*") if file.is_file())
    assert files == ["LIBRARIES.md", "gpu-check", "libraries/libcublasLt.so.12", "run", "textflight"]
    page = (there / "LIBRARIES.md").read_text()
    assert "2.34 or later" in page and "nvidia-cublas-cu12" in page and "inside: libcublasLt.so.12" in page
    # `run` runs the check that lies beside it, with the binary that does.
    pretender = fake()
    for suffix in ("", ".json"):
        shutil.copy(pretender.binary.with_suffix(suffix), (there / "textflight").with_suffix(suffix))
    done = subprocess.run([there / "run", "--tiny"], cwd=tmp_path, capture_output=True, text=True, timeout=60,
                          env={**servers.environment(), **fake.without_torch})
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == done.stdout and "NVIDIA H100" in done.stdout


def test_what_is_no_binary_for_cards_is_no_bundle(tmp_path):
    output = tmp_path / "b.tar.gz"
    (tmp_path / "text").write_text("text")
    wrong = {"missing": "No such file", "text": "is no Linux binary"}
    for name, said in wrong.items():
        done = bundle("--binary", tmp_path / name, "--output", output)
        assert done.returncode == 2 and said in done.stderr, done.stderr
    done = bundle("--binary", "/bin/true", "--output", output)
    assert done.returncode == 2 and "was built without CUDA" in done.stderr
    assert not output.exists()
