"""`textflight score --server`: the model on other machines, here on other ports."""
import json
import re
import shutil
import subprocess
import time

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import server as servers
from server import BINARY, MODEL, environment, run
from test_parquet import TABLE

OPTIONS = ["--text", "text", "--details", "--probabilities"]


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "in.parquet"
    pq.write_table(TABLE, path, row_group_size=200)
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory, dev_texts):
    """Some thousand rows, which take the bundled model seconds."""
    path = tmp_path_factory.mktemp("large") / "in.parquet"
    texts = [f"{text} {number}" for number in range(18) for text in dev_texts]
    texts[5], texts[6], texts[7] = None, "", "word " * 300
    pq.write_table(pa.table({"id": range(len(texts)), "text": texts}), path, row_group_size=2000)
    return path


@pytest.fixture(scope="module")
def local(large, tmp_path_factory):
    """What a model in the command's own process makes of it."""
    target = tmp_path_factory.mktemp("local") / "out.parquet"
    done = run("score", large, "-o", target, "--model", MODEL, *OPTIONS)
    assert done.returncode == 0, done.stderr
    return target.read_bytes()


def address(running):
    return f"grpc://{running.flight}"


def kill(running):
    running.process.kill()
    running.process.wait()
    running.process.stdout.close()


def rows_scored(running):
    import urllib.request

    with urllib.request.urlopen(f"http://{running.http}/metrics", timeout=30) as page:
        text = page.read().decode()
    return sum(float(value) for value in re.findall(r"^textflight_rows_total\{[^}]*\} (\S+)$", text, re.MULTILINE))


def wait_until_scored(running, rows, scoring):
    """Until the server has scored so many, or the command has ended."""
    deadline = time.monotonic() + 60
    while scoring.poll() is None and rows_scored(running) < rows:
        assert time.monotonic() < deadline, f"{rows_scored(running)} rows of {rows} were scored"
        time.sleep(0.02)


def test_a_file_comes_out_as_it_does_here(source, tmp_path, server):
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    for target, where in [(here, ["--model", MODEL]), (there, ["--server", address(server)])]:
        done = run("score", source, "-o", target, *OPTIONS, "--on-error", "null", *where, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["nulls"] == TABLE["text"].null_count
    assert there.read_bytes() == here.read_bytes()


def test_two_servers_share_the_work(large, local, tmp_path, serve):
    pair = [serve(), serve()]
    target = tmp_path / "out.parquet"
    done = run("score", large, "-o", target, *OPTIONS, "--server", ",".join(map(address, pair)))
    assert done.returncode == 0, done.stderr
    assert target.read_bytes() == local
    assert min(map(rows_scored, pair)) > 200


def test_a_server_that_is_killed_costs_time_and_no_rows(large, local, tmp_path):
    running = servers.Server(tmp_path / "log")
    port = running.flight.rpartition(":")[2]
    target = tmp_path / "out.parquet"
    command = [BINARY, "score", large, "-o", target, *OPTIONS, "--server", address(running)]
    scoring = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, env=environment())
    kills = 0
    try:
        for wanted in [500, 500, 500]:
            wait_until_scored(running, wanted, scoring)
            if scoring.poll() is not None:
                break
            kill(running)
            kills += 1
            running = servers.Server(tmp_path / f"log{kills}", flight=f"127.0.0.1:{port}")
        _, log = scoring.communicate(timeout=120)
    finally:
        scoring.kill()
        kill(running)
    assert kills > 0 and scoring.returncode == 0, log
    assert "a server takes no work" in log
    assert target.read_bytes() == local


def test_a_server_that_drains_hands_its_work_on(large, local, tmp_path, serve):
    first, second = servers.Server(tmp_path / "first", "--drain-timeout", "0.2"), serve()
    target = tmp_path / "out.parquet"
    command = [BINARY, "score", large, "-o", target, *OPTIONS, "--server", address(first), "--server", address(second)]
    scoring = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, env=environment())
    try:
        wait_until_scored(first, 500, scoring)
        # The exchange is never at rest, and so ends with the time for that.
        first.terminate()
        _, log = scoring.communicate(timeout=120)
    finally:
        scoring.kill()
        kill(first)
    assert scoring.returncode == 0, log
    assert re.search(f"a server takes no work.*{re.escape(address(first))}", log), log
    assert rows_scored(second) > 0
    assert target.read_bytes() == local


