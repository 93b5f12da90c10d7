"""Rules and lists as meshmeter YAML, which imports to the same rules and lists."""

from collections.abc import Iterable
from typing import Any

import yaml

from policy.importing.native import FLOAT, INTEGER
from policy.lists import NamedList
from policy.rules import AnyRule


class Dumper(yaml.SafeDumper):
    """Quotes a text that any version of YAML would read as something else."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def represent_text(dumper: Dumper, text: str) -> yaml.Node:
    """In double quotes where it has a character that another style would fold or drop."""
    style = None if text.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


Dumper.add_representer(str, represent_text)
# PyYAML speaks YAML 1.1, where 1e5 is a text; in 1.2 it is a number.
for kind, pattern in (("int", INTEGER), ("float", FLOAT)):
    Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", pattern, list("-+.0123456789"))


def exported(rules: Iterable[AnyRule], lists: Iterable[NamedList] = ()) -> str:
    """What is as it would be anyhow is left out, as are versions."""
    parts = {"rules": [*map(document, rules)], "lists": [*map(document, lists)]}
    return written({name: part for name, part in parts.items() if part} or {"rules": []})


def written(tree: Any) -> str:
    """JSON's values as YAML, each text on one line."""
    text: str = yaml.dump(tree, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=1 << 20)
    return text


def document(resource: AnyRule | NamedList) -> dict[str, Any]:
    """As JSON, kind and name first."""
    told = resource.model_dump(mode="json", exclude_defaults=True, exclude={"version"})
    kind = {} if isinstance(resource, NamedList) else {"kind": resource.kind}
    return kind | {"name": resource.name} | told
