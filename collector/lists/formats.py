"""What a source holds as entries: lines of text, or an array in JSON or YAML."""

import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
import yaml

from collector.lists.source import MAX_BYTES, Fetched, SourceFailed

COMMENT = re.compile(r"(?:^|\s)#.*")
WHITELIST = "whitelist"  # the key under which Mixer's listchecker has its YAML


class Entries(NamedTuple):
    texts: list[str]
    lines: list[int]  # of each, from 1; empty when the format has none


def entries_of(fetched: Fetched) -> Entries:
    """Raises SourceFailed, saying what is wrong and where."""
    reader = reader_of(fetched.media_type)
    body = inflated(fetched.body) if fetched.gzipped else fetched.body
    if not body.strip():
        raise SourceFailed("is empty; a list of nothing says so by a comment, or by []")
    try:
        return reader(body.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SourceFailed(f"not UTF-8 at byte {error.start}") from error


def reader_of(media_type: str) -> Callable[[str], Entries]:
    if media_type.endswith("+json"):
        media_type = "application/json"
    if media_type.endswith("+yaml"):
        media_type = "application/yaml"
    if media_type not in READERS:
        raise SourceFailed(f"content type {media_type[:100]!r}, expected text/plain, JSON or YAML")
    return READERS[media_type]


def inflated(body: bytes) -> bytes:
    unzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = unzip.decompress(body, MAX_BYTES + 1)
    except zlib.error as error:
        raise SourceFailed(f"not gzip: {error}") from error
    if len(plain) > MAX_BYTES:
        raise SourceFailed(f"more than {MAX_BYTES} bytes when decompressed")
    if not unzip.eof:
        raise SourceFailed("its gzip ends early")
    return plain


def from_lines(text: str) -> Entries:
    """An entry a line. A # begins a comment at the start of a line or after white space."""
    found = Entries([], [])
    for number, line in enumerate(text.split("\n"), 1):
        entry = COMMENT.sub("", line).strip()
        if entry:
            found.texts.append(entry)
            found.lines.append(number)
    return found


def from_json(text: str) -> Entries:
    try:
        return Entries(msgspec.json.decode(text, type=list[str]), [])
    except (msgspec.DecodeError, RecursionError) as error:
        raise SourceFailed(f"no JSON array of strings: {error}") from error


def from_yaml(text: str) -> Entries:
    """Of events, so that nothing is built: an alias, a tag or a nested value is met and refused."""
    try:
        return sequence(yaml.parse(text, Loader=yaml.CSafeLoader))
    except yaml.YAMLError as error:
        raise SourceFailed(f"no YAML: {' '.join(str(error).split())[:200]}") from error


def sequence(events: Iterator[Any]) -> Entries:
    found = Entries([], [])
    event = expected(events, yaml.StreamStartEvent, yaml.DocumentStartEvent, OPENING)
    if isinstance(event, yaml.MappingStartEvent):
        key = expected(events, yaml.ScalarEvent)
        if key.value != WHITELIST:
            raise SourceFailed(f"line {line(key)}: expected an array, or {WHITELIST} with one")
        expected(events, yaml.SequenceStartEvent)
        closing: tuple[Any, ...] = (yaml.MappingEndEvent, yaml.DocumentEndEvent)
    else:
        closing = (yaml.DocumentEndEvent,)
    while True:
        event = expected(events, (yaml.ScalarEvent, yaml.SequenceEndEvent))
        if isinstance(event, yaml.SequenceEndEvent):
            break
        found.texts.append(event.value)
        found.lines.append(line(event))
    expected(events, *closing, yaml.StreamEndEvent)
    return found


OPENING = (yaml.SequenceStartEvent, yaml.MappingStartEvent)


def expected(events: Iterator[Any], *kinds: Any) -> Any:
    """The last of events of these kinds, one after the other. Raises SourceFailed."""
    event = None
    for kind in kinds:
        event = next(events)
        if not isinstance(event, kind):
            raise SourceFailed(f"line {line(event)}: expected an array of strings and no more")
        if getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise SourceFailed(f"line {line(event)}: anchors and tags are not taken")
    return event


def line(event: Any) -> int:
    return int(event.start_mark.line) + 1


READERS: Mapping[str, Callable[[str], Entries]] = {
    "text/plain": from_lines,
    "application/json": from_json,
    "text/json": from_json,
    "application/yaml": from_yaml,
    "application/x-yaml": from_yaml,
    "text/yaml": from_yaml,
    "text/x-yaml": from_yaml,
}
