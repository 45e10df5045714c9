"""Whether bindings fit the SCIM schemas and the directory's, and what may be served with them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from app.scim.attributes import Attribute, Type, Uniqueness
from app.scim.query import Slot
from app.scim.registry import ENTERPRISE_SCHEMA, ID, META, SCHEMAS_ATTRIBUTE, Registry, ResourceType
from backends.ldap.bindings_writes import Found, unfit_classes, unfit_values, unfit_version
from backends.ldap.locks import LOCKS
from backends.ldap.subschema import Rule, Subschema
from backends.ldap.text import SHORTEST
from config.directory import (
    PLACEHOLDER,
    Bindings,
    Derived,
    GroupBindings,
    Key,
    Kind,
    KindBindings,
    Lock,
    MemberSyntax,
    Password,
    Place,
    UserBindings,
    line_of,
)
from config.errors import Fault
from config.ldap_text import is_below

_BY_KEYS = {"active": "lock", "password": "password"}
_MUST_BE_BOUND = {"User": "userName", "Group": "displayName"}
_CONTENT = "content"
_DN_SYNTAXES = frozenset(("1.3.6.1.4.1.1466.115.121.1.12", "1.3.6.1.4.1.1466.115.121.1.34"))
_ANSWERS_AS_ASKED = frozenset((Kind.DS389,))
"""Servers that answer under the name that was asked for; others do under an attribute's first name."""
_FILLED = {
    Kind.OPENLDAP: frozenset[str](),
    Kind.DS389: frozenset[str](),
    Kind.ACTIVE_DIRECTORY: frozenset(
        ("objectcategory", "ntsecuritydescriptor", "instancetype", "objectsid", "grouptype", "samaccountname")
    ),
}
_PASSWORD_ATTRIBUTES = {Password.USER_PASSWORD: "userPassword", Password.UNICODE_PWD: "unicodePwd"}


def check_against(bindings: Bindings, registry: Registry) -> list[Fault]:
    """What in the bindings does not fit the SCIM schemas, in the order of the file."""
    return _faults(
        bindings,
        (
            found
            for table, kind, type in _tables(bindings, registry)
            for found in (
                *_slots_that_do_not_fit(table, kind, type),
                *_shared_attributes(table, kind, str.lower),
                *_sources_that_do_not_fit(table, kind, type),
                *_no_name(table, kind, type),
                *_too_short(table, kind, type),
                *_retired(table, kind),
            )
        ),
    )


def check_against_subschema(bindings: Bindings, subschema: Subschema) -> list[Fault]:
    """What in the bindings the directory's schema does not allow, in the order of the file.

    `bindings` are ones that `check_against` found nothing wrong with.
    """
    tables: tuple[tuple[str, KindBindings], ...] = (("users", bindings.users), ("groups", bindings.groups))
    return _faults(
        bindings,
        (
            found
            for table, kind in tables
            for found in (
                *_unknown(table, kind, subschema),
                *_other_names(table, kind, bindings.kind, subschema),
                *_shared_attributes(table, kind, lambda name: _with_options(subschema.key(name), name)),
                *_not_allowed(table, kind, subschema),
                *_not_provided(table, kind, bindings.kind, subschema),
                *_unfit_rules(table, kind, subschema),
                *unfit_version(table, kind, bindings.kind, subschema),
                *unfit_classes(table, kind, bindings.kind, subschema),
                *unfit_values(table, kind, subschema),
            )
        ),
    )


def _tables(bindings: Bindings, registry: Registry) -> tuple[tuple[str, KindBindings, ResourceType], ...]:
    return (("users", bindings.users, registry.type("User")), ("groups", bindings.groups, registry.type("Group")))


def _faults(bindings: Bindings, found: Iterable[tuple[Key, str]]) -> list[Fault]:
    ordered = sorted(dict.fromkeys(found), key=lambda one: line_of(bindings.lines, one[0]))
    return [bindings.fault(key, message) for key, message in ordered]


