"""Tokens to a syntax tree, not yet typed.

Precedence, tightest first, as in Go: `!`; `|` and `+`; comparisons and `in`; `&&`; `||`. So
`a | b == c` is `(a | b) == c`, and `a | b + c` is `(a | b) + c`. A chain of one operator is one
node, and counts as one level of depth.
"""

from collections.abc import Callable

from policy.attributes import duration
from policy.errors import InvalidRule
from policy.expression.nodes import Call, Index, Listing, Literal, Name, Node, Operation
from policy.expression.tokens import Kind, Token, refused, tokens, unquoted

MAX_DEPTH = 32
MAX_NODES = 256
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


def parse(text: str) -> Node:
    """Raises InvalidRule, with line and column."""
    return Parser(text).whole()


class Parser:
    """Recursive descent, one method a level of precedence."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(tokens(text))
        self._next = 0
        self._depth = 0
        self._nodes = 0

    def whole(self) -> Node:
        node = self._expression()
        if self._token.kind is not Kind.END:
            raise self._unexpected("an operator or the end")
        return node

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._token
        self._next += 1
        return token

    def _takes(self, *operators: str) -> Token | None:
        token = self._token
        return self._take() if token.kind is Kind.OPERATOR and token.text in operators else None

    def _expect(self, operator: str) -> None:
        if self._takes(operator) is None:
            raise self._unexpected(operator)

    def _unexpected(self, expected: str) -> InvalidRule:
        found = self._token.text or "the end"
        return refused(self._text, self._token.at, f"expected {expected}, found {found}")

    def _made(self, node: Node) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise refused(self._text, node.at, f"more than {MAX_NODES} terms")
        return node

    def _expression(self) -> Node:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise refused(self._text, self._token.at, f"nested deeper than {MAX_DEPTH}")
        node = self._chain("||", lambda: self._chain("&&", self._comparison))
        self._depth -= 1
        return node

    def _chain(self, operator: str, operand: Callable[[], Node]) -> Node:
        first = operand()
        operands = [first]
        while self._takes(operator):
            operands.append(operand())
        if len(operands) == 1:
            return first
        return self._made(Operation(operator, tuple(operands), first.at))

    def _comparison(self) -> Node:
        left = self._joined()
        chained = 0
        while token := self._takes(*COMPARISONS) or self._takes_in():
            chained += 1
            if self._depth + chained > MAX_DEPTH:
                raise refused(self._text, token.at, f"nested deeper than {MAX_DEPTH}")
            listed = token.text == "in" and self._takes("[")
            right = self._listing(token.at) if listed else self._joined()
            left = self._made(Operation(token.text, (left, right), token.at))
        return left

    def _takes_in(self) -> Token | None:
        token = self._token
        return self._take() if token.kind is Kind.NAME and token.text == "in" else None

    def _listing(self, at: int) -> Node:
        items = [self._expression()]
        while self._takes(","):
            items.append(self._expression())
        self._expect("]")
        return self._made(Listing(tuple(items), at))

    def _joined(self) -> Node:
        left = self._unary()
        turns = 0  # from one of the two operators to the other
        while token := self._takes("|", "+"):
            turns += 1
            if self._depth + turns > MAX_DEPTH:
                raise refused(self._text, token.at, f"nested deeper than {MAX_DEPTH}")
            operands = [left, self._unary()]
            while self._takes(token.text):
                operands.append(self._unary())
            left = self._made(Operation(token.text, tuple(operands), left.at))
        return left

    def _unary(self) -> Node:
        token = self._takes("!")
        if token is None:
            return self._postfix()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise refused(self._text, token.at, f"nested deeper than {MAX_DEPTH}")
        node = self._made(Operation("!", (self._unary(),), token.at))
        self._depth -= 1
        return node

    def _postfix(self) -> Node:
        node = self._primary()
        suffixes = 0
        while token := self._takes("[", "."):
            suffixes += 1
            if self._depth + suffixes > MAX_DEPTH:
                raise refused(self._text, token.at, f"nested deeper than {MAX_DEPTH}")
            if token.text == "[":
                key = self._expression()
                self._expect("]")
                node = self._made(Index(node, key, token.at))
            else:
                name = self._take()
                if name.kind is not Kind.NAME or "." in name.text or self._token.text != "(":
                    raise refused(self._text, name.at, "expected the call of a method")
                node = self._made(Call(name.text, node, self._arguments(), name.at))
        return node

    def _primary(self) -> Node:
        token = self._token
        match token.kind:
            case Kind.NAME:
                return self._named(self._take())
            case Kind.INT | Kind.FLOAT | Kind.STRING:
                return self._literal(self._take())
            case Kind.OPERATOR if token.text == "(":
                self._take()
                node = self._expression()
                self._expect(")")
                return node
            case Kind.OPERATOR if token.text == "-":
                self._take()
                if self._token.kind not in (Kind.INT, Kind.FLOAT):
                    raise self._unexpected("a number")
                return self._literal(self._take(), negative=True)
        raise self._unexpected("an attribute, a literal or (")

    def _named(self, token: Token) -> Node:
        """An attribute, a function's call or a method's: the last word of a dotted name."""
        if self._token.kind is not Kind.OPERATOR or self._token.text != "(":
            if token.text.lower() in ("true", "false"):
                return self._made(Literal(token.text.lower() == "true", token.at))
            return self._made(Name(token.text, token.at))
        of, _, function = token.text.rpartition(".")
        receiver = self._made(Name(of, token.at)) if of else None
        at = token.at + len(of) + 1 if of else token.at
        return self._made(Call(function, receiver, self._arguments(), at))

    def _arguments(self) -> tuple[Node, ...]:
        self._expect("(")
        if self._takes(")"):
            return ()
        arguments = [self._expression()]
        while self._takes(","):
            arguments.append(self._expression())
        self._expect(")")
        return tuple(arguments)

    def _literal(self, token: Token, *, negative: bool = False) -> Node:
        if token.kind is Kind.INT:
            number = -int(token.text) if negative else int(token.text)
            if not -(2**63) <= number < 2**63:
                raise refused(self._text, token.at, "more than 64 bits can hold")
            return self._made(Literal(number, token.at))
        if token.kind is Kind.FLOAT:
            value = float(token.text)
            if value == float("inf"):
                raise refused(self._text, token.at, "more than a DOUBLE can hold")
            return self._made(Literal(-value if negative else value, token.at))
        try:
            text = unquoted(token)
        except ValueError as error:
            raise refused(self._text, token.at, str(error)) from error
        # Mixer's rule: a string that reads as a duration is one.
        length = None if token.text[0] == "'" else duration(text)
        return self._made(Literal(text if length is None else length, token.at))
