"""Fetching a list from a real HTTP server, well and ill behaved."""

import asyncio
import gzip
import ssl
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from collector.lists import Places
from collector.lists.fetch import Fetcher
from collector.lists.formats import entries_of
from collector.lists.source import MAX_BYTES, Fetched, SourceFailed, Tag
from tests.collector.list_source import HERE, Source, endless, gzipped, raw, source, tagged, text
from tests.conftest import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def served() -> Iterator[Source]:
    with source() as running:
        yield running


def fetched(
    url: str,
    known: Tag = Tag(),  # noqa: B008  # immutable
    places: Places = HERE,
    whole_s: float = 20,
    trusted: ssl.SSLContext | None = None,
) -> Fetched | None:
    async def run() -> Fetched | None:
        fetcher = Fetcher(places, whole_s, trusted)
        try:
            return await fetcher.fetch(url, known)
        finally:
            await fetcher.close()

    return asyncio.run(run())


def entries(url: str) -> list[str]:
    found = fetched(url)
    assert found is not None
    return entries_of(found).texts


def test_a_list_is_fetched(served: Source) -> None:
    served.answer = text("ann\nbob\n", etag='"1"', last_modified="Mon, 01 Jun 2026 00:00:00 GMT")
    found = fetched(served.url)
    assert found is not None
    assert (found.body, found.media_type) == (b"ann\nbob\n", "text/plain")
    assert found.tag == ('"1"', "Mon, 01 Jun 2026 00:00:00 GMT")
    (asked,) = served.asked
    assert asked["host"] == f"127.0.0.1:{served.port}"
    assert asked["accept-encoding"] == "gzip"
    assert "if-none-match" not in asked


def test_a_list_that_did_not_change_is_not_sent_again(served: Source) -> None:
    served.answer = tagged("ann", '"1"')
    first = fetched(served.url)
    assert first is not None
    assert fetched(served.url, first.tag) is None
    served.answer = tagged("bob", '"2"')
    second = fetched(served.url, first.tag)
    assert second is not None
    assert second.body == b"bob"


def test_the_time_of_the_last_change_is_sent_back(served: Source) -> None:
    fetched(served.url, Tag("", "Mon, 01 Jun 2026 00:00:00 GMT"))
    (asked,) = served.asked
    assert asked["if-modified-since"] == "Mon, 01 Jun 2026 00:00:00 GMT"


def test_a_tag_that_cannot_be_sent_back_is_forgotten(served: Source) -> None:
    for etag in ("\xe9", '"' + "x" * 2000 + '"'):
        served.answer = text("ann", etag=etag)
        found = fetched(served.url)
        assert found is not None
        assert found.tag == ("", "")


def test_a_compressed_list_is_decompressed(served: Source) -> None:
    served.answer = gzipped(b"ann\nbob\n")
    assert entries(served.url) == ["ann", "bob"]


@pytest.mark.parametrize(
    ("path", "content_type", "body"),
    [
        ("/list", "application/json; charset=utf-8", '["ann", "bob"]'),
        ("/list", "application/yaml", "- ann\n- bob\n"),
        ("/list.json", "text/plain; charset=utf-8", '["ann", "bob"]'),
        ("/list.yaml?v=1", "application/octet-stream", "- ann\n- bob\n"),
        ("/list.json", "text/yaml", "[ann, bob]"),
    ],
)
def test_the_content_type_says_the_format_else_the_name(
    served: Source, path: str, content_type: str, body: str
) -> None:
    served.answer = raw(body.encode(), content_type=content_type)
    assert entries(f"http://127.0.0.1:{served.port}{path}") == ["ann", "bob"]


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (500, {}, "answers 500"),
        (404, {}, "answers 404"),
        (204, {}, "answers 204"),
        (304, {}, "answers 304"),
        (302, {"location": "http://169.254.169.254/"}, "answers 302 to 'http://169.254.169.254/'"),
        (308, {"location": "/other"}, "answers 308 to '/other': redirects are not followed"),
        (200, {"content_encoding": "br"}, "content encoding 'br', expected gzip or none"),
    ],
)
def test_an_answer_that_is_none_is_told(
    served: Source, status: int, headers: dict[str, str], reason: str
) -> None:
    served.answer = text("ann" if status == 200 else "", status, **headers)
    with pytest.raises(SourceFailed) as failed:
        fetched(served.url)
    assert str(failed.value).startswith(reason)
    assert len(served.asked) == 1


def test_a_list_without_an_end_is_given_up(served: Source) -> None:
    served.answer = endless
    with pytest.raises(SourceFailed, match=f"more than {MAX_BYTES} bytes"):
        fetched(served.url)


