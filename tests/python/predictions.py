"""Predictions, as a script without any library asks for them."""
import json
import socket
import urllib.error
import urllib.request


def call(server, path, body=None, content_type="application/json"):
    """Status and JSON of a GET, or of a POST of the body."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{server.http}{path}", data, {"Content-Type": content_type} if data is not None else {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            text = error.read().decode()
        return error.code, json.loads(text) if error.headers.get_content_type() == "application/json" else text


def predict(server, texts):
    """The output for a list of texts."""
    status, answer = call(server, "/predictions", {"input": {"texts": json.dumps(texts)}})
    assert (status, answer["status"]) == (200, "succeeded"), answer
    return answer["output"]


def body(texts, **fields):
    return {"input": {"texts": texts}, **fields}


def asynchronous(server, request):
    """Status and JSON of an asynchronous prediction."""
    with socket.create_connection(server.http.split(":"), timeout=60) as line:
        data = json.dumps(request).encode()
        head = f"POST /predictions HTTP/1.1\r\nHost: a\r\nPrefer: respond-async\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n"
        line.sendall(head.encode() + data)
        answer = b"".join(iter(lambda: line.recv(65536), b""))
    head, _, text = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(text)
