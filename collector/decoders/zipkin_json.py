"""Zipkin's JSON: a list of spans, of version 2 or 1.

A list in which all is as it should be is read at once, any other span by span: numbers that are
text, tags that are numbers and characters that are none are then put right.
Source: https://zipkin.io/zipkin-api/, zipkin2-api.yaml and zipkin-api.yaml.
"""

import json
from typing import Any, NoReturn

import msgspec

from collector.decoders.decoded import Collected
from collector.decoders.envelopes import json_list
from collector.decoders.json_repair import repaired
from collector.decoders.lenient import Unreadable
from collector.decoders.limits import Reason, Refusal
from collector.decoders.zipkin_span import Span, Unstorable, row
from collector.decoders.zipkin_v1 import version_2
from collector.model import Report, Signal
from collector.store.tables import SpanRow

ONLY_OF_VERSION_2 = ("kind", "localEndpoint", "remoteEndpoint", "tags", "shared")
LONGEST_REPAIRED = 64 * 1024  # bytes of a span: to put one right costs many times its size
LONGEST_INT = 40  # digits; Python refuses to read very long ones

READ_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
SPANS = msgspec.json.Decoder(list[Span])
SPAN = msgspec.json.Decoder(Span)
RAW_SPANS = msgspec.json.Decoder(list[msgspec.Raw])


def decode(report: Report, out: Collected) -> None:
    """Raises Unreadable when it is no list in JSON."""
    out.around = json_list
    try:
        spans = SPANS.decode(report.body)
    except READ_ERRORS:
        decode_one_by_one(report, out)
        return
    refused: dict[int, Refusal] = {}
    for index, span in enumerate(spans):
        try:
            out.extend(rows(span, report))
        except Unstorable as error:
            refused[index] = error.refusal
    if refused:
        sent = raw_spans(report.body)
        for index, refusal in refused.items():
            out.refuse(report, refusal, sent[index])


def decode_one_by_one(report: Report, out: Collected) -> None:
    for sent in raw_spans(report.body):
        try:
            out.extend(rows(read_span(sent), report))
        except Unstorable as error:
            out.refuse(report, error.refusal, sent)


def rows(span: Span, report: Report) -> list[SpanRow]:
    """Two when version 1 told both sides of a call in one span. Raises Unstorable."""
    if is_version_1(span, expected=report.signal is Signal.ZIPKIN_JSON_V1):
        return [row(part, report.received_ns) for part in version_2(span)]
    return [row(span, report.received_ns)]


def is_version_1(span: Span, *, expected: bool) -> bool:
    """By what only one version has; a span that could be of either is of the one expected."""
    if span.binaryAnnotations is not None:
        return True
    if expected:
        return all(getattr(span, name) is None for name in ONLY_OF_VERSION_2)
    return any(annotation.endpoint for annotation in span.annotations or ())


def raw_spans(body: bytes) -> list[bytes]:
    """The list's elements, apart and not read. Raises Unreadable."""
    try:
        try:
            found = RAW_SPANS.decode(body)
        except msgspec.DecodeError:
            found = RAW_SPANS.decode(repaired(body))
    except msgspec.ValidationError as error:
        raise Unreadable("the body is not a JSON list of spans") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unreadable(f"the body is not JSON: {error}") from error
    return [bytes(raw) for raw in found]


def read_span(sent: bytes) -> Span:
    """Raises Unstorable, saying which field is not what it should be."""
    try:
        return SPAN.decode(sent)
    except READ_ERRORS as error:
        if len(sent) > LONGEST_REPAIRED:
            raise Unstorable((Reason.UNREADABLE, str(error))) from error
    try:
        value = JSON.decode(sent.decode("utf-8", "replace"))
        return msgspec.convert(put_right(value), Span, strict=False)
    except (ValueError, RecursionError) as error:
        raise Unstorable((Reason.UNREADABLE, str(error))) from error


def put_right(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    found = {key: part for key, part in value.items() if part is not None}
    if isinstance(found.get("tags"), dict):
        tags = found["tags"].items()
        found["tags"] = {key: text_of(tag) for key, tag in tags if tag is not None}
    return found


def text_of(tag: Any) -> str:
    return tag if isinstance(tag, str) else json.dumps(tag, ensure_ascii=False)


def not_json(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number")


def whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_INT else float(digits)


JSON = json.JSONDecoder(parse_constant=not_json, parse_int=whole)