def test_without_any_server_the_job_ends_once_for_all_files(large, tmp_path):
    running = servers.Server(tmp_path / "log")
    source, folder = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in ("1.parquet", "2.parquet", "3.parquet"):
        shutil.copy(large, source / name)
    command = [BINARY, "score", source, "-o", folder, "--text", "text", "--server", address(running),
               "--server", "grpc://127.0.0.1:1", "--server-timeout", "1.5"]
    scoring = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True, env=environment())
    try:
        wait_until_scored(running, 500, scoring)
        kill(running)
        _, log = scoring.communicate(timeout=60)
    finally:
        scoring.kill()
        kill(running)
    assert scoring.returncode == 1, log
    last = log.strip().splitlines()[-1]
    assert last.startswith("error: no server answered for 1.5 s (--server-timeout): "), log
    assert address(running) in last and "grpc://127.0.0.1:1: cannot connect" in last
    assert "Connection refused" in last
    assert log.count("no server answered") == 1, log
    assert not list(folder.glob("*.parquet"))


def test_a_token_is_asked_for_and_never_shown(source, tmp_path, serve):
    running = serve("--api-token", "hush-hush")
    token = tmp_path / "token"
    token.write_text("hush-hush\n")
    target = tmp_path / "out.parquet"

    def score(*options, **variables):
        command = [BINARY, "score", source, "-o", target, "--text", "text", "--server", address(running), *options]
        return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=60, env=environment() | variables)

    began = time.monotonic()
    for wrong in [score(), score("--server-token", "hush-hus"), score(TEXTFLIGHT_SERVER_TOKEN="hush-hus")]:
        assert wrong.returncode == 1 and "token" in wrong.stderr and "hush" not in wrong.stderr, wrong.stderr
        assert not target.exists()
    assert time.monotonic() - began < 30, "what no time mends is said at once"
    for right in [score("--server-token-file", token), score(TEXTFLIGHT_SERVER_TOKEN="hush-hush")]:
        assert right.returncode == 0 and "hush" not in right.stderr, right.stderr


def test_servers_of_different_models_are_refused(source, tmp_path, server, serve):
    other = tmp_path / "other"
    shutil.copytree(MODEL, other)
    config = json.loads((other / "config.json").read_text())
    config["id2label"] = {"0": "bad", "1": "good"}
    config["label2id"] = {"bad": 0, "good": 1}
    (other / "config.json").write_text(json.dumps(config))
    for where, expected in [
        (dict(options=["--max-length", "64"]), "max_length: 128, 64"),
        (dict(options=["--dtype", "int8"]), "dtype: f32, int8"),
        (dict(model=other), "labels: NEGATIVE,POSITIVE, bad,good"),
    ]:
        running = serve(*where.pop("options", []), **where)
        done = run("score", source, "-o", tmp_path / "out.parquet", "--server", f"{address(server)},{address(running)}")
        assert done.returncode == 2, done.stderr
        assert expected in done.stderr and address(running) in done.stderr, done.stderr
    assert not (tmp_path / "out.parquet").exists()


def test_an_encrypted_server(source, tmp_path, serve):
    tls = servers.REPOSITORY / "tests" / "fixtures" / "tls"
    running = serve("--tls-cert", tls / "server.pem", "--tls-key", tls / "server.pem")
    port = running.flight.rpartition(":")[2]
    command = ["score", source, "-o", tmp_path / "out.parquet", "--text", "text", "--server-timeout", "1", "--server"]
    trusting = environment() | {"SSL_CERT_FILE": str(tls / "ca.pem")}

    def score(server, env, *options):
        arguments = [BINARY, *map(str, [*command, server, *options])]
        return subprocess.run(arguments, capture_output=True, text=True, timeout=60, env=env)

    done = score(f"grpc+tls://localhost:{port}", trusting)
    assert done.returncode == 0, done.stderr
    stranger = score(f"grpc+tls://localhost:{port}", environment())
    assert stranger.returncode == 1 and "certificate" in stranger.stderr, stranger.stderr
    assert "grpc+tls://localhost" in stranger.stderr
    for named in (["--server-ca", tls / "ca.pem"], []):
        # It is for servers alone, and goes before the variable, which is for all.
        variable = {"SSL_CERT_FILE": str(tls / "certificate.pem")} if named else {"TEXTFLIGHT_SERVER_CA": str(tls / "ca.pem")}
        done = score(f"grpc+tls://localhost:{port}", environment() | variable, *named, "--force")
        assert done.returncode == 0, done.stderr
    for other in ("/dev/null", tmp_path / "none.pem"):
        done = score(f"grpc+tls://localhost:{port}", trusting, "--server-ca", other, "--force")
        assert done.returncode == 2 and f"--server-ca {other}: " in done.stderr, done.stderr


def test_what_is_wrong_with_the_command(source, tmp_path):
    for options, expected in [
        (["--server", "grpc://a:1", "--device", "cpu"], "--device is for a model here"),
        (["--server-timeout", "3"], "add --server"),
        (["--server", "http://a:1"], "expected grpc://HOST:PORT"),
        (["--server", "grpc://a:1", "--server-token-file", tmp_path / "none"], "--server-token-file"),
    ]:
        done = run("score", source, "-o", tmp_path / "out.parquet", *options)
        assert done.returncode == 2 and expected in done.stderr, done.stderr