def test_a_small_answer_that_becomes_huge_is_refused(served: Source) -> None:
    served.answer = gzipped(b"a" * (MAX_BYTES + 1))
    found = fetched(served.url)
    assert found is not None
    assert len(found.body) < MAX_BYTES / 500
    with pytest.raises(SourceFailed, match=f"more than {MAX_BYTES} bytes when decompressed"):
        entries_of(found)


def test_an_answer_that_is_not_gzip_or_ends_early_is_refused(served: Source) -> None:
    whole = gzip.compress(b"ann\n" * 1000)
    for body, reason in ((b"plain", "not gzip"), (whole[:-10], "its gzip ends early")):
        served.answer = raw(body, content_encoding="gzip", content_type="text/plain")
        found = fetched(served.url)
        assert found is not None
        with pytest.raises(SourceFailed, match=reason):
            entries_of(found)


def test_a_source_that_hangs_is_given_up(served: Source) -> None:
    def hang(request: BaseHTTPRequestHandler) -> None:
        served.hanging.wait()

    served.answer = hang
    with pytest.raises(SourceFailed, match=r"no whole answer within 0\.2 s"):
        fetched(served.url, whole_s=0.2)


def test_a_source_that_hangs_in_the_middle_is_given_up(served: Source) -> None:
    def hang(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("content-length", "100")
        request.end_headers()
        request.wfile.write(b"ann\n")
        request.wfile.flush()
        served.hanging.wait()

    served.answer = hang
    with pytest.raises(SourceFailed, match=r"no whole answer within 0\.5 s"):
        fetched(served.url, whole_s=0.5)


def test_a_source_that_goes_away_in_the_middle_gives_nothing(served: Source) -> None:
    def leave(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("content-length", "100")
        request.end_headers()
        request.wfile.write(b"ann\n")
        request.close_connection = True

    served.answer = leave
    with pytest.raises(SourceFailed, match="cannot be fetched"):
        fetched(served.url)


def test_a_source_that_is_not_there_is_told() -> None:
    with pytest.raises(SourceFailed, match="cannot be fetched"):
        fetched(f"http://127.0.0.1:{free_port()}/")
    with pytest.raises(SourceFailed, match=r"there is no host no-such-host\.invalid"):
        fetched("http://no-such-host.invalid/")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::1]"])
def test_this_host_is_not_asked_unless_its_network_is_named(served: Source, host: str) -> None:
    with pytest.raises(SourceFailed, match="MESHMETER_LISTS_NETWORKS"):
        fetched(f"http://{host}:{served.port}/list", places=Places())
    assert served.asked == []


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
def test_addresses_of_the_link_are_never_asked(host: str) -> None:
    everywhere = Places.named("0.0.0.0/0, ::/0", "")
    with pytest.raises(SourceFailed, match="is never asked for a list"):
        fetched(f"http://{host}/latest/meta-data/", places=everywhere)


def test_a_source_is_found_by_its_name() -> None:
    with source() as served:
        assert entries(f"http://localhost:{served.port}/list") == ["ann", "bob"]
        assert served.asked[0]["host"] == f"localhost:{served.port}"


def test_no_proxy_of_the_environment_is_used(served: Source) -> None:
    program = f"""
import asyncio
from collector.lists.fetch import Fetcher
from collector.lists.source import Tag
from tests.collector.list_source import HERE
print(asyncio.run(Fetcher(HERE).fetch({served.url!r}, Tag())).body)
"""
    proxied = {"http_proxy": f"http://127.0.0.1:{free_port()}"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=proxied, cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "b'ann\\nbob\\n'\n", done.stderr


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key and certificate of `localhost`, and of no address."""
    file = tmp_path_factory.mktemp("tls") / "localhost.pem"
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", file, "-out", file.with_suffix(".crt"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_text(file.read_text() + file.with_suffix(".crt").read_text())
    return file


def test_a_certificate_must_be_of_the_name_that_was_asked(certificate: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    trusted = ssl.create_default_context(cafile=certificate.with_suffix(".crt"))
    with source(tls=server) as served:
        named = fetched(f"https://localhost:{served.port}/", trusted=trusted)
        assert named is not None
        assert named.body == b"ann\nbob\n"
        with pytest.raises(SourceFailed, match="IP address mismatch"):
            fetched(f"https://127.0.0.1:{served.port}/", trusted=trusted)
        with pytest.raises(SourceFailed, match="self-signed certificate"):
            fetched(f"https://localhost:{served.port}/")
