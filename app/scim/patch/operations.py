"""The operations of a PATCH message: as the client sent them, and with the attribute that they point at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.scim.attributes import Attribute
from app.scim.errors import InvalidPath, InvalidSyntax
from app.scim.filter.nodes import Bound, Parsed

Dialect = Literal["rfc", "entra"]
"""How a client is read where its habits contradict the RFC; every other leniency holds for every client."""

OPS = ("add", "remove", "replace")


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `path` is None where the client gave none; `has_value` tells null from a missing value.

    Two marks are set on the way to the plan: `upsert` lets a replace create the value that its filter
    describes; `from_key` says that the path was a key of a path-less value, which is ignored if it names no
    attribute.
    """

    op: str
    path: str | None = None
    value: Any = None
    has_value: bool = False
    upsert: bool = False
    from_key: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """A top-level attribute, perhaps one of its sub-attributes, perhaps only in the values that `match`
    selects.

    `where` is the same filter as it was written, which keeps the spelling of its operands.
    """

    attribute: Attribute
    sub: Attribute | None = None
    where: Parsed | None = None
    match: Bound | None = None


@dataclass(frozen=True, slots=True)
class Aimed:
    """An operation with its target; `note` is for the log, where a client was read against the RFC."""

    operation: Operation
    target: Target
    note: str | None = None

    @property
    def op(self) -> str:
        return self.operation.op

    @property
    def value(self) -> Any:
        return self.operation.value

    @property
    def blank(self) -> bool:
        """No value, null or an empty string: nothing is assigned by it (RFC 7643 section 2.5)."""
        return self.operation.value in (None, "")


def operations_from(body: Any) -> tuple[Operation, ...]:
    """The operations of the `Operations` array of a PatchOp message; other members of each object are
    ignored.

    The names `op`, `path` and `value` are read without case; a null path is no path. Raises InvalidSyntax
    when the array or an operation has the wrong structure or an op other than add, remove and replace, and
    InvalidPath for a path that is no string.
    """
    if not isinstance(body, list):
        raise InvalidSyntax("Operations must be an array of operations")
    return tuple(_operation(item) for item in body)


def _operation(item: Any) -> Operation:
    if not isinstance(item, Mapping):
        raise InvalidSyntax("an operation must be an object")
    known: dict[str, Any] = {}
    for key, value in item.items():
        name = str(key).lower()
        if name in ("op", "path", "value"):
            if name in known:
                raise InvalidSyntax(f"an operation has '{name}' twice")
            known[name] = value
    op, path = known.get("op"), known.get("path")
    if not isinstance(op, str) or op.lower() not in OPS:
        raise InvalidSyntax("op must be add, remove or replace")
    if path is not None and not isinstance(path, str):
        raise InvalidPath("path must be a string")
    return Operation(op, path, known.get("value"), "value" in known)