def _key(table: str, slot: Slot) -> Key:
    """Where the file binds a slot; one of an extension stands in the table of its schema."""
    urn, colon, name = slot.rpartition(":")
    return (table, "extensions", urn, name) if colon else (table, "attributes", slot)


def _slots_that_do_not_fit(table: str, kind: KindBindings, type: ResourceType) -> Found:
    for slot in (*kind.singles, *kind.lists):
        key = _key(table, slot)
        attribute = type.slots.get(slot)
        if slot in _BY_KEYS and type.name == "User":
            yield key, f"is bound by the key {table}.{_BY_KEYS[slot]}"
        elif attribute is None:
            yield key, _why_no_slot(slot, type)
        elif attribute.multi_valued and slot in kind.singles:
            yield key, 'has several values: it must have a list of places, such as [{value = "…"}]'
        elif not attribute.multi_valued and slot in kind.lists:
            yield key, "has one value: it must have one LDAP attribute, and no list of places"
        elif attribute.multi_valued:
            yield from _places_that_do_not_fit(key, attribute, kind.lists[slot])


def _why_no_slot(slot: Slot, type: ResourceType) -> str:
    """Why a name is not that of a slot; `slot` may be any text."""
    top = slot.partition(".")[0]
    if slot in type.lookups:
        return f"can't be bound: it follows from {type.lookups[slot].via}"
    if top in type.relations:
        return "can't be bound: it follows from the members of groups"
    if top in (ID.name, META.name, SCHEMAS_ATTRIBUTE.name):
        return "can't be bound: the directory and this service provide it"
    known = next((s for s in type.slots if s.lower() == slot.lower()), None)
    if known is not None:
        return f"must be written {known}"
    parts = [s for s in type.slots if s.startswith(f"{slot}.")]
    if parts:
        return f"has parts that are bound one by one: {', '.join(parts)}"
    owner = type.slots.get(slot.rpartition(".")[0])
    if owner is not None and owner.multi_valued:
        return f"is a part of {owner.path}, which is bound as a whole, with a list of places"
    return f"is no attribute of {type.name}"


def _places_that_do_not_fit(key: Key, attribute: Attribute, places: tuple[Place, ...]) -> Found:
    parts = {sub.name for sub in attribute.sub_attributes} or {"value"}
    types = [place.type.lower() if place.type is not None else None for place in places]
    for number, place in enumerate(places):
        for part in place.parts.keys() - parts:
            yield (*key, number, part), f"is no part of {attribute.path}: it has {', '.join(sorted(parts))}"
        if types.index(types[number]) != number:
            yield (*key, number), "has the same type as a place before it"
        for option in ("type", "primary"):
            if getattr(place, option) and attribute.sub(option) is None:
                yield (*key, number, option), f"is no part of {attribute.path}"
    for number in [n for n, place in enumerate(places) if place.primary][1:]:
        yield (*key, number, "primary"), "is set in a place before it, and there is one primary value at most"


def _uses(table: str, kind: KindBindings) -> Iterator[tuple[Key, str]]:
    """Every LDAP attribute that holds something of its own, and where the file names it."""
    for slot, single in kind.singles.items():
        yield _key(table, slot), single.attribute
    for slot, places in kind.lists.items():
        for number, place in enumerate(places):
            for part, attribute in place.parts.items():
                yield (*_key(table, slot), number, part), attribute
    for name in ("record", "held", "member", "member_of"):
        own: str | None = getattr(kind, name, None)
        if own is not None:
            yield (table, name), own
    for attribute in kind.fixed:
        yield (table, "fixed", attribute), attribute
    if isinstance(kind, UserBindings):
        if kind.lock in LOCKS:
            yield (table, "lock"), LOCKS[kind.lock].attribute
        if kind.password in _PASSWORD_ATTRIBUTES:
            yield (table, "password"), _PASSWORD_ATTRIBUTES[kind.password]


def _shared_attributes(table: str, kind: KindBindings, one_name: Callable[[str], str]) -> Found:
    first: dict[str, Key] = {}
    for key, attribute in _uses(table, kind):
        other = first.setdefault(one_name(attribute), key)
        if other is not key:
            yield key, f"{attribute} is in use already, for {'.'.join(map(str, other[1:]))}"


