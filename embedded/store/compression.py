"""Compressed frames: a checksum of 16 bytes, a method, two sizes, and the compressed bytes.

Source: src/Compression/CompressedReadBufferBase.cpp
"""

import struct
from enum import IntEnum

import lz4.block
import zstandard
from clickhouse_cityhash.cityhash import CityHash128

from embedded.store.errors import CHECKSUM_DOESNT_MATCH, TOO_LARGE, UNKNOWN_COMPRESSION, Broken
from embedded.store.wire import Reader

CHECKSUM_BYTES = 16
SIZES = struct.Struct("<BII")  # method, bytes with these nine, bytes before compression
HEAD_BYTES = CHECKSUM_BYTES + SIZES.size
LARGEST_FRAME = 64 << 20  # bytes, compressed or not
WRITTEN_FRAME = 1 << 20  # bytes before compression, as ClickHouse writes them


class Method(IntEnum):
    PLAIN = 0x02
    LZ4 = 0x82
    ZSTD = 0x90


METHODS = frozenset(Method)


def checksum(data: bytes | bytearray) -> bytes:
    digest = CityHash128(bytes(data))
    return struct.pack("<QQ", digest >> 64, digest & (1 << 64) - 1)


def write_frames(data: bytes, method: Method) -> list[bytes]:
    parts = []
    for start in range(0, len(data), WRITTEN_FRAME):
        piece = data[start : start + WRITTEN_FRAME]
        packed = compress(piece, method)
        body = SIZES.pack(method, len(packed) + SIZES.size, len(piece)) + packed
        parts += [checksum(body), body]
    return parts


def compress(data: bytes, method: Method) -> bytes:
    if method is Method.ZSTD:
        return zstandard.ZstdCompressor(level=1).compress(data)
    if method is Method.LZ4:
        return bytes(lz4.block.compress(data, store_size=False))
    return data


def read_frame(reader: Reader) -> bytes:
    """The bytes of one frame before compression. Raises Broken."""
    reader.need(HEAD_BYTES)
    method, packed_size, size = SIZES.unpack_from(reader.buffer, reader.position + CHECKSUM_BYTES)
    if method not in METHODS:
        raise Broken(UNKNOWN_COMPRESSION, f"unknown compression method {method:#x}")
    if max(packed_size, size) > LARGEST_FRAME or packed_size < SIZES.size:
        raise Broken(
            TOO_LARGE,
            f"a compressed frame of {packed_size} bytes, {size} decompressed; at most "
            f"{LARGEST_FRAME} are taken: insert fewer rows at a time",
        )
    expected = reader.take(CHECKSUM_BYTES)
    body = reader.take(packed_size)
    if checksum(body) != expected:
        raise Broken(CHECKSUM_DOESNT_MATCH, "checksum of a compressed frame does not match")
    return decompress(Method(method), body[SIZES.size :], size)


def decompress(method: Method, packed: bytes, size: int) -> bytes:
    """Raises Broken unless exactly `size` bytes come out; never more are made."""
    try:
        if method is Method.LZ4:
            data = bytes(lz4.block.decompress(packed, uncompressed_size=size))
        elif method is Method.ZSTD:
            # The frame's own header may promise any size, and would be believed.
            if zstandard.frame_content_size(packed) > size:
                raise Broken(TOO_LARGE, "a compressed frame is larger than it says")
            data = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
        else:
            data = packed
    except (lz4.block.LZ4BlockError, zstandard.ZstdError) as error:
        raise Broken(CHECKSUM_DOESNT_MATCH, f"cannot decompress: {error}") from error
    if len(data) != size:
        raise Broken(CHECKSUM_DOESNT_MATCH, "a compressed frame is shorter than it says")
    return data


def frame_follows(reader: Reader) -> bool:
    """Whether the next bytes are a whole, sound frame; waits for all of them when they may be."""
    method, packed_size, _size = SIZES.unpack_from(reader.buffer, reader.position + CHECKSUM_BYTES)
    if method not in METHODS or not SIZES.size <= packed_size <= LARGEST_FRAME:
        return False
    reader.need(CHECKSUM_BYTES + packed_size)
    start = reader.position + CHECKSUM_BYTES
    return checksum(reader.buffer[start : start + packed_size]) == bytes(
        reader.buffer[reader.position : start]
    )
