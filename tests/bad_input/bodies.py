"""Bodies no sender should send."""

import gzip
import random
import zlib

from tests.bad_input.live import MIB
from tests.collector.messages import span, traces

BOMB_BYTES = 200 * MIB

GOOD = traces(span())
CUT = GOOD[:-3]
NOISE = random.Random(7).randbytes(4096)
JSON_TEXT = b'{"resourceSpans": []}'
DEEP_JSON = b'{"x": ' + b"[" * 2000 + b"]" * 2000 + b"}"
CUT_GZIP = gzip.compress(GOOD)[:-6]
GZIP_AND_MORE = gzip.compress(GOOD) + b"and more"
TWICE = gzip.compress(gzip.compress(GOOD))


def gzip_bomb() -> bytes:
    """200 KB that become 200 MiB."""
    deflater = zlib.compressobj(9, wbits=31)
    chunk = bytes(MIB)
    parts = [deflater.compress(chunk) for _ in range(BOMB_BYTES // MIB)]
    return b"".join([*parts, deflater.flush()])


def length_delimited(field: int, body: bytes) -> bytes:
    size, varint = len(body), bytearray()
    while size > 0x7F:
        varint.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([field << 3 | 2]) + bytes(varint) + bytes([size]) + body


def item_bomb() -> bytes:
    """4 MB that are two million empty spans."""
    return length_delimited(1, length_delimited(2, b"\x12\x00" * 2_000_000))


def nested(*fields: int, inner: bytes) -> bytes:
    """`inner` in a message in a message, down these fields."""
    for field in reversed(fields):
        inner = length_delimited(field, inner)
    return inner


def empty_messages(field: int, size: int) -> bytes:
    """As many as there is room for: two bytes each."""
    return bytes([field << 3 | 2, 0]) * (size // 2)


def json_item_bomb(spans: int = 5_000_000) -> bytes:
    """Empty spans, three bytes each."""
    return b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"{}," * spans + b"{}]}]}]}"
