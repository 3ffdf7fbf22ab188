"""The container image, as far as it goes without an engine: its linter, and the commands that it runs."""
import pathlib
import re
import select
import socket
import subprocess
import sys

import pytest
import trustme

import server as servers

DOCKERFILE = servers.REPOSITORY / "Dockerfile"


def test_hadolint_finds_no_fault():
    hadolint = pathlib.Path(sys.executable).with_name("hadolint")
    run = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def secured(kind, folder):
    """Variables of a server that asks who comes."""
    (folder / "tokens").write_text("ann hush\n")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    tls = {"TEXTFLIGHT_TLS_CERT": str(folder / "both.pem"), "TEXTFLIGHT_TLS_KEY": str(folder / "both.pem")}
    return {
        "anybody": {},
        "tokens": {"TEXTFLIGHT_TOKEN_FILE": str(folder / "tokens")},
        "TLS": tls,
        "certificates": {**tls, "TEXTFLIGHT_TLS_CLIENT_CA": str(folder / "ca.pem")},
    }[kind]


@pytest.mark.parametrize("kind", ["anybody", "tokens", "TLS", "certificates"])
def test_its_command_serves_and_its_health_check_passes(kind, tmp_path):
    """Both as written, but for the addresses, which are free ones of this machine's loopback."""
    text = DOCKERFILE.read_text()
    command = re.search(r'^CMD \["textflight", (.*)\]$', text, re.MULTILINE)[1]
    arguments = [argument.strip('"') for argument in command.split(", ")]
    assert arguments == ["serve", "--flight", "0.0.0.0:8815"]
    check = re.search(r"^    CMD (bash .*)$", text, re.MULTILINE)[1]

    environment = {**servers.environment(), "TEXTFLIGHT_MODEL": str(servers.MODEL), **secured(kind, tmp_path)}
    local = [servers.BINARY, "serve", "--flight", "127.0.0.1:0", "--http", "127.0.0.1:0"]

    def healthy(**address):
        run = subprocess.run(["sh", "-c", check], env={**environment, **address}, capture_output=True, text=True, timeout=60)
        return run.returncode == 0

    with subprocess.Popen(local, stdout=subprocess.PIPE, text=True, env=environment) as running:
        try:
            assert select.select([running.stdout], [], [], servers.START_SECONDS)[0], "no ready line"
            port = re.search(r" http=.*:(\d+)$", running.stdout.readline())[1]
            assert healthy(PORT=port)
            # Where the port is said in our own way, Cog's is not asked.
            assert healthy(PORT="1", TEXTFLIGHT_HTTP=f"0.0.0.0:{port}") and healthy(PORT="1", TEXTFLIGHT_HTTP=f"[::]:{port}")
        finally:
            running.terminate()
    assert not healthy(PORT=port)


def test_its_health_check_waits_for_the_model():
    check = re.search(r"^    CMD (bash .*)$", DOCKERFILE.read_text(), re.MULTILINE)[1]
    for status, passes in [("STARTING", False), ("READY", True), ("BUSY", True), ("DEFUNCT", False)]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            environment = {**servers.environment(), "PORT": str(listener.getsockname()[1])}
            with subprocess.Popen(["sh", "-c", check], env=environment) as run:
                client, _ = listener.accept()
                with client:
                    request = b""
                    # To its end: what is left unread would reset the connection.
                    while not request.endswith(b"\r\n\r\n"):
                        request += client.recv(4096)
                    assert request.startswith(b"GET /health-check HTTP/1.0\r\n")
                    client.sendall(b'HTTP/1.0 200 OK\r\n\r\n{"status":"%s","setup":{"status":"succeeded"}}' % status.encode())
                assert (run.wait(30) == 0) == passes, status
