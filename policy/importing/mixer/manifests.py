"""attributemanifest: the vocabulary is fixed here, so only what is not in it matters."""

from policy.attributes import VOCABULARY, ValueType
from policy.importing.mixer.resources import Resource
from policy.importing.places import Refused

NUMBERED = (  # as Mixer numbers them, from 1
    ValueType.STRING,
    ValueType.INT64,
    ValueType.DOUBLE,
    ValueType.BOOL,
    ValueType.TIMESTAMP,
    ValueType.IP_ADDRESS,
    ValueType.EMAIL_ADDRESS,
    ValueType.URI,
    ValueType.DNS_NAME,
    ValueType.DURATION,
    ValueType.STRING_MAP,
)
TYPES = ("VALUE_TYPE_UNSPECIFIED", *(kind.value for kind in NUMBERED))


def note_manifest(manifest: Resource) -> None:
    manifest.root.ignore("the vocabulary is fixed; attributes that it lacks are named")
    try:
        attributes = manifest.need_spec().get("attributes")
        for name, place in attributes.entries().items() if attributes else ():
            kind = place.get("valueType", "value_type")
            text = kind.text() if kind else TYPES[0]
            told = TYPES[int(text)] if text in map(str, range(len(TYPES))) else text
            if name not in VOCABULARY:
                place.refuse(f"there is no attribute {name} here")
            elif VOCABULARY[name] != told:
                place.refuse(f"{name} is {VOCABULARY[name]} here, not {told}")
    except Refused as error:
        error.place.refuse(error.reason)
