"""Bounded decompression: a small body must not become a large one in memory."""

import gzip
import zlib
from collections.abc import Callable

import cramjam
import zstandard

from collector.errors import Malformed, TooLarge

GZIP = 31  # zlib's window bits for a gzip member
MAX_MEMBERS = 64  # each costs a copy of the rest
ZSTD_WINDOW = 8 * 1024 * 1024  # what a decoder must keep in memory: RFC 8878 asks for no more


Inflate = Callable[[bytes, int], bytes]  # a body, and the most it may become


def gunzip(body: bytes, limit: int) -> bytes:
    """All members, at most `limit` bytes. Raises Malformed and TooLarge."""
    parts: list[bytes] = []
    size = 0
    for _ in range(MAX_MEMBERS):
        inflater = zlib.decompressobj(GZIP)
        try:
            part = inflater.decompress(body, limit - size + 1)
        except zlib.error as error:
            raise Malformed(f"the body is not gzip: {error}") from error
        size += len(part)
        if size > limit:
            raise TooLarge(f"more than {limit} bytes after decompression")
        if not inflater.eof:
            raise Malformed("the gzip body ends too early")
        parts.append(part)
        body = inflater.unused_data
        if not body:
            return b"".join(parts)
    raise Malformed(f"the gzip body has more than {MAX_MEMBERS} members")


def unzstd(body: bytes, limit: int) -> bytes:
    """Of one frame, at most `limit` bytes. Raises Malformed and TooLarge.

    Source: RFC 8878.
    """
    try:
        frame = zstandard.get_frame_parameters(body)
        if zstandard.CONTENTSIZE_UNKNOWN != frame.content_size > limit:
            raise TooLarge(
                f"{frame.content_size} bytes after decompression; at most {limit} are accepted"
            )
        window = max(ZSTD_WINDOW, limit)  # a frame in one segment says its own length
        if frame.window_size > window:
            raise TooLarge(f"a window of {frame.window_size} bytes; at most {window} are kept")
        inflater = zstandard.ZstdDecompressor(max_window_size=window)
        try:
            return inflater.decompress(body, max_output_size=limit, allow_extra_data=False)
        except zstandard.ZstdError:
            # It tells a frame that ends too early and one that is too long alike.
            with inflater.stream_reader(body) as reading:
                if len(reading.read(limit + 1)) > limit:
                    raise TooLarge(f"more than {limit} bytes after decompression") from None
            raise
    except zstandard.ZstdError as error:
        raise Malformed(f"the body is not one frame of zstd: {error}") from error


def unsnappy(body: bytes, limit: int) -> bytes:
    """Of snappy's block format, which says first how long it will be.

    Raises Malformed and TooLarge. Source: google/snappy, format_description.txt.
    """
    try:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > limit:
            raise TooLarge(f"{size} bytes after decompression; at most {limit} are accepted")
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise Malformed(f"the body is not snappy: {error}") from error


def gzip_small(body: bytes) -> bytes:
    """Fast rather than small, and the same bytes every time."""
    return gzip.compress(body, compresslevel=1, mtime=0)
