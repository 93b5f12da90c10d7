"""What the store must know of a statement: whether it takes data, and whether it answers rows."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise

from embedded.store.errors import NOT_IMPLEMENTED, Refused

TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|\#[!\ ][^\n]*|/\*.*?\*/)
      | (?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`)
      | (?P<word>\w+)
      | (?P<mark>.)""",
    re.DOTALL | re.VERBOSE,
)
STREAMED = frozenset({"SELECT", "WITH", "FROM", "VALUES"})
ENDS_OF_INTO = frozenset({"VALUES", "FORMAT", "SELECT", "WITH", "FROM", "WATCH"})
LONGEST_END = 3  # words behind FORMAT or VALUES that bring no rows: Native ;
FILES = re.compile(r"\b(?:INTO\s+OUTFILE|FROM\s+INFILE)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Insert:
    """An INSERT whose rows come as Data packets."""

    into: str  # [FUNCTION] target [(columns)], as it stands after INTO
    settings: str  # SETTINGS ..., or empty
    header: str  # a SELECT with the columns to be sent


def tokens(sql: str) -> Iterator[re.Match[str]]:
    """Words, quoted things and marks, without blanks and comments."""
    return (token for token in TOKEN.finditer(sql) if token.lastgroup != "blank")


def keyword(sql: str) -> str:
    """The first word, in capitals, behind opening brackets."""
    first = next((token for token in tokens(sql) if token[0] != "("), None)
    return first[0].upper() if first else ""


def streams(sql: str) -> bool:
    return keyword(sql) in STREAMED


def without_format(sql: str) -> str:
    """Without a closing FORMAT clause and semicolon: blocks are Native on this protocol."""
    sql = sql.rstrip().removesuffix(";").rstrip()
    words = sql.rsplit(None, 2)
    if len(words) == 3 and words[1].upper() == "FORMAT" and words[2].isidentifier():
        return words[0]
    return sql


def refuse_files(sql: str) -> None:
    """Raises Refused for a clause that belongs to the client's side: it would act on ours."""
    if not FILES.search(sql):
        return
    words = [token[0].upper() for token in tokens(sql)]
    pairs = set(pairwise(words))
    if pairs & {("INTO", "OUTFILE"), ("FROM", "INFILE")}:
        raise Refused(NOT_IMPLEMENTED, "INTO OUTFILE and FROM INFILE are for clients, not servers")


def parse_insert(sql: str) -> Insert | None:
    """None when the statement is no INSERT, or brings its rows itself."""
    if keyword(sql) != "INSERT":
        return None
    found = tokens(sql)
    next(found)
    if next_word(found) != "INTO":
        return None
    start = end = settings_at = columns_at = None
    depth = brackets = 0
    function = False
    for token in found:
        word = token[0].upper() if token.lastgroup == "word" else ""
        if start is None:
            if word == "TABLE":
                continue
            if word == "FUNCTION":
                function = True
                continue
            start = token.start()
            continue
        if token[0] == "(":
            brackets += depth == 0
            # A function's own brackets come first.
            if depth == 0 and brackets == (2 if function else 1) and settings_at is None:
                columns_at = token.start()
            depth += 1
        elif token[0] == ")":
            depth -= 1
        elif depth == 0 and word == "SETTINGS":
            settings_at = token.start()
        elif depth == 0 and word in ENDS_OF_INTO:
            end = token.start()
            rest = [word, *(later[0] for later in islice(found, LONGEST_END))]
            break
    if start is None or end is None or not data_follows(rest):
        return None
    target_end = settings_at or end
    target = plain(sql[start : columns_at or target_end])
    columns = plain(sql[columns_at:target_end]) if columns_at else ""
    return Insert(
        into=f"{'FUNCTION ' if function else ''}{target} {columns}".strip(),
        settings=plain(sql[settings_at:end]) if settings_at else "",
        header=f"SELECT {columns[1:-1] or '*'} FROM {target}",  # noqa: S608 (the client's own words)
    )


def plain(sql: str) -> str:
    """Without comments, so that more can be written behind it."""
    return TOKEN.sub(lambda token: " " if token.lastgroup == "blank" else token[0], sql).strip()


def next_word(found: Iterator[re.Match[str]]) -> str:
    token = next(found, None)
    return token[0].upper() if token else ""


def data_follows(rest: list[str]) -> bool:
    """Whether a statement ends in VALUES or FORMAT NAME."""
    while rest and rest[-1] == ";":
        rest = rest[:-1]
    return rest == ["VALUES"] or (len(rest) == 2 and rest[0] == "FORMAT")
