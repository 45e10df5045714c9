"""The line of each key of a TOML document, which `tomllib` does not tell."""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from config.directory import Key

_BASIC = r'"(?:\\.|[^"\\\n])*"'
_LITERAL = r"'[^'\n]*'"
_SIMPLE_KEY = rf"(?:[A-Za-z0-9_-]+|{_BASIC}|{_LITERAL})"
_KEY = re.compile(rf"{_SIMPLE_KEY}(?:[ \t]*\.[ \t]*{_SIMPLE_KEY})*")
# Up to two of the quotation marks at the end belong to the text.
_LONG_BASIC = r'"""(?:\\[\s\S]|(?!""")[\s\S])*"{3,5}'
_LONG_LITERAL = r"'''(?:(?!''')[\s\S])*'{3,5}"
_STRING = re.compile(f"{_LONG_BASIC}|{_LONG_LITERAL}|{_BASIC}|{_LITERAL}")
_BARE = re.compile(r"[^,\]}#\n]+")
_GAP = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_HEADER = re.compile(r"\[(\[?)[ \t]*")


def lines(text: str) -> Mapping[Key, int]:
    """The line, counted from 1, of each table, key and array item of a document that `tomllib` accepts."""
    return _Scan(text).lines


class _Scan:
    """One walk over a valid document: it only has to see where keys and values begin and end."""

    def __init__(self, text: str) -> None:
        self.lines: dict[Key, int] = {}
        self._text = text
        self._at = 0
        self._starts = [0, *(m.end() for m in re.finditer("\n", text))]
        self._counts: dict[Key, int] = {}
        self._document()

    def _document(self) -> None:
        table: Key = ()
        self._skip()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip()

    def _header(self) -> Key:
        opening = _HEADER.match(self._text, self._at)
        assert opening is not None
        line = self._line()
        self._at = opening.end()
        names = self._key()
        key: Key = ()
        for position, name in enumerate(names):
            key = (*key, name)
            self.lines.setdefault(key, line)
            if opening[1] and position == len(names) - 1:
                self._counts[key] = self._counts.get(key, -1) + 1
            if key in self._counts:
                key = (*key, self._counts[key])
                self.lines.setdefault(key, line)
        self._at = self._text.index("]", self._at) + 1 + len(opening[1])
        return key

    def _pair(self, table: Key) -> None:
        line = self._line()
        key = table
        for name in self._key():
            key = (*key, name)
            self.lines.setdefault(key, line)
        self._at = self._text.index("=", self._at) + 1
        self._value(key)

    def _key(self) -> tuple[str, ...]:
        found = _KEY.match(self._text, self._at)
        assert found is not None
        self._at = found.end()
        names: list[str] = []
        rest: Any = tomllib.loads(f"{found[0]} = 0")
        while isinstance(rest, dict):
            ((name, rest),) = rest.items()
            names.append(name)
        return tuple(names)

    def _value(self, key: Key) -> None:
        self._skip()
        self.lines.setdefault(key, self._line())
        first = self._text[self._at]
        if first == "[":
            self._items(key)
        elif first == "{":
            self._inline(key)
        else:
            scalar = (_STRING if first in "\"'" else _BARE).match(self._text, self._at)
            assert scalar is not None
            self._at = scalar.end()

    def _items(self, key: Key) -> None:
        number = 0
        while self._more("]"):
            self._value((*key, number))
            number += 1

    def _inline(self, key: Key) -> None:
        while self._more("}"):
            self._pair(key)

    def _more(self, end: str) -> bool:
        """Go past a bracket or comma; False at the closing bracket, which is passed too."""
        self._skip()
        if self._text[self._at] in "[{,":
            self._at += 1
            self._skip()
        if self._text[self._at] == end:
            self._at += 1
            return False
        return True

    def _skip(self) -> None:
        gap = _GAP.match(self._text, self._at)
        assert gap is not None
        self._at = gap.end()

    def _line(self) -> int:
        return bisect_right(self._starts, self._at)
