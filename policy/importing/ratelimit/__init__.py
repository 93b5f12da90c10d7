"""envoyproxy/ratelimit's configuration, unchanged.

Source: https://github.com/envoyproxy/ratelimit, README.md and src/config/config_impl.go
"""

from policy.importing.drafts import Drafts
from policy.importing.nodes import Table
from policy.importing.places import Place
from policy.importing.ratelimit.rules import rules
from policy.importing.ratelimit.tree import ROOT, domains

__all__ = ["is_ratelimit", "ratelimit"]


def is_ratelimit(root: Place) -> bool:
    return isinstance(root.node, Table) and not ROOT.isdisjoint(root.node.entries)


def ratelimit(roots: list[Place]) -> Drafts:
    """Documents of one domain are one domain, in their order."""
    return Drafts([draft for domain in domains(roots) for draft in rules(domain)])
