"""Drafts of invented people and groups, ways to read a store whole, and text that stores are known to trip over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.scim.attributes import Attribute
from app.scim.filter.evaluate import View
from app.scim.filter.nodes import Bound
from app.scim.query import Draft, Query, Reference, Resource, ResourceId, Sort, Value, Window
from app.scim.registry import ENTERPRISE_SCHEMA, Registry
from backends.base import Backend

MANAGER = f"{ENTERPRISE_SCHEMA}:manager.value"
MANAGER_REF = f"{ENTERPRISE_SCHEMA}:manager.$ref"
MANAGER_NAME = f"{ENTERPRISE_SCHEMA}:manager.displayName"
DEPARTMENT = f"{ENTERPRISE_SCHEMA}:department"
EVERYTHING = 10**6

HOSTILE = (
    "%",
    "_",
    "*",
    "\\",
    "\\\\",
    "'",
    '"',
    "''",
    "100%",
    "a_c",
    "a%c",
    "\\%",
    "' OR '1'='1",
    "'); DROP TABLE users; --",
    ":name",
    "%(name)s",
    "%s",
    "?",
    "$1",
    "{0}",
    "[a-z]",
    "(cn=*)",
    "*)(uid=*",
    "\\2a",
    "null",
    "None",
    "../x",
    "a/b?c#d",
    "<script>",
    "\u202eright",
    "\ufeffmark",
)
"""Wildcards, quotes, escapes and placeholders of the languages that stores speak."""

VERBATIM = (
    *HOSTILE,
    "山田太郎",
    "😀👩\u200d👩\u200d👧",
    "\U0002070e",
    "trailing  ",
    "  leading",
    " ",
    "MiXeD CaSe",
    "line\nbreak\r\n\ttab",
    "e\u0301 decomposed",
    "é composed",
    "ＦＵＬＬ width",
    "ｱ half",
    "Straße İstanbul ſ ﬁ K",
    "مرحبا שלום",
    "x" * 256,
    "山" * 256,
)
"""Text that must come back as it was."""

ODD_IDS = (
    "",
    " ",
    "0",
    "-1",
    "1",
    "1.0",
    "1e3",
    "9" * 30,
    "null",
    "abc",
    "x" * 100_000,
    "😀" * 5000,
    "\0",
    "a\0b",
    "\ud800",
    "'",
    '"',
    "' OR '1'='1",
    "%",
    "_",
    "*",
    "\\",
    "山田",
    "../x",
    "..",
    "a/b",
    "a\r\nb",
    "00000000-0000-0000-0000-000000000000",
    "{00000000-0000-0000-0000-000000000000}",
    "00000000000000000000000000000000",
    "urn:uuid:00000000-0000-0000-0000-000000000000",
)
"""Ids that no store has issued, some of which none could."""


def user(name: str, **values: Value) -> Draft:
    """A user of that userName; keywords are slots whose path is a plain name."""
    return Draft({"userName": name, **values})


def group(name: str, members: Iterable[Resource | ResourceId] = ()) -> Draft:
    """A group of that displayName with those members."""
    ids = tuple(m.id if isinstance(m, Resource) else m for m in members)
    return Draft({"displayName": name}, {"members": ids} if ids else {})


def users(backend: Backend, count: int, prefix: str = "user") -> list[Resource]:
    """That many new users, with display names."""
    return [
        backend.create("User", user(f"{prefix}{n}@corp.example", displayName=f"{prefix.title()} {n}"))
        for n in range(count)
    ]


def members(backend: Backend, group_id: ResourceId) -> set[ResourceId]:
    """The ids of a group's members, each seen once."""
    return _far(backend, "Group", group_id, "members")


def groups(backend: Backend, user_id: ResourceId) -> set[ResourceId]:
    """The ids of the groups that a user is in, each seen once."""
    return _far(backend, "User", user_id, "groups")


def _far(backend: Backend, kind: str, near: ResourceId, relation: str) -> set[ResourceId]:
    pairs = list(backend.related(kind, [near], relation))
    assert {source for source, _ in pairs} <= {near}
    found = [reference.id for _, reference in pairs]
    assert len(set(found)) == len(found)
    return set(found)


def search(
    backend: Backend,
    kind: str,
    filter: Bound | None = None,
    *,
    sort: Sort | None = None,
    start: int = 1,
    count: int = EVERYTHING,
    want: frozenset[str] = frozenset(),
) -> tuple[list[Resource], int]:
    """The items and the total of a search."""
    page = backend.search(kind, Query(want, filter, sort, Window(start, count)))
    return list(page.items), page.total


def found(backend: Backend, kind: str, filter: Bound | None) -> set[ResourceId]:
    """The ids that a filter finds, each once, and as many as the total says."""
    items, total = search(backend, kind, filter)
    ids = {item.id for item in items}
    assert len(ids) == len(items) == total
    return ids


def views(backend: Backend, registry: Registry, kind: str) -> list[View]:
    """Every resource of a kind as the evaluator sees it, read through the contract."""
    resource_type = registry.type(kind)
    items, _ = search(backend, kind, want=resource_type.readable)
    relations: dict[ResourceId, dict[str, list[Reference]]] = {
        item.id: {name: [] for name in resource_type.relations} for item in items
    }
    for name in resource_type.relations:
        for near, reference in backend.related(kind, list(relations), name):
            relations[near][name].append(reference)
    return [View(item, relations[item.id]) for item in items]


def state(backend: Backend, registry: Registry, kinds: Sequence[str] = ("User", "Group")) -> dict[ResourceId, View]:
    """Everything that a store holds, comparable: equal before and after means that nothing has changed."""
    whole = {}
    for kind in kinds:
        for view in views(backend, registry, kind):
            ordered = {n: sorted(far, key=lambda r: r.id) for n, far in view.relations.items()}
            whole[view.resource.id] = View(view.resource, ordered)
    return whole


def attribute_of(registry: Registry, path: str, kind: str = "User") -> Attribute:
    """The attribute or sub-attribute of that canonical path."""
    resource_type = registry.type(kind)
    everything = [*resource_type.attributes, *(s for a in resource_type.attributes for s in a.sub_attributes)]
    return next(a for a in everything if a.path == path)
