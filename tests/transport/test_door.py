"""What the door does with plain HTTP: routes, bodies, errors, health."""

import asyncio
import gzip
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection

import grpc
import httpx
import pytest
import zstandard
from fastapi import FastAPI

from collector.errors import Malformed, Overloaded
from collector.transport.asgi import Door
from collector.transport.http import RawAnswer, RawRequest
from tests import plain_http
from tests.bad_input.bodies import unsized
from tests.transport.echo import METHODS
from tests.transport.serving import Serving, serving
from tests.waiting import eventually

KIB = 1024


async def body(request: RawRequest) -> RawAnswer:
    return RawAnswer(
        200, [(b"x-identity", request.headers.identity.encode())], await request.body(64 * KIB)
    )


def about(request: RawRequest) -> RawAnswer:
    told = [request.method, request.path, request.query, request.headers.get("x-one", "")]
    return RawAnswer(200, [], json.dumps(told).encode())


def malformed(_request: RawRequest) -> RawAnswer:
    raise Malformed("line 3")


async def unready(_request: RawRequest) -> RawAnswer:
    await asyncio.sleep(0)
    raise Overloaded("the outbox is full")


def bug(_request: RawRequest) -> RawAnswer:
    raise ZeroDivisionError("a secret")


ROUTES = {
    "/body": body,
    "/about": about,
    "/below/*": about,
    "POST /posted": about,
    "/malformed": malformed,
    "/unready": unready,
    "/bug": bug,
}


@pytest.fixture(scope="module")
def server() -> Iterator[Serving]:
    with serving(METHODS, ROUTES) as server:
        yield server


@pytest.fixture
def client(server: Serving) -> Iterator[httpx.Client]:
    with plain_http.Client(base_url=f"http://{server.address}") as client:
        yield client


