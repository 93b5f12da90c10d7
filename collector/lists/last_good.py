"""The last good entries of fetched lists, on disk: a start with the source down still has them."""

import json
import logging
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from collector.files import write_whole
from collector.lists.source import Tag
from policy.errors import InvalidRule
from policy.lists import EntryList, EntryType, NamedList, compile_entries

log = logging.getLogger(__name__)

SUFFIX = ".json"


class LastGood(NamedTuple):
    """`source` is that which the tag is of; `fetched_at`, in seconds since 1970, when it last said
    that these are its entries: the file's own time."""

    entries: EntryList
    source: str
    tag: Tag
    fetched_at: float


class LastGoodLists:
    """One file a list, below the data directory. For threads other than the loop's."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def write(self, name: str, entries: EntryList, source: str, tag: Tag) -> None:
        """A disk that cannot be written is logged: the list is good all the same."""
        document = {
            "entry_type": entries.entry_type,
            "case_insensitive": entries.case_insensitive,
            "entries": entries.entries,
            "source": source,
            "tag": tag,
        }
        try:
            write_whole(self._file(name), json.dumps(document))
        except OSError as error:
            log.warning("a list cannot be kept on disk", extra={"list": name, "why": str(error)})

    def confirm(self, name: str) -> None:
        """Its source says that nothing changed."""
        with suppress(OSError):  # then it is taken for older than it is
            os.utime(self._file(name))

    def read(self, name: str) -> LastGood | None:
        """None when there is no such file or it cannot be used, which is logged."""
        try:
            fetched_at = self._file(name).stat().st_mtime
            document = json.loads(self._file(name).read_text())
            entries = compile_entries(
                document["entries"],
                EntryType(document["entry_type"]),
                case_insensitive=bool(document["case_insensitive"]),
            )
            etag, modified = document["tag"]
            tag = Tag(str(etag), str(modified))
            return LastGood(entries, str(document["source"]), tag, fetched_at)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, InvalidRule) as error:
            log.warning("a list on disk cannot be used", extra={"list": name, "why": str(error)})
            return None

    def keep_only(self, lists: Iterable[NamedList]) -> None:
        """Forgets lists that are no more, or whose entries are their own now."""
        kept = {named.name for named in lists if named.source}
        for file in self._directory.glob(f"*{SUFFIX}"):
            if file.name.removesuffix(SUFFIX) not in kept:
                with suppress(OSError):  # it is only found again when a list of its name is made
                    file.unlink()

    def _file(self, name: str) -> Path:
        return self._directory / f"{name}{SUFFIX}"