def _with_options(key: str, name: str) -> str:
    return ";".join((key, *name.lower().split(";")[1:]))


def _sources_that_do_not_fit(table: str, kind: KindBindings, type: ResourceType) -> Found:
    for attribute, derived in kind.derived.items():
        for number, slot in enumerate(derived.slots):
            wrong = _wrong_source(slot, kind, type)
            if wrong:
                yield (table, "derived", attribute, number), f"{slot} {wrong}"
    for number, template in enumerate(kind.placement):
        for slot in PLACEHOLDER.findall(template):
            # An attribute of EnterpriseUser needs no URN here.
            whole = slot if slot in type.slots else f"{ENTERPRISE_SCHEMA}:{slot}"
            wrong = _wrong_source(whole if whole in type.slots else slot, kind, type)
            if wrong:
                yield (table, "placement", number), f"{{{slot}}} {wrong}"


def _wrong_source(slot: Slot, kind: KindBindings, type: ResourceType) -> str | None:
    """Why a value can't be taken from there, or None."""
    attribute = type.slots.get(slot)
    if attribute is None:
        return _why_no_slot(slot, type)
    if attribute.multi_valued:
        return "has several values"
    if attribute.type is Type.COMPLEX or slot in _BY_KEYS:
        return "is no text"
    if kind.record is None and slot not in kind.singles:
        return "is not bound, and without a record it never has a value"
    return None


def _no_name(table: str, kind: KindBindings, type: ResourceType) -> Found:
    name = _MUST_BE_BOUND[type.name]
    if name not in kind.singles:
        yield (table, "attributes"), f"{name} must be bound"
    if not _always_has_value(kind.rdn, kind, type.required_slots):
        yield (
            (table, "rdn"),
            f"each entry needs a value of {kind.rdn}: bind it to {name}, or derive it from that in {table}.derived",
        )


def _too_short(table: str, kind: KindBindings, type: ResourceType) -> Found:
    """Where values that have to be cut could not be kept apart."""
    limits: list[tuple[Key, int | None]] = [
        ((*_key(table, slot), "max"), single.max)
        for slot, single in kind.singles.items()
        if slot in type.slots and type.slots[slot].uniqueness is not Uniqueness.NONE
    ]
    limits += [((table, "derived", name, "max"), derived.max) for name, derived in kind.derived.items()]
    for key, longest in limits:
        if longest is not None and longest < SHORTEST:
            yield (
                key,
                f"must be {SHORTEST} at least: with fewer characters names that have to be cut could become equal",
            )


def _retired(table: str, kind: KindBindings) -> Found:
    """Why retired users could not be told apart from others, or could sign in."""
    if not isinstance(kind, UserBindings) or kind.retired is None:
        return
    key = (table, "retired")
    if is_below(kind.retired, kind.base):
        yield key, f"is in {table}.base, {kind.base}: who is retired could not be told apart; take a place outside it"
    elif is_below(kind.base, kind.retired):
        yield key, f"is around {table}.base, {kind.base}: all would be taken for retired; take a place outside it"
    if kind.lock is Lock.NONE:
        yield key, f"needs {table}.lock: who is retired could still sign in"


def _always_has_value(attribute: str, kind: KindBindings, required: Iterable[Slot]) -> bool:
    """Whether every resource gives that attribute a value."""
    wanted = attribute.lower()
    bound = {slot for slot, single in kind.singles.items() if single.attribute.lower() == wanted}
    derived = next((d for name, d in kind.derived.items() if name.lower() == wanted), Derived(()))
    return not bound.union(derived.slots).isdisjoint(required)


def _named(table: str, kind: KindBindings) -> Iterator[tuple[Key, str]]:
    """Every LDAP attribute that the file names, filters and DNs apart, and where."""
    yield from _uses(table, kind)
    yield (table, "rdn"), kind.rdn
    if kind.version.lower() != _CONTENT:
        yield (table, "version"), kind.version
    for name in kind.derived:
        yield (table, "derived", name), name
    for number, name in enumerate(kind.filled):
        yield (table, "filled", number), name


