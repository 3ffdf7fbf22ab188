"""`--model bundled`: the small model that comes along, wherever the command is run."""
import json

import textflight
from textflight import _server

import server as servers


def test_it_is_there_from_every_folder(tmp_path):
    """Also where a folder has its name, which is ./bundled then."""
    (tmp_path / "bundled").mkdir()
    asked = ["predict", "--model", "bundled", "-i", 'texts=["a lovely film"]']
    for folder in (tmp_path, servers.REPOSITORY):
        run = servers.run(*asked, cwd=folder)
        assert run.returncode == 0, run.stderr
        assert json.loads(run.stdout)["predicted_labels"] == [1]
    run = servers.run("predict", "--model", "./bundled", "-i", 'texts=["a"]', cwd=tmp_path)
    assert (run.returncode, "./bundled/config.json: not found" in run.stderr) == (1, True), run.stderr


def test_it_scores_as_its_folder_does_and_has_a_name(tmp_path):
    outputs = [tmp_path / "bundled.parquet", tmp_path / "folder.parquet"]
    for model, output in zip(["bundled", servers.MODEL], outputs):
        run = servers.run("score", servers.REPOSITORY / "data" / "reviews.parquet", "-o", output, "--text", "text", "--model", model)
        assert run.returncode == 0, run.stderr
    assert outputs[0].read_bytes() == outputs[1].read_bytes()


def test_python_has_its_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("TEXTFLIGHT_BIN", str(servers.BINARY))
    tmp_path.chmod(0o700)
    assert _server.bundled_model() == str(servers.MODEL)
    with textflight.Client() as client:
        assert client.info()["name"] == "sst2-mini"