def get_verbatim(server: Serving, path: str) -> tuple[int, bytes]:
    """httpx would tidy the path."""
    with closing(HTTPConnection(server.address)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_one_port_speaks_grpc_and_http(server, client):
    with grpc.insecure_channel(server.address) as channel:
        assert channel.unary_unary("/t.Echo/Unary")(b"hi") == b"hi"
    assert client.get("/about").status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_raw_route_takes_any_method(client, method):
    answer = client.request(method, "/about?a=1&b=%20", headers={"X-One": "two"})
    assert answer.json() == [method, "/about", "a=1&b=%20", "two"]


def test_a_route_of_one_method_leaves_the_others_to_what_is_behind(client):
    assert client.post("/posted").json()[0] == "POST"
    assert client.get("/posted").status_code == 404


@pytest.mark.parametrize("path", ["/below", "/below/", "/below/a%2Fb", "/below/../x"])
def test_a_prefix_takes_itself_and_what_is_below(server, path):
    assert json.loads(get_verbatim(server, path)[1])[1] == path


@pytest.mark.parametrize(
    "path", ["/belowx", "/about/", "//about", "/%2e/about", "/ABOUT", "/%61bout"]
)
def test_a_path_that_is_nearly_a_route_is_none(server, path):
    assert get_verbatim(server, path) == (404, b"fallback")


def test_a_body_comes_back_whole(client):
    assert client.post("/body", content=b"x" * 64 * KIB).content == b"x" * 64 * KIB


def test_a_body_in_chunks_comes_back_whole(client):
    assert client.post("/body", content=iter([b"a", b"b" * 5000, b"c"])).content[-2:] == b"bc"


def test_a_gzipped_body_is_unpacked(client):
    packed = gzip.compress(b"one") + gzip.compress(b"two")
    headers = {"content-encoding": "gzip"}
    assert client.post("/body", content=packed, headers=headers).content == b"onetwo"


def test_a_body_of_zstd_is_unpacked(client):
    for packed in (zstandard.compress(b"one"), unsized(b"one")):
        headers = {"content-encoding": "zstd"}
        assert client.post("/body", content=packed, headers=headers).content == b"one"


@pytest.mark.parametrize(
    ("content", "encoding", "status"),
    [
        (b"x" * (64 * KIB + 1), "identity", 413),
        (gzip.compress(bytes(64 * KIB + 1)), "gzip", 413),
        (gzip.compress(b"whole")[:-4], "gzip", 400),
        (gzip.compress(b"whole") + b"garbage", "gzip", 400),
        (b"no gzip", "gzip", 400),
        (gzip.compress(b"") * 65, "gzip", 400),
        (gzip.compress(gzip.compress(b"twice")), "gzip, gzip", 415),
        (b"x", "br", 415),
        (zstandard.compress(bytes(64 * KIB + 1)), "zstd", 413),
        (unsized(bytes(64 * KIB + 1)), "zstd", 413),
        (zstandard.compress(b"whole")[:-4], "zstd", 400),
        (zstandard.compress(b"one") * 2, "zstd", 400),
    ],
    ids=[
        "too large", "a bomb", "cut", "garbage after", "not gzip", "65 members", "twice", "brotli",
        "a bomb of zstd", "one that tells no size", "cut zstd", "two frames",
    ],
)  # fmt: skip
def test_a_bad_body_is_refused(client, content, encoding, status):
    answer = client.post("/body", content=content, headers={"content-encoding": encoding})
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_an_unknown_encoding_is_told_what_is_spoken(client):
    answer = client.post("/body", content=b"x", headers={"content-encoding": "br"})
    assert answer.headers["accept-encoding"] == "gzip, zstd"


def test_a_chunked_body_over_the_limit_is_refused_while_read(client):
    assert client.post("/body", content=iter([b"x" * 10_000] * 10)).status_code == 413


def test_a_declared_length_over_the_limit_is_refused_before_any_of_it_is_sent(server):
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n")
        assert client.recv(64).startswith(b"HTTP/1.1 413")


def test_a_senders_fault_is_told(client):
    answer = client.get("/malformed")
    assert (answer.status_code, answer.json()) == (400, {"error": "line 3"})


def test_try_again_says_when(client):
    answer = client.get("/unready")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")


def test_a_bug_is_told_to_nobody(client):
    answer = client.get("/bug")
    assert (answer.status_code, answer.json()) == (500, {"error": "internal error"})


def test_grpc_over_http1_is_not_taken_for_a_page(client):
    answer = client.post("/about", headers={"content-type": "application/grpc"})
    assert answer.headers["grpc-status"] == "12"


@pytest.mark.parametrize("kind", ["application/json", "application/grpc-web+proto", ""])
def test_a_grpc_path_speaks_only_grpc(client, kind):
    answer = client.post("/t.Echo/Unary", headers={"content-type": kind})
    assert answer.status_code == 415


def test_failed_calls_are_counted_by_method_and_code(server, client):
    with grpc.insecure_channel(server.address) as channel:
        for method, message in (("Fail", b"malformed"), ("Nope", b"")):
            with pytest.raises(grpc.RpcError):
                channel.unary_unary(f"/t.Echo/{method}")(message)
    metrics = client.get("/metrics").text
    assert 'grpc_failed_calls_total{code="INVALID_ARGUMENT",method="/t.Echo/Fail"}' in metrics
    assert 'grpc_failed_calls_total{code="UNIMPLEMENTED",method="unknown"}' in metrics


def test_health_ready_and_metrics_are_answered(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").status_code == 200
    assert "# EOF" in client.get("/metrics").text


def test_a_failing_check_makes_it_unready_with_the_reason():
    async def ready(door: Door) -> tuple[int, bytes]:
        sent: list[dict[str, object]] = []

        async def send(event: dict[str, object]) -> None:
            sent.append(event)

        scope = {
            "type": "http",
            "path": "/readyz",
            "raw_path": b"/readyz",
            "method": "GET",
            "headers": [],
        }
        await door(scope, None, send)
        return sent[0]["status"], sent[1]["body"]

    door = Door({}, {}, {"rules": lambda: "no snapshot"}, FastAPI())
    status, told = asyncio.run(ready(door))
    assert (status, json.loads(told)["failing"]) == (503, {"rules": "no snapshot"})


def test_a_stopping_server_is_unready_before_it_goes():
    with serving(METHODS, notice_s=0.5) as server:
        server.begin_stop()
        with plain_http.Client(base_url=f"http://{server.address}") as client:
            eventually(lambda: client.get("/readyz").status_code == 503)
            assert client.get("/healthz").status_code == 200


def test_behind_the_door_fastapi_lives_with_its_lifespan():
    lived: list[str] = []
    app = FastAPI(lifespan=lambda _app: Life(lived))

    @app.get("/hello")
    def hello() -> dict[str, str]:
        return {"hello": "there"}

    with serving(METHODS, fallback=app) as server:
        answer = plain_http.get(f"http://{server.address}/hello")
        assert (answer.json(), lived) == ({"hello": "there"}, ["up"])
    assert lived == ["up", "down"]


class Life:
    def __init__(self, lived: list[str]) -> None:
        self.lived = lived

    async def __aenter__(self) -> None:
        self.lived.append("up")

    async def __aexit__(self, *_error: object) -> None:
        self.lived.append("down")


HOSTILE = {
    "content-length and transfer-encoding": b"POST /body HTTP/1.1\r\nhost: x\r\n"
    b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST /body HTTP/1.1\r\nhost: x\r\n"
    b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "a negative length": b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    "a space before the colon": b"GET /about HTTP/1.1\r\nhost : x\r\n\r\n",
    "a NUL in a header": b"GET /about HTTP/1.1\r\nhost: x\r\nx-one: a\0b\r\n\r\n",
    "a header of 100 KB": b"GET /about HTTP/1.1\r\nhost: x\r\nx-one: "
    + b"a" * 100_000
    + b"\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_request_that_two_servers_could_read_differently_is_refused(server, request_bytes):
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(request_bytes)
        assert client.recv(64)[:10] == b"HTTP/1.1 4"
