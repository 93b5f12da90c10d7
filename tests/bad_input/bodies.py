"""Bodies no sender should send."""

import gzip
import random
import zlib

import zstandard

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
ZSTD = zstandard.compress(GOOD)
TWICE = gzip.compress(gzip.compress(GOOD))


def gzip_bomb() -> bytes:
    """200 KB that become 200 MiB."""
    deflater = zlib.compressobj(9, wbits=31)
    chunk = bytes(MIB)
    parts = [deflater.compress(chunk) for _ in range(BOMB_BYTES // MIB)]
    return b"".join([*parts, deflater.flush()])


def unsized(plain: bytes, window_log: int = 23) -> bytes:
    """Zstd, as a stream makes it: of which the decoder is not told how long it will be."""
    options = zstandard.ZstdCompressionParameters.from_level(3, window_log=window_log)
    deflater = zstandard.ZstdCompressor(compression_params=options).compressobj()
    return deflater.compress(plain) + deflater.flush()


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
