"""Who may come in, and who may listen: TLS, certificates of clients, tokens and Flight's three ways to bring them."""
import base64
import contextlib
import http.client
import json
import re
import socket
import ssl
import subprocess
import urllib.error
import urllib.request

import adbc_driver_flightsql.dbapi as flightsql
import grpc
import pyarrow as pa
import pyarrow.flight as fl
import pyarrow.parquet as pq
import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from grpc_health.v1 import health_pb2, health_pb2_grpc

import server as servers
from client import CALL, score, texts, wait_until

REFUSED = fl.FlightUnauthenticatedError
LOCAL = [("grpc.use_local_subchannel_pool", 1)]


class Pki:
    """An authority, and files that it has signed."""

    def __init__(self, folder):
        self.folder, self.ca = folder, trustme.CA()
        self.ca.cert_pem.write_to_path(folder / "ca.pem")
        self.issue()
        self.client = self.ca.issue_cert("client.test", common_name="Ann's laptop")

    def issue(self):
        """A certificate for the server, with the chain behind it; its serial number."""
        cert = self.ca.issue_cert("localhost", "127.0.0.1")
        (self.folder / "key.pem").write_bytes(cert.private_key_pem.bytes())
        (self.folder / "cert.pem").write_bytes(b"".join(pem.bytes() for pem in cert.cert_chain_pems))
        return ssl.PEM_cert_to_DER_cert(cert.cert_chain_pems[0].bytes().decode())

    def options(self, *more):
        return ["--tls-cert", self.folder / "cert.pem", "--tls-key", self.folder / "key.pem", *more]

    def mutual(self, *more):
        return self.options("--tls-client-ca", self.folder / "ca.pem", *more)

    def context(self, with_certificate=False):
        context = ssl.create_default_context(cadata=self.ca.cert_pem.bytes().decode())
        if with_certificate:
            self.client.configure_cert(context)
        return context

    @contextlib.contextmanager
    def flight(self, running, with_certificate=False):
        certificate = {}
        if with_certificate:
            chain = b"".join(pem.bytes() for pem in self.client.cert_chain_pems)
            certificate = {"cert_chain": chain, "private_key": self.client.private_key_pem.bytes()}
        where, roots = f"grpc+tls://{running.flight}", self.ca.cert_pem.bytes()
        with fl.FlightClient(where, tls_root_certs=roots, generic_options=LOCAL, **certificate) as connected:
            yield connected


@pytest.fixture
def pki(tmp_path):
    return Pki(tmp_path)


def fetch(running, path="/openapi.json", context=None, **headers):
    """The status of a request."""
    scheme = "https" if context else "http"
    request = urllib.request.Request(f"{scheme}://{running.http}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def bearer(token):
    return fl.FlightCallOptions(timeout=60, headers=[(b"authorization", f"Bearer {token}".encode())])


def basic(name, token):
    return "Basic " + base64.b64encode(f"{name}:{token}".encode()).decode()


def closes(address, words):
    """What a client hears that says this in plain text, until the server closes."""
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=8) as plain:
        plain.sendall(words)
        heard = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := plain.recv(4096):
                heard += piece
        return heard


def test_both_ports_encrypt(serve, pki):
    running = serve(*pki.options())
    with pki.flight(running) as client:
        assert score(client, texts("fine"))["label"].null_count == 0
    assert fetch(running, context=pki.context()) == 200
    # An authority of one's own, as `textflight predict` is told of it.
    command = [servers.BINARY, "predict", "--url", f"https://{running.http}", "-i", 'texts=["fine"]']
    run = lambda **variables: subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**servers.environment(), **variables})
    good = run(SSL_CERT_FILE=str(pki.folder / "ca.pem"))
    assert good.returncode == 0 and "predicted_labels" in good.stdout, good.stderr
    bad = run()
    assert bad.returncode == 1 and "certificate" in bad.stderr, bad.stderr


def test_http2_and_http1_are_agreed_upon(serve, pki):
    running = serve(*pki.options())
    for address, offered, expected in [
        (running.http, ["h2", "http/1.1"], "h2"),
        (running.http, ["http/1.1"], "http/1.1"),
        (running.flight, ["h2", "http/1.1"], "h2"),
    ]:
        context = pki.context()
        context.set_alpn_protocols(offered)
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), 30) as plain, context.wrap_socket(plain, server_hostname=host) as tls:
            assert tls.selected_alpn_protocol() == expected


