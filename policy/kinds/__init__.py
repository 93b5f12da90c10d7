"""The kinds of rules: each module has the document of one, and compiles it."""

from policy.documents import Mode, OnBackendError, Rule
from policy.kinds.authorization import AuthorizationRule
from policy.kinds.deny import DenyRule
from policy.kinds.derive import DeriveRule
from policy.kinds.headers import HeadersRule
from policy.kinds.listed import ListRule
from policy.kinds.quota import QuotaRule

__all__ = [
    "KINDS",
    "AnyRule",
    "AuthorizationRule",
    "DenyRule",
    "DeriveRule",
    "HeadersRule",
    "ListRule",
    "Mode",
    "OnBackendError",
    "QuotaRule",
    "Rule",
]

AnyRule = AuthorizationRule | DenyRule | DeriveRule | HeadersRule | ListRule | QuotaRule
KINDS: dict[str, type[AnyRule]] = {
    "authorization": AuthorizationRule,
    "deny": DenyRule,
    "derive": DeriveRule,
    "headers": HeadersRule,
    "list": ListRule,
    "quota": QuotaRule,
}
