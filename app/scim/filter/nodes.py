"""The two forms of a filter: Parsed knows only text, Bound knows attributes and typed operands.

A store is given Bound filters only. Bound is two-valued: a comparison with an absent value is false, and `ne`,
`eq null` and the like have already become Not, Present and Constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.scim.attributes import Attribute

Literal = str | bool | int | float | None


class Op(StrEnum):
    """Comparison operators of RFC 7644 Table 3; Bound filters never hold NE."""

    EQ = "eq"
    NE = "ne"
    CO = "co"
    SW = "sw"
    EW = "ew"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"


@dataclass(frozen=True, slots=True)
class AttrPath:
    """`[URI ":"] ATTRNAME [subAttr]` as written; `urn` is empty where none was given."""

    urn: str
    name: str
    sub: str | None = None

    def __str__(self) -> str:
        head = f"{self.urn}:{self.name}" if self.urn else self.name
        return f"{head}.{self.sub}" if self.sub else head


@dataclass(frozen=True, slots=True)
class ParsedCompare:
    path: AttrPath
    op: Op
    value: Literal


@dataclass(frozen=True, slots=True)
class ParsedPresent:
    path: AttrPath


@dataclass(frozen=True, slots=True)
class ParsedValuePath:
    """`path[where]`; `then` holds what followed the bracket in the client dialect `path[where].sub op value`."""

    path: AttrPath
    where: Parsed
    then: ParsedCompare | ParsedPresent | None = None


@dataclass(frozen=True, slots=True)
class ParsedNot:
    item: Parsed


@dataclass(frozen=True, slots=True)
class ParsedAnd:
    items: tuple[Parsed, ...]


@dataclass(frozen=True, slots=True)
class ParsedOr:
    items: tuple[Parsed, ...]


Parsed = ParsedCompare | ParsedPresent | ParsedValuePath | ParsedNot | ParsedAnd | ParsedOr


@dataclass(frozen=True, slots=True)
class Constant:
    """True or False for every resource."""

    value: bool


@dataclass(frozen=True, slots=True)
class Compare:
    """A singular leaf, or inside Some a sub-attribute of the value at hand, compared with an operand.

    `operand` is in comparison form, as `app.scim.types.comparable` makes it: folded text unless the attribute is
    caseExact, bool, int or float, and for a dateTime the UTC text of `app.scim.types.instant`, which sorts by time.
    `op` is never NE. An absent value compares false.
    """

    attribute: Attribute
    op: Op
    operand: str | bool | int | float


@dataclass(frozen=True, slots=True)
class Present:
    """A singular leaf (or a sub-attribute inside Some) has a value."""

    attribute: Attribute


@dataclass(frozen=True, slots=True)
class Some:
    """At least one value of a multi-valued attribute or relation satisfies `where`, all of whose leaves refer to
    that one value. For a simple multi-valued attribute the leaves name the attribute itself."""

    attribute: Attribute
    where: Bound


@dataclass(frozen=True, slots=True)
class Not:
    item: Bound


@dataclass(frozen=True, slots=True)
class And:
    items: tuple[Bound, ...]


@dataclass(frozen=True, slots=True)
class Or:
    items: tuple[Bound, ...]


Bound = Constant | Compare | Present | Some | Not | And | Or