def test_plain_text_is_shown_out_and_a_silent_client_is_cut(serve, pki):
    running = serve(*pki.options("--handshake-timeout", "2"))
    for address in [running.flight, running.http]:
        for words in [b"GET /health-check HTTP/1.1\r\nhost: a\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\xff\xff", b""]:
            assert b"200" not in closes(address, words)
    assert fetch(running, context=pki.context()) == 200
    # An alert of TLS is no answer in HTTP.
    with pytest.raises((OSError, http.client.HTTPException)):
        urllib.request.urlopen(f"http://{running.http}/health-check", timeout=30)


def test_clients_show_certificates(serve, pki):
    running = serve(*pki.mutual("--log", "debug"))
    with pki.flight(running, with_certificate=True) as client:
        assert score(client, texts("fine"))["label"].null_count == 0
    assert fetch(running, context=pki.context(True)) == 200
    with pki.flight(running) as client, pytest.raises(fl.FlightUnavailableError):
        list(client.list_actions(CALL))
    other = trustme.CA().issue_cert("client.test")
    context = pki.context()
    other.configure_cert(context)
    for refused in [pki.context(), context]:
        # Not even a probe.
        with pytest.raises((urllib.error.URLError, ssl.SSLError, ConnectionError)):
            fetch(running, "/health-check", refused)


def probed(running, pki, certificate=None):
    """What gRPC's health says over TLS, by the protocol's own client."""
    shown = {}
    if certificate:
        chain = b"".join(pem.bytes() for pem in certificate.cert_chain_pems)
        shown = {"private_key": certificate.private_key_pem.bytes(), "certificate_chain": chain}
    credentials = grpc.ssl_channel_credentials(pki.ca.cert_pem.bytes(), **shown)
    with grpc.secure_channel(running.flight, credentials) as channel:
        return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30).status


def test_probes_of_grpc_show_a_certificate_and_no_token(serve, pki):
    running = serve(*pki.mutual("--api-token", "hush"))
    assert probed(running, pki, pki.client) == health_pb2.HealthCheckResponse.SERVING
    for certificate in [None, trustme.CA().issue_cert("client.test")]:
        with pytest.raises(grpc.RpcError) as refused:
            probed(running, pki, certificate)
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert probed(running, pki, pki.client) == health_pb2.HealthCheckResponse.SERVING


def test_a_certificate_does_not_spare_the_token(serve, pki):
    running = serve(*pki.mutual("--api-token", "hush"))
    with pki.flight(running, with_certificate=True) as client:
        with pytest.raises(REFUSED):
            list(client.list_actions(CALL))
        assert list(client.list_actions(bearer("hush")))
    assert fetch(running, context=pki.context(True)) == 401
    assert fetch(running, context=pki.context(True), authorization="Bearer hush") == 200


def served(running, pki):
    """The certificate that a new connection is shown."""
    host, port = running.http.split(":")
    with socket.create_connection((host, int(port)), 30) as plain:
        with pki.context().wrap_socket(plain, server_hostname=host) as tls:
            return tls.getpeercert(binary_form=True)


def test_certificates_are_read_again_while_connections_are_open(serve, pki):
    running = serve(*pki.options())
    with pki.flight(running) as client:
        assert list(client.list_actions(CALL))
        new = pki.issue()
        wait_until(lambda: served(running, pki) == new)
        assert list(client.list_actions(CALL))
        # A key that does not fit, and half a certificate: the old ones are in use.
        good = (pki.folder / "key.pem").read_bytes()
        (pki.folder / "key.pem").write_bytes(trustme.CA().private_key_pem.bytes())
        wait_until(lambda: "cannot be used" in running.log.read_text())
        assert served(running, pki) == new
        (pki.folder / "key.pem").write_bytes(good)
        (pki.folder / "cert.pem").write_bytes((pki.folder / "cert.pem").read_bytes()[:300])
        wait_until(lambda: running.log.read_text().count("cannot be used") >= 2)
        assert served(running, pki) == new
        newer = pki.issue()
        wait_until(lambda: served(running, pki) == newer)
        assert list(client.list_actions(CALL))


def test_authorities_of_clients_are_read_again(serve, pki):
    running = serve(*pki.mutual())
    assert fetch(running, context=pki.context(True)) == 200
    other = trustme.CA()
    stranger = pki.context()
    other.issue_cert("client.test").configure_cert(stranger)
    other.cert_pem.write_to_path(pki.folder / "ca.pem")

    def passes(context):
        try:
            return fetch(running, context=context) == 200
        except (urllib.error.URLError, ssl.SSLError, ConnectionError):
            return False

    wait_until(lambda: passes(stranger))
    assert not passes(pki.context(True))


