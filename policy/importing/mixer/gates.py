"""denier and listchecker to deny and list rules."""

from typing import Any

from policy.attributes import ValueType
from policy.importing.mixer.conditions import expression_of
from policy.importing.mixer.quotas import SECOND_US, microseconds
from policy.importing.mixer.resources import Handler, Instance
from policy.importing.names import Parts
from policy.importing.places import Place, Refused

FAILED_PRECONDITION = 9
HTTP_STATUS = {
    1: 499, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501,
    13: 500, 14: 503, 16: 401,
}  # fmt: skip
UNKNOWN = 500
MAX_CODE = 2**31 - 1
NOT_LISTED, LISTED = 404, 403  # of NOT_FOUND and PERMISSION_DENIED
ENTRY_TYPES = {
    "STRINGS": ("literal", False),
    "CASE_INSENSITIVE_STRINGS": ("literal", True),
    "IP_ADDRESSES": ("cidr", False),
    "REGEX": ("regex", False),
}
ENTRY_NUMBERS = dict(zip("0123", ENTRY_TYPES, strict=True))

Document = dict[str, Any]


def deny_document(handler: Handler) -> Document | None:
    """None for one that lets pass. Raises Refused."""
    status = handler.params.get("status") if handler.params else None
    code = status.get("code") if status else None
    message = status.get("message") if status else None
    details = status.get("details") if status else None
    if details:
        details.ignore("is not told to the caller")
    number = code.whole(0, MAX_CODE) if code else FAILED_PRECONDITION
    if number == 0:
        return None
    return {
        "kind": "deny",
        "http_status": HTTP_STATUS.get(number, UNKNOWN),
        "message": message.text() if message else "",
    }


def note_caching(handler: Handler) -> None:
    """How long proxies may keep an answer."""
    for key in (
        "validDuration", "valid_duration", "validUseCount", "valid_use_count",
        "cachingInterval", "caching_interval", "cachingUseCount", "caching_use_count",
    ):  # fmt: skip
        place = handler.params.get(key) if handler.params else None
        if place:
            place.changed("each request is asked about; answers are not kept")


def list_documents(handler: Handler, instance: Instance) -> list[tuple[Parts, Document]]:
    """Rules, with what their names end in; a list that is fetched is named by `list_name`.

    Raises Refused.
    """
    if instance.params is None:
        raise Refused(instance.root, "a listentry needs a value")
    value = expression_of(
        instance.params.need("value"),
        *(ValueType.STRING, ValueType.IP_ADDRESS, ValueType.DNS_NAME, ValueType.EMAIL_ADDRESS),
        ValueType.URI,
    )
    params = handler.params
    blacklist = params.get("blacklist") if params else None
    deny = bool(blacklist and blacklist.flag())
    common = {
        "kind": "list",
        "type": "deny" if deny else "allow",
        "value": value,
        "http_status": LISTED if deny else NOT_LISTED,
    }
    overrides = params.get("overrides") if params else None
    own = [entry.text() for entry in overrides.items()] if overrides else []
    url = url_of(handler)
    entry_type, case_insensitive = entry_type_of(handler)
    compared = {"entry_type": entry_type, "case_insensitive": case_insensitive}
    inline = common | {"entries": own} | compared
    fetched = common | {"list": list_name(handler)}
    if url is None:
        note_no_source(handler)
        return [((), inline)]
    if not own:
        return [((), fetched)]
    if not deny:
        raise Refused(handler.root, "a white list is either fetched or its own, not both together")
    return [(("fetched",), fetched), (("own",), inline)]


def note_no_source(handler: Handler) -> None:
    for key in ("providerUrl", "provider_url", "refreshInterval", "refresh_interval", "ttl"):
        place = handler.params.get(key) if handler.params else None
        if place:
            place.ignore("has no effect without a URL to fetch from")


def list_name(handler: Handler) -> Parts:
    return handler.name, handler.namespace


def list_document(handler: Handler) -> Document | None:
    """The list that a handler fetches; None where it fetches none. Raises Refused."""
    url = url_of(handler)
    if url is None or handler.params is None:
        return None
    entry_type, case_insensitive = entry_type_of(handler)
    document: Document = {
        "description": f"mixer: listchecker {handler.name} of {handler.namespace}",
        "entry_type": entry_type,
        "case_insensitive": case_insensitive,
        "url": url.text(),
    }
    for key, keys in (("refresh", ("refreshInterval", "refresh_interval")), ("ttl", ("ttl",))):
        if found_us := microseconds(handler.params, *keys):
            document[key] = found_us / SECOND_US
    url.changed(
        "entries that could not be fetched anew for longer than ttl are called stale and stay in"
        " force; Mixer drops them"
    )
    return document


def url_of(handler: Handler) -> Place | None:
    found = handler.params.get("providerUrl", "provider_url") if handler.params else None
    return found if found and found.text() else None


def entry_type_of(handler: Handler) -> tuple[str, bool]:
    place = handler.params.get("entryType", "entry_type") if handler.params else None
    if place is None:
        return ENTRY_TYPES["STRINGS"]
    text = ENTRY_NUMBERS.get(place.text(), place.text())
    if text not in ENTRY_TYPES:
        raise Refused(place, f"{text!r}, expected one of {', '.join(ENTRY_TYPES)}")
    return ENTRY_TYPES[text]
