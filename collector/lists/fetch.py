"""A list from a URL: asked whether it changed, read within bounds, from an address that may be.

The name is resolved here and the address that was judged is the one connected to, so that a name
which means another address a moment later leads nowhere. Redirects are not followed, proxies not
used, and no connection is kept for another host's list.
"""

import asyncio
import ipaddress
import socket
import ssl
from pathlib import PurePosixPath

import httpx

from collector.lists.places import Places, media_type_of
from collector.lists.source import MAX_BYTES, Fetched, SourceFailed, Tag

WHOLE_S = 10.0  # for all of one fetch
STEP_S = 5.0  # to connect, and between two pieces of an answer
MAX_TRIED = 3  # addresses of one name
MAX_TAG = 1024  # characters of an ETag
UNTYPED = ("", "text/plain", "application/octet-stream")  # then the URL's suffix says more
HEADERS = {
    "accept": "text/plain, application/json, application/yaml, */*;q=0.1",
    "accept-encoding": "gzip",
    "user-agent": "meshmeter",
}

FAULTS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError)


class Fetcher:
    """Used on one event loop."""

    def __init__(
        self, places: Places, whole_s: float = WHOLE_S, trusted: ssl.SSLContext | None = None
    ) -> None:
        """`trusted` None: the certificates that SSL_CERT_FILE names, else the usual ones."""
        self._places = places
        self._whole_s = whole_s
        self._trusted = trusted
        self._lock = asyncio.Lock()
        self._opened: httpx.AsyncClient | None = None

    async def close(self) -> None:
        if self._opened:
            await self._opened.aclose()

    async def _client(self) -> httpx.AsyncClient:
        """Made when a list needs it: reading all those certificates takes a tenth of a second."""
        async with self._lock:
            if self._opened is None:
                trusted = self._trusted
                if trusted is None:
                    trusted = await asyncio.to_thread(httpx.create_ssl_context)
                self._opened = httpx.AsyncClient(
                    headers=HEADERS,
                    timeout=STEP_S,
                    trust_env=False,
                    verify=trusted,
                    limits=httpx.Limits(max_keepalive_connections=0),
                )
            return self._opened

    async def fetch(self, url: str, known: Tag) -> Fetched | None:
        """None when it is as it was `known`. Raises SourceFailed."""
        try:
            async with asyncio.timeout(self._whole_s):
                return await self._fetch(httpx.URL(url), known)
        except TimeoutError as error:
            raise SourceFailed(f"no whole answer within {self._whole_s:g} s") from error
        except FAULTS as error:
            reason = str(error) or type(error).__name__
            raise SourceFailed(f"cannot be fetched: {reason}") from error

    async def _fetch(self, url: httpx.URL, known: Tag) -> Fetched | None:
        addresses = await self._addresses(url)
        for address in addresses[:-1]:
            try:
                return await self._ask(url, address, known)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
        return await self._ask(url, addresses[-1], known)

    async def _addresses(self, url: httpx.URL) -> list[str]:
        """Those that may be asked, at least one. Raises SourceFailed."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise SourceFailed(f"there is no host {url.host}: {error}") from error
        addresses = dict.fromkeys(str(address[0]) for *_, address in found)
        refusals = {
            address: self._places.refusal(ipaddress.ip_address(address)) for address in addresses
        }
        allowed = [address for address, refusal in refusals.items() if not refusal]
        if not allowed:
            raise SourceFailed(f"{url.host}: {next(iter(refusals.values()))}")
        return allowed[:MAX_TRIED]

    async def _ask(self, url: httpx.URL, address: str, known: Tag) -> Fetched | None:
        headers = {"host": url.netloc.decode()}
        if known.etag:
            headers["if-none-match"] = known.etag
        if known.modified:
            headers["if-modified-since"] = known.modified
        client = await self._client()
        request = client.build_request(
            "GET", url.copy_with(host=address), headers=headers,
            extensions={"sni_hostname": url.host},
        )  # fmt: skip
        answer = await client.send(request, stream=True)
        try:
            if answer.status_code == httpx.codes.NOT_MODIFIED and any(known):
                return None
            check_answer(answer)
            return Fetched(
                await bounded(answer),
                answer.headers.get("content-encoding", "").lower() == "gzip",
                media_type(answer, url),
                Tag(told(answer, "etag"), told(answer, "last-modified")),
            )
        finally:
            await answer.aclose()


def told(answer: httpx.Response, name: str) -> str:
    """A header as it may be sent back, "" for one that may not."""
    value: str = answer.headers.get(name, "")
    return value if value.isascii() and len(value) <= MAX_TAG else ""


def check_answer(answer: httpx.Response) -> None:
    """Raises SourceFailed unless it is a 200 in an encoding that was asked for."""
    if answer.has_redirect_location:
        location = answer.headers["location"][:200]
        raise SourceFailed(
            f"answers {answer.status_code} to {location!r}: redirects are not followed, name that"
        )
    if answer.status_code != httpx.codes.OK:
        raise SourceFailed(f"answers {answer.status_code}")
    encoding = answer.headers.get("content-encoding", "identity").lower()
    if encoding not in ("gzip", "identity"):
        raise SourceFailed(f"content encoding {encoding[:100]!r}, expected gzip or none")


async def bounded(answer: httpx.Response) -> bytes:
    """As it came, not decompressed. Raises SourceFailed."""
    body = bytearray()
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > MAX_BYTES:
            raise SourceFailed(f"more than {MAX_BYTES} bytes")
    return bytes(body)


def media_type(answer: httpx.Response, url: httpx.URL) -> str:
    said: str = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    return media_type_of(PurePosixPath(url.path).suffixes) if said in UNTYPED else said