def test_keys_of_every_form_and_none_that_is_encrypted(serve, pki):
    cases = [
        (trustme.KeyType.RSA, serialization.PrivateFormat.PKCS8, b"BEGIN PRIVATE KEY"),
        (trustme.KeyType.RSA, serialization.PrivateFormat.TraditionalOpenSSL, b"BEGIN RSA PRIVATE KEY"),
        (trustme.KeyType.ECDSA, serialization.PrivateFormat.TraditionalOpenSSL, b"BEGIN EC PRIVATE KEY"),
    ]
    for kind, form, title in cases:
        cert = pki.ca.issue_cert("127.0.0.1", key_type=kind)
        key = serialization.load_pem_private_key(cert.private_key_pem.bytes(), None)
        plain = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        assert title in plain
        (pki.folder / "key.pem").write_bytes(plain)
        (pki.folder / "cert.pem").write_bytes(cert.cert_chain_pems[0].bytes())
        running = serve(*pki.options())
        assert fetch(running, context=pki.context()) == 200
        locked = key.private_bytes(serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"word"))
        (pki.folder / "key.pem").write_bytes(locked)
        run = servers.run("serve", "--model", servers.MODEL, *pki.options())
        assert run.returncode == 2 and "the key is encrypted" in run.stderr, run.stderr


