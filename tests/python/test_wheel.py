"""The wheel in environments that have nothing else: what people get who type `pip install textflight`."""
import json
import pathlib
import re
import subprocess
import sys
import venv
import zipfile

import pyarrow.parquet as pq
import pytest

import server as servers
import wheel as wheels
from textflight import _launch

NAME = re.compile(r"textflight-(?P<version>[0-9.]+)-py3-none-(?:linux|manylinux_(?P<glibc>\d+_\d+))_x86_64\.whl")
REVIEWS = servers.REPOSITORY / "data" / "reviews.parquet"
PIP, UV, UVX = (pathlib.Path(sys.executable).with_name(name) for name in ("pip", "uv", "uvx"))
# Downloads among them.
SECONDS = 300


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    return wheels.built(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """The variables of somebody who has nothing but Python, and a folder of theirs."""
    folder = tmp_path_factory.mktemp("outside")
    folder.chmod(0o700)
    kept = {name: value for name, value in servers.environment().items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return {**kept, "XDG_RUNTIME_DIR": str(folder), "HOME": str(folder), "PATH": "/usr/bin:/bin", "UV_PYTHON_DOWNLOADS": "never"}


@pytest.fixture(scope="module")
def installed(wheel, outside, tmp_path_factory):
    """A fresh environment with the wheel, with its one dependency from the registry, and pandas."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(folder, with_pip=False)
    # As pip would, without compiling all of pandas to bytecode that a test or two import.
    run([UV, "pip", "install", "--quiet", "--no-config", "--python", folder, f"{wheel}[pandas]"], outside)
    return folder


def run(command, environment, **options):
    command = list(map(str, command))
    done = subprocess.run(command, env=environment, cwd=environment["HOME"], capture_output=True, text=True, timeout=SECONDS, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def files_below(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()}


def test_the_command_is_on_the_path(installed, outside):
    with_venv = {**outside, "PATH": f"{installed / 'bin'}:{outside['PATH']}"}
    version = run(["textflight", "--version"], with_venv).split()[1]
    program = "import importlib.metadata, textflight; print(importlib.metadata.version('textflight'), textflight.__version__)"
    assert run([installed / "bin" / "python", "-c", program], outside).split() == [version, version]
    for command in (["textflight"], [installed / "bin" / "python", "-m", "textflight"]):
        predicted = run([*command, "predict", "--model", "bundled", "-i", 'texts=["a lovely film"]'], with_venv)
        assert json.loads(predicted)["predicted_labels"] == [1]


def test_one_line_scores_a_pandas_column(installed, outside):
    """Nothing is on the path, no environment is activated, no server runs."""
    frame = "pandas.DataFrame({'review': ['a lovely film', 'dull']}, index=[7, 3])"
    line = f"import textflight, pandas; print(textflight.score({frame}).label.to_dict())"
    assert run([installed / "bin" / "python", "-W", "error", "-c", line], outside) == "{7: 'POSITIVE', 3: 'NEGATIVE'}\n"


# What an environment has that has had nothing new for long.
OLDEST = """
import textflight, duckdb, pandas as pd, polars as pl, pyarrow as pa
print(duckdb.__version__, pd.__version__, pl.__version__, pa.__version__)
texts = ["a lovely film", None, "dull"]
for kind in (pd.Series, pl.Series, pa.array, list):
    scored = textflight.score(kind(texts))
    print(kind.__name__, len(scored))
for kind in (pd.DataFrame, pl.DataFrame, pa.table):
    scored = textflight.score(kind({"review": texts}))
    print(kind.__name__, list(scored["label"])[0])
print("lazy", textflight.score(pl.LazyFrame({"review": texts})).collect()["label"][0])
import textflight.duckdb, textflight.polars
frame = pl.DataFrame({"review": texts})
print("expression", frame.lazy().select(textflight.polars.sentiment(pl.col("review")).struct.field("label")).collect()["label"][0])
con = duckdb.connect()
textflight.duckdb.register(con, name="sentiment")
print("SQL", con.sql("SELECT sentiment('a lovely film').label").fetchall()[0][0])
"""


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="the oldest pyarrow that is taken has no wheel for this Python")
def test_the_oldest_versions_that_it_takes_do(wheel, outside, tmp_path):
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=False)
    oldest = ["--resolution", "lowest", "--only-binary", ":all:"]
    run([UV, "pip", "install", "--quiet", "--no-config", "--python", folder, *oldest, f"{wheel}[pandas,polars,duckdb]"], outside)
    said = run([folder / "bin" / "python", "-c", OLDEST], outside).split("\n")
    assert said[0] == "1.0.0 2.2.2 1.34.0 17.0.0"
    assert said[1:5] == ["Series 3"] * 2 + ["array 3", "list 3"]
    assert [line.split()[1] for line in said[5:11]] == ["POSITIVE"] * 6


def test_binary_and_model_are_those_that_came_along(installed, outside):
    program = "from textflight import _server; print(_server.binary(), _server.bundled_model())"
    binary, model = map(pathlib.Path, run([installed / "bin" / "python", "-c", program], outside).split())
    assert (binary, model) == (installed / "bin" / "textflight", installed / "share" / "textflight" / "sst2-mini")
    ours, theirs = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in (servers.MODEL, model))
    assert ours == theirs
    (model / "config.json").rename(model / "away")
    try:
        command = [binary, "predict", "--model", "bundled", "-i", "texts=[]"]
        missing = subprocess.run(command, env=outside, capture_output=True, text=True, timeout=SECONDS)
    finally:
        (model / "away").rename(model / "config.json")
    assert (missing.returncode, f"{model}/config.json: not found" in missing.stderr) == (1, True), "the command takes the same"


def test_its_page_is_true(wheel, installed, outside, tmp_path):
    """Each block runs as it is printed, in a folder like a checkout, with that environment's pip."""
    (tmp_path / "target" / "wheels").mkdir(parents=True)
    (tmp_path / "target" / "wheels" / wheel.name).symlink_to(wheel)
    (tmp_path / "data").symlink_to(servers.REPOSITORY / "data")
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "pip").write_text(f'#!/bin/sh\nexec {PIP} --python {installed}/bin/python "$@"\n')
    (commands / "pip").chmod(0o755)
    (commands / "uvx").symlink_to(UVX)
    reader = {**outside, "HOME": str(tmp_path), "PATH": f"{commands}:{outside['PATH']}", "UV_PYTHON": sys.executable}
    page = (servers.REPOSITORY / "docs" / "install.md").read_text()
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert [language for language, _ in blocks] == ["sh", "python", "sh"]
    for language, code in blocks:
        program = ["bash", "-euo", "pipefail", "-c"] if language == "sh" else [installed / "bin" / "python", "-W", "error", "-c"]
        said = run([*program, code], reader)
        assert language == "sh" or "POSITIVE" in said
    assert pq.read_table(tmp_path / "scored.parquet").num_rows == 872
    heeded = re.search(r"\*\*Variables\*\*: (.*?) hold for it", page, re.DOTALL)[1]
    assert {f"TEXTFLIGHT{name.removeprefix('TEXTFLIGHT')}" for name in re.findall(r"`(\w+)`", heeded)} == _launch._HEEDED


def test_its_types_are_known(installed):
    package, = installed.glob("lib/python3*/site-packages/textflight")
    assert (package / "py.typed").is_file()
    modules = servers.REPOSITORY / "python" / "textflight"
    assert files_below(package) >= {path for path in files_below(modules) if "__pycache__" not in path.parts}


def test_uvx_runs_the_command(wheel, outside, tmp_path):
    """In an environment that is gone afterwards."""
    options = ["--quiet", "--python", sys.executable, "--no-config", "--from", wheel]
    output = tmp_path / "scored.parquet"
    run([UVX, *options, "textflight", "score", REVIEWS, "-o", output, "--text", "text", "--model", "bundled"], outside)
    assert pq.read_table(output).num_rows == 872


def test_a_folder_of_packages_has_all_of_it(wheel, outside, installed, tmp_path):
    """As `pip install --target` makes them for jobs of a cluster: its scripts are on nobody's path."""
    folder = tmp_path / "packages"
    run([PIP, "install", "--quiet", "--no-deps", "--target", folder, wheel], outside)
    program = "import sys; sys.path.insert(0, sys.argv[1])\nfrom textflight import _server; print(_server.binary(), _server.bundled_model(), _server.local().pid > 0)"
    binary, model, served = run([installed / "bin" / "python", "-c", program, folder], outside).split()
    assert (binary, model, served) == (f"{folder}/bin/textflight", f"{folder}/share/textflight/sst2-mini", "True")


def test_nothing_is_left_when_it_is_uninstalled(wheel, outside, tmp_path):
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=False)
    before = files_below(folder)
    pip = [PIP, "--python", folder / "bin" / "python"]
    run([*pip, "install", "--quiet", "--no-deps", wheel], outside)
    assert len(files_below(folder)) > len(before) + 20
    run([*pip, "uninstall", "--quiet", "--yes", "textflight"], outside)
    assert files_below(folder) == before


def test_it_says_what_it_needs(wheel):
    found = NAME.fullmatch(wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        metadata = archive.read(f"textflight-{found['version']}.dist-info/METADATA").decode()
        binary = archive.read(f"textflight-{found['version']}.data/scripts/textflight")
        here = str(servers.REPOSITORY).encode()
        texts = [name for name in archive.namelist() if not name.endswith(("scripts/textflight", ".safetensors"))]
        assert not [name for name in texts if here in archive.read(name)], "folders of this machine are nobody's business"
    needed = [line for line in metadata.splitlines() if line.startswith("Requires-Dist: ") and "extra ==" not in line]
    assert needed == ["Requires-Dist: pyarrow>=17"] and "\nRequires-Python: >=3.10\n" in metadata
    assert f"\nVersion: {found['version']}\n" in metadata and "\nLicense-Expression: Apache-2.0\n" in metadata
    if found["glibc"]:
        promised = tuple(map(int, found["glibc"].split("_")))
        used = {tuple(map(int, version.split(b"."))) for version in re.findall(rb"GLIBC_(\d+\.\d+)", binary)}
        assert max(version[:2] for version in used) <= promised