def _unknown(table: str, kind: KindBindings, subschema: Subschema) -> Found:
    for number, name in enumerate(kind.object_classes):
        if subschema.object_class(name) is None:
            yield (table, "object_classes", number), f"the directory does not know the object class {name}"
    for key, attribute in _named(table, kind):
        if subschema.rule(attribute) is None:
            yield key, f"the directory does not know the attribute {attribute}"


def _other_names(table: str, kind: KindBindings, server: Kind, subschema: Subschema) -> Found:
    """Attributes under names by which they would not be found in what the server answers."""
    if server in _ANSWERS_AS_ASKED:
        return
    for key, attribute in _named(table, kind):
        rule = subschema.rule(attribute)
        written, semicolon, options = attribute.partition(";")
        if rule is not None and rule.name.lower() != written.lower():
            yield key, f"the directory calls {attribute} {rule.name}{semicolon}{options}: write that"


def _not_allowed(table: str, kind: KindBindings, subschema: Subschema) -> Found:
    allowed = subschema.allowed(kind.object_classes)
    derived: list[tuple[Key, str]] = [((table, "derived", name), name) for name in kind.derived]
    for key, attribute in (*_uses(table, kind), *derived):
        rule = subschema.rule(attribute)
        if rule is None or key[1] == "member_of":
            continue
        if rule.no_user_modification:
            yield key, f"the directory lets nobody write {attribute}"
        elif not rule.operational and subschema.key(attribute) not in allowed:
            yield key, f"none of {table}.object_classes allows the attribute {attribute}"


def _not_provided(table: str, kind: KindBindings, server: Kind, subschema: Subschema) -> Found:
    type = "User" if isinstance(kind, UserBindings) else "Group"
    given = {"objectclass", *_FILLED[server], *(subschema.key(name) for name in (*kind.filled, *kind.fixed))}
    if isinstance(kind, GroupBindings) and kind.placeholder is not None:
        given.add(subschema.key(kind.member))
    required = subschema.required(kind.object_classes) - given
    for attribute in sorted(required):
        rule = subschema.rule(attribute)
        names = rule.names if rule else (attribute,)
        if any(_always_has_value(name, kind, (_MUST_BE_BOUND[type],)) for name in names):
            continue
        if isinstance(kind, GroupBindings) and attribute == subschema.key(kind.member):
            yield (table, "member"), f"a class of {table}.object_classes demands {names[0]}: set {table}.placeholder"
        else:
            yield (
                (table, "object_classes"),
                f"a class demands {names[0]}: it must be derived in {table}.derived, or be in {table}.fixed or .filled",
            )


def _unfit_rules(table: str, kind: KindBindings, subschema: Subschema) -> Found:
    held = subschema.rule(kind.held) if kind.held else None
    if held is not None and held.single_valued:
        yield (table, "held"), f"the directory allows {held.name} one value only, and several are needed"
    if isinstance(kind, GroupBindings):
        yield from _unfit_members(table, kind, subschema.rule(kind.member))
    if kind.record is not None:
        return
    for slot, places in kind.lists.items():
        for number, place in enumerate(places):
            rule = subschema.rule(place.parts.get("value", ""))
            if set(place.parts) == {"value"} and rule is not None and rule.single_valued:
                yield (
                    (*_key(table, slot), number, "value"),
                    f"the directory allows {rule.name} one value only, and without a record others have no place",
                )


def _unfit_members(table: str, kind: GroupBindings, rule: Rule | None) -> Found:
    if rule is None or rule.syntax is None:
        return
    if rule.single_valued:
        yield (table, "member"), f"the directory allows {rule.name} one value only"
    if (rule.syntax in _DN_SYNTAXES) is (kind.member_syntax is MemberSyntax.NAME):
        what = "DNs" if rule.syntax in _DN_SYNTAXES else "no DNs"
        key: Key = (table, "member_syntax" if kind.member_syntax is MemberSyntax.NAME else "member")
        yield key, f"values of {rule.name} are {what}"