def test_what_cannot_be_served_ends_with_2(pki, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("ann hush-a\nann hush-b\n")
    cert, key, ca = pki.folder / "cert.pem", pki.folder / "key.pem", pki.folder / "ca.pem"
    other = Pki(tmp_path / "other") if (tmp_path / "other").mkdir() is None else None
    for options, expected in [
        (["--tls-cert", cert], "--tls-cert needs --tls-key"),
        (["--tls-key", key], "--tls-key needs --tls-cert"),
        (["--tls-client-ca", ca], "--tls-client-ca needs TLS"),
        (["--tls-cert", cert, "--tls-key", "/no/such/key"], "--tls-key /no/such/key: No such file"),
        (["--tls-cert", key, "--tls-key", key], "no certificate is in it"),
        (["--tls-cert", cert, "--tls-key", cert], "no private key is in it"),
        (["--tls-cert", cert, "--tls-key", other.folder / "key.pem"], "is not that of the key in --tls-key"),
        (["--tls-cert", cert, "--tls-key", key, "--tls-client-ca", key], "no certificate is in it"),
        (["--token-file", tokens], "line 2: the name ann is there already"),
        (["--token-file", tmp_path], "--token-file"),
        (["--api-token", "hüsh"], "--api-token: the token has characters"),
        (["--flight", "0.0.0.0:0"], "--flight 0.0.0.0:0 can be reached from other machines"),
        (["--http", "[::]:0"], "--http [::]:0 can be reached from other machines"),
        (["--flight", "0.0.0.0:0", *pki.options()], "nobody would be asked who he is"),
    ]:
        run = servers.run("serve", "--model", servers.MODEL, *options)
        assert run.returncode == 2 and expected in run.stderr, (options, run.stderr)
        assert "hush" not in run.stderr and "-----" not in run.stderr


@pytest.fixture
def guarded(serve, tmp_path):
    """A server that knows Ann and Bob."""
    file = tmp_path / "tokens"
    file.write_text("# who\nann hush-a\nbob hush-b\n")
    return serve("--token-file", file)


def test_a_bearer_token_or_basic_on_each_call(guarded, connect_to):
    client = connect_to(guarded)
    for value in ["Bearer hush-a", "bearer hush-b", basic("ann", "hush-a"), basic("", "hush-b")]:
        call = fl.FlightCallOptions(timeout=60, headers=[(b"authorization", value.encode())])
        assert list(client.list_actions(call))
        assert score(client, texts("fine"), call=call).num_rows == 1
        assert fetch(guarded, authorization=value) == 200
    for value in ["Bearer hush-c", basic("bob", "hush-a"), "hush-a"]:
        call = fl.FlightCallOptions(timeout=60, headers=[(b"authorization", value.encode())])
        with pytest.raises(REFUSED, match="authenticate_basic_token"):
            list(client.list_actions(call))
        assert fetch(guarded, authorization=value) == 401
    with pytest.raises(REFUSED):
        score(client, texts("fine"))


def test_authenticate_basic_token(guarded, connect_to):
    client = connect_to(guarded)
    pair = client.authenticate_basic_token("ann", "hush-a", CALL)
    assert pair == (b"authorization", b"Bearer hush-a")
    assert list(client.list_actions(fl.FlightCallOptions(headers=[pair])))
    for name, token in [("ann", "hush-b"), ("ann", ""), ("", "")]:
        with pytest.raises(REFUSED):
            client.authenticate_basic_token(name, token, CALL)


class Handler(fl.ClientAuthHandler):
    """As pyarrow's own tests write it: name and token in the handshake's payload, and what comes back goes along with each call."""

    def __init__(self, name, token):
        super().__init__()
        self.basic, self.token = fl.BasicAuth(name, token), None

    def authenticate(self, outgoing, incoming):
        outgoing.write(self.basic.serialize())
        self.token = incoming.read()

    def get_token(self):
        return self.token


def test_authenticate_with_a_handler(guarded, connect_to):
    client = connect_to(guarded)
    with pytest.raises(REFUSED):
        score(client, texts("fine"))
    client.authenticate(Handler("bob", "hush-b"), CALL)
    assert list(client.list_actions(CALL))
    assert score(client, texts("fine")).num_rows == 1
    for name, token in [("bob", "hush-a"), ("bob", "wrong"), ("", "")]:
        with pytest.raises(REFUSED):
            connect_to(guarded).authenticate(Handler(name, token), CALL)


def test_adbc_logs_in(guarded):
    where = f"grpc://{guarded.flight}"
    with flightsql.connect(where, db_kwargs={"username": "ann", "password": "hush-a"}, autocommit=True):
        pass
    with pytest.raises(Exception, match="(?i)unauthenticated"):
        flightsql.connect(where, db_kwargs={"username": "ann", "password": "hush-b"}, autocommit=True)


def test_tokens_are_read_again(guarded, connect_to, tmp_path):
    client = connect_to(guarded)
    assert list(client.list_actions(bearer("hush-a")))
    (tmp_path / "tokens").write_text("cyd hush-c\n")
    wait_until(lambda: fetch(guarded, authorization="Bearer hush-c") == 200)
    with pytest.raises(REFUSED):
        list(client.list_actions(bearer("hush-a")))
    # A file that is broken takes nobody's token away.
    (tmp_path / "tokens").write_text("cyd\n")
    wait_until(lambda: "cannot be used" in guarded.log.read_text())
    assert fetch(guarded, authorization="Bearer hush-c") == 200


def test_no_secret_is_in_the_log(serve, pki, reviews, tmp_path):
    """At the level that tells most, with all that clients may send, right and wrong."""
    file = tmp_path / "tokens"
    file.write_text("ann hush-tokenfile-ann\n")
    file.chmod(0o644)
    tickets = tmp_path / "tickets"
    tickets.write_text("hush-tickets " * 3)
    tickets.chmod(0o644)
    secrets = ["hush-tokenfile-ann", "hush-api", "hush-wrong", "hush-hook", "hush-user", "hush-query", "hush-tickets"]
    running = serve(*pki.options(
        "--log", "trace", "--token-file", file, "--api-token", "hush-api", "--webhook-auth-token", "hush-hook",
        "--ticket-key-file", tickets, "--data", f"reviews={reviews}"))
    context = pki.context()
    for token in ["hush-tokenfile-ann", "hush-api", "hush-wrong"]:
        for value in [f"Bearer {token}", f"Token {token}", basic("hush-user", token), basic("", token), f"Digest {token}", token]:
            fetch(running, context=context, authorization=value)
            with pki.flight(running) as client, contextlib.suppress(REFUSED):
                list(client.list_actions(fl.FlightCallOptions(timeout=60, headers=[(b"authorization", value.encode())])))
        with pki.flight(running) as client, contextlib.suppress(REFUSED):
            client.authenticate(Handler("hush-user", token), CALL)
        with pki.flight(running) as client, contextlib.suppress(REFUSED):
            client.authenticate_basic_token("", token, CALL)
    with pki.flight(running) as client:
        info = client.get_flight_info(fl.FlightDescriptor.for_command('{"data": "reviews", "text": "text", "limit": 3}'), bearer("hush-api"))
        assert client.do_get(info.endpoints[0].ticket, bearer("hush-api")).read_all().num_rows == 3
    body = json.dumps({"input": {"texts": "a"}, "webhook": "http://hush-user:hush-hook@127.0.0.1:1/?token=hush-query"})
    request = urllib.request.Request(
        f"https://{running.http}/predictions", body.encode(), {"content-type": "application/json", "authorization": "Bearer hush-api"})
    assert urllib.request.urlopen(request, timeout=60, context=context).status == 200
    running.stop()
    log = running.log.read_text()
    assert len(log) > 10_000 and "ann" in log
    for option in ["--token-file", "--ticket-key-file"]:
        assert re.search(f"{option} .*: every user of this machine can read it", log), option
    key = [line for line in (pki.folder / "key.pem").read_text().splitlines() if "PRIVATE" not in line]
    pairs = [basic(name, token).removeprefix("Basic ") for name in ["", "hush-user"] for token in secrets]
    encoded = [base64.b64encode(secret.encode()).decode().rstrip("=") for secret in secrets]
    found = [secret for secret in [*secrets, *pairs, *encoded, *key] if secret in log]
    lines = [line for line in log.splitlines() if any(secret in line for secret in found)]
    assert not found, (found, lines[:5])


LEADING_OUT = ["../secret.parquet", "sub/../../secret.parquet", "..", "/etc/passwd", "link.parquet", "folder/secret.parquet"]
NOWHERE = ["%2e%2e/secret.parquet", "..%2fsecret.parquet", "sub%2F..%2F..%2Fsecret.parquet", "none", "~/secret.parquet", "file:///etc/passwd"]


def test_paths_of_data_sets_stay_below_their_root(serve, connect_to, tmp_path):
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    for place in [root / "a.parquet", tmp_path / "secret.parquet"]:
        pq.write_table(texts("fine"), place)
    (root / "link.parquet").symlink_to(tmp_path / "secret.parquet")
    (root / "folder").symlink_to(tmp_path)
    client = connect_to(serve("--data", f"films={root}"))
    assert client.get_flight_info(fl.FlightDescriptor.for_path("films", "a.parquet"), CALL).endpoints
    # pyarrow has an error of its own for PERMISSION_DENIED, and raises it from get_schema alone.
    denied = (fl.FlightUnauthorizedError, OSError)
    cases = [(path, denied, "leads elsewhere") for path in LEADING_OUT] + [(path, KeyError, "there is no") for path in NOWHERE]
    for path, refusal, words in cases:
        for what in [fl.FlightDescriptor.for_path("films", path), fl.FlightDescriptor.for_command(json.dumps({"data": "films", "path": path}))]:
            for call in [client.get_flight_info, client.get_schema]:
                with pytest.raises(refusal, match=words) as refused:
                    call(what, CALL)
                # Where the root is stays the server's.
                assert str(tmp_path) not in str(refused.value)
    for name in ["../films", "films/..", "/", "."]:
        with pytest.raises((pa.ArrowException, KeyError)):
            client.get_flight_info(fl.FlightDescriptor.for_path(name), CALL)


def test_no_name_or_address_over_http_becomes_a_path(serve, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text('["a", "b", "c"]')
    running = serve()

    def ask(method, path, body, kind="application/json"):
        request = urllib.request.Request(f"http://{running.http}{path}", body, {"content-type": kind}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, {}

    for text in [str(secret), f"file://{secret}", f"@{secret}", "../secret"]:
        body = json.dumps({"input": {"texts": text}, "webhook": f"file://{secret}"}).encode()
        for method, path in [("POST", "/predictions"), ("PUT", "/predictions/..%2F..%2Fsecret")]:
            status, answer = ask(method, path, body)
            # One text, and not the three of the file.
            assert status == 200 and len(answer["output"]["confidences"]) == 1, answer
    before = sorted(tmp_path.rglob("*"))
    form = b'--x\r\ncontent-disposition: form-data; name="content"; filename="../../evil"\r\n\r\n["a"]\r\n--x--\r\n'
    status, file = ask("POST", "/v1/files", form, "multipart/form-data; boundary=x")
    assert status in (200, 201) and "/" not in file["id"], file
    for path in ["..%2F..%2Fetc%2Fpasswd", "%2e%2e%2fsecret", "../../etc/passwd", "..%5csecret", str(secret).replace("/", "%2F")]:
        assert ask("GET", f"/v1/files/{path}", None)[0] == 404, path
    assert sorted(tmp_path.rglob("*")) == before and not (tmp_path.parent / "evil").exists()
    assert fetch(running) == 200
