"""A value that must not be printed."""

from __future__ import annotations

import hmac
from typing import NoReturn

MASK = "********"


class Secret:
    """Text that leaves this object only through `reveal`.

    `str`, `repr` and formatting show a mask of constant length, so that neither a log line nor the `repr` of
    a value that contains the secret tells it. Two secrets compare in constant time; pickling is refused.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself. Call it where the text is used, and keep the result out of messages."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_octets(self._text), _octets(other._text))

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
