"""Bindings with which a directory would refuse every write, or would let a write undo another that came before it."""

from __future__ import annotations

from collections.abc import Iterator

from app.scim.fold import fold
from backends.ldap import dn
from backends.ldap.servers import SERVERS
from backends.ldap.subschema import ClassKind, ObjectClass, Rule, Subschema
from config.directory import Key, Kind, KindBindings
from config.ldap_text import is_dn

_CONTENT = "content"
_CLASS = "objectclass"
_OF_DNS = "distinguishedNameMatch"
"""Active Directory, which names no rules, takes other notations besides, such as `<GUID=…>`."""
_TIMES = frozenset(("1.3.6.1.4.1.1466.115.121.1.24", "1.3.6.1.4.1.1466.115.121.1.53"))
_ONE_CHAIN = frozenset((Kind.OPENLDAP, Kind.ACTIVE_DIRECTORY))
"""389 Directory Server takes entries with any structural classes, or with none."""

Found = Iterator[tuple[Key, str]]


def unfit_version(table: str, kind: KindBindings, server: Kind, subschema: Subschema) -> Found:
    """A version that the server does not change with each write."""
    rule = subschema.rule(kind.version)
    if rule is None or kind.version.lower() == _CONTENT:
        return
    key: Key = (table, "version")
    if not rule.no_user_modification:
        yield (
            key,
            f"the directory does not change {kind.version} with each write: take its stamp of changes, or content",
        )
    elif rule.syntax in _TIMES:
        yield key, f"{kind.version} is a time in seconds: of two writes in one second the first could be lost"
    elif subschema.key(kind.version) == subschema.key(SERVERS[server].id):
        yield key, f"the directory never changes {kind.version}: it is the id of an entry"


def unfit_classes(table: str, kind: KindBindings, server: Kind, subschema: Subschema) -> Found:
    """Object classes that are no entry's: one has one structural class and its superiors (RFC 4512 section 2.4.2)."""
    known = [subschema.object_class(name) for name in kind.object_classes]
    found = [one for one in known if one is not None]
    if server not in _ONE_CHAIN or len(found) < len(known):
        return
    structural = [one for one in found if one.kind is ClassKind.STRUCTURAL]
    if not structural:
        yield (table, "object_classes"), "must name a structural class, such as inetOrgPerson or groupOfNames"
        return
    lines = [_line(one, subschema) for one in structural]
    longest = max(lines, key=len)
    lowest = structural[lines.index(longest)]
    for number, one in enumerate(found):
        if one.kind is ClassKind.STRUCTURAL and one.oid not in longest:
            yield (
                (table, "object_classes", number),
                f"an entry has one structural class and its superiors: {one.name} is no superior of {lowest.name}",
            )


def _line(one: ObjectClass, subschema: Subschema) -> frozenset[str]:
    """The OIDs of a class and its superiors."""
    waiting, seen = [one], set[str]()
    while waiting:
        current = waiting.pop()
        if current.oid not in seen:
            seen.add(current.oid)
            waiting.extend(s for name in current.superiors if (s := subschema.object_class(name)) is not None)
    return frozenset(seen)


def unfit_values(table: str, kind: KindBindings, subschema: Subschema) -> Found:
    """Values for each new entry that an attribute can't have, or not beside one another."""
    for attribute, values in kind.fixed.items():
        rule, key = subschema.rule(attribute), (table, "fixed", attribute)
        if rule is None:
            continue
        if subschema.key(attribute) == _CLASS:
            yield key, f"belongs in {table}.object_classes"
        if rule.single_valued and len(values) > 1:
            yield key, f"the directory allows {attribute} one value only"
        seen = dict[str, str]()
        for number, value in enumerate(values):
            if rule.equality == _OF_DNS and not is_dn(value):
                yield (*key, number), f"a value of {attribute} must be a DN"
            elif (compared := _compared(rule, value)) in seen:
                yield (*key, number), f"is the same to the directory as {seen[compared]!r} before it"
            else:
                seen[compared] = value


def _compared(rule: Rule, value: str) -> str:
    """What is the same for two values that are equal by the attribute's rule (RFC 4517 section 4.2)."""
    equality = rule.equality or ""
    if equality == _OF_DNS:
        return dn.key(value)
    if equality == "telephoneNumberMatch":
        return fold(value).replace(" ", "").replace("-", "")
    if equality == "numericStringMatch":
        return value.replace(" ", "")
    if equality.startswith("caseIgnore"):
        return " ".join(fold(value).split())
    return " ".join(value.split()) if equality.startswith("caseExact") else value
