"""Lists of entries: is a value on the list?"""

from policy.lists.entries import EntryList, EntryType, compile_entries
from policy.lists.held import HeldList, HeldLists

__all__ = ["EntryList", "EntryType", "HeldList", "HeldLists", "compile_entries"]
