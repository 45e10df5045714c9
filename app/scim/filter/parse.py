"""Filter text to Parsed (RFC 7644 Figure 1, precedence of section 3.4.2.2)."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import NoReturn

from app.scim.errors import InvalidFilter
from app.scim.filter.nodes import (
    AttrPath,
    Literal,
    Op,
    Parsed,
    ParsedAnd,
    ParsedCompare,
    ParsedNot,
    ParsedOr,
    ParsedPresent,
    ParsedValuePath,
)

_TOKEN = re.compile(r'\s*(?:("(?:[^"\\]|\\.)*")|([()\[\]])|([^\s()\[\]"]+))', re.DOTALL)
_NUMBER = re.compile(r"^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$", re.ASCII)
_NAME = re.compile(r"(?:[A-Za-z][A-Za-z0-9_$-]*|\$ref)")
_URN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s\"()\[\]]+")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on a filter: characters, nested brackets, and terms (comparisons and presence tests)."""

    length: int = 8192
    depth: int = 50
    terms: int = 200


DEFAULT_LIMITS = Limits()


def parse_filter(text: str, limits: Limits = DEFAULT_LIMITS) -> Parsed:
    """The syntax tree of a filter. Raises InvalidFilter when it is outside the grammar or the limits.

    Beyond Figure 1 the client form `path[filter].sub op value` is accepted.
    """
    if len(text) > limits.length:
        raise InvalidFilter(f"the filter is longer than {limits.length} characters")
    parser = _Parser(_tokens(text), limits)
    tree = parser.disjunction()
    parser.expect_end()
    return tree


def parse_attr_path(text: str) -> AttrPath | None:
    """`[URI ":"] ATTRNAME [subAttr]` split at the last colon and then at one dot; None when it has another form."""
    urn, colon, rest = text.rpartition(":")
    name, dot, sub = rest.partition(".")
    if not _NAME.fullmatch(name) or (dot and not _NAME.fullmatch(sub)) or (colon and not _URN.fullmatch(urn)):
        return None
    return AttrPath(urn, name, sub if dot else None)


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if not match:
            raise InvalidFilter("the filter has a string without a closing quote")
        found.append(match.group(match.lastindex or 0))
        position = match.end()
    return found


class _Parser:
    """Precedence climbing: `or` is loosest, then `and`, then `not` and groups. Recursion is bounded by limits.depth."""

    def __init__(self, tokens: list[str], limits: Limits) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0
        self._terms = 0
        self._limits = limits
        self._in_brackets = False

    def disjunction(self) -> Parsed:
        items = [self._conjunction()]
        while self._keyword("or"):
            items.append(self._conjunction())
        return items[0] if len(items) == 1 else ParsedOr(tuple(items))

    def _conjunction(self) -> Parsed:
        items = [self._unary()]
        while self._keyword("and"):
            items.append(self._unary())
        return items[0] if len(items) == 1 else ParsedAnd(tuple(items))

    def _unary(self) -> Parsed:
        if self._peek().lower() == "not" and self._peek(1) == "(":
            self._next += 1
            return ParsedNot(self._group())
        if self._peek() == "(":
            return self._group()
        return self._expression()

    def _group(self) -> Parsed:
        self._take("(")
        self._enter()
        tree = self.disjunction()
        self._depth -= 1
        self._take(")")
        return tree

    def _expression(self) -> Parsed:
        path = self._path(self._peek())
        self._next += 1
        if self._peek() != "[":
            return self._test(path)
        if self._in_brackets:
            raise InvalidFilter("brackets may not stand inside brackets")
        return self._value_path(path)

    def _value_path(self, path: AttrPath) -> Parsed:
        self._take("[")
        self._in_brackets = True
        self._enter()
        where = self.disjunction()
        self._depth -= 1
        self._in_brackets = False
        self._take("]")
        if not self._peek().startswith("."):
            return ParsedValuePath(path, where)
        sub = self._path(self._peek()[1:])
        if sub.urn or sub.sub:
            _refuse_word(self._peek(), "a sub-attribute")
        self._next += 1
        return ParsedValuePath(path, where, self._test(sub))

    def _test(self, path: AttrPath) -> ParsedCompare | ParsedPresent:
        self._terms += 1
        if self._terms > self._limits.terms:
            raise InvalidFilter(f"the filter has more than {self._limits.terms} terms")
        word = self._peek()
        if not word:
            raise InvalidFilter(f"an operator is missing after '{path}'")
        self._next += 1
        if word.lower() == "pr":
            return ParsedPresent(path)
        try:
            op = Op(word.lower())
        except ValueError:
            raise InvalidFilter(f"'{word[:40]}' is not an operator") from None
        literal = _literal(self._peek())
        self._next += 1
        return ParsedCompare(path, op, literal)

    def expect_end(self) -> None:
        if self._next < len(self._tokens):
            raise InvalidFilter(f"'{self._peek()[:40]}' is not expected there")

    def _path(self, word: str) -> AttrPath:
        path = parse_attr_path(word)
        if path is None:
            _refuse_word(word, "an attribute name")
        return path

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > self._limits.depth:
            raise InvalidFilter(f"the filter is nested deeper than {self._limits.depth} levels")

    def _keyword(self, word: str) -> bool:
        if self._peek().lower() != word:
            return False
        self._next += 1
        return True

    def _take(self, token: str) -> None:
        if self._peek() != token:
            _refuse_word(self._peek(), f"'{token}'")
        self._next += 1

    def _peek(self, ahead: int = 0) -> str:
        position = self._next + ahead
        return self._tokens[position] if position < len(self._tokens) else ""


def _refuse_word(word: str, wanted: str) -> NoReturn:
    raise InvalidFilter(f"{wanted} is expected " + (f"instead of '{word[:40]}'" if word else "at the end"))


def _literal(word: str) -> Literal:
    if word in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[word]
    if _NUMBER.match(word):
        return _number(word)
    if not word.startswith('"'):
        _refuse_word(word, "a JSON value (strings in double quotes)")
    try:
        text = json.loads(word)
        text.encode()
    except ValueError:
        raise InvalidFilter("a string has an escape or a character that JSON does not allow") from None
    if "\0" in text:
        raise InvalidFilter("a string holds a character that is not allowed")
    return str(text)


def _number(word: str) -> int | float:
    if len(word) > 64:
        raise InvalidFilter("a number is too long")
    value: int | float = json.loads(word)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = float(value)
    if not math.isfinite(value):
        raise InvalidFilter("a number is out of range")
    return value
