"""What a source gives, and what it is to have no use of it."""

from typing import NamedTuple

MAX_BYTES = 16 * 1024 * 1024  # of a source, compressed and not


class SourceFailed(Exception):
    """Why a list's source is of no use now; the entries in force stay in force."""


class Tag(NamedTuple):
    """What a source said of itself, to ask it next time whether it has changed."""

    etag: str = ""
    modified: str = ""


class Fetched(NamedTuple):
    body: bytes
    gzipped: bool
    media_type: str  # in lower case, without parameters
    tag: Tag
