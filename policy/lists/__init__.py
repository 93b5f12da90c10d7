"""Lists of entries: is a value on the list?"""

from policy.lists.entries import EntryList, EntryType, compile_entries
from policy.lists.held import HeldList, HeldLists
from policy.lists.resource import NamedList, list_from_json, list_to_json, numbered_list

__all__ = [
    "EntryList",
    "EntryType",
    "HeldList",
    "HeldLists",
    "NamedList",
    "compile_entries",
    "list_from_json",
    "list_to_json",
    "numbered_list",
]
