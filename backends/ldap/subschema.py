"""What a directory says of its attribute types and object classes (RFC 4512 section 4)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

# Active Directory writes the OID of a syntax in quotation marks, and no blank after an opening parenthesis.
_TOKEN = re.compile(r"[()$]|'[^']*'|[^\s()$']+")
_ESCAPE = re.compile(r"\\(27|5[Cc])")
_LENGTH = re.compile(r"(?P<oid>[^{]*)\{(?P<length>\d+)\}")
_FLAGS = frozenset(
    ("OBSOLETE", "SINGLE-VALUE", "COLLECTIVE", "NO-USER-MODIFICATION", "ABSTRACT", "STRUCTURAL", "AUXILIARY")
)
_EXTENSIBLE = "1.3.6.1.4.1.1466.101.120.111"
_TELEPHONE = "1.3.6.1.4.1.1466.115.121.1.50"
_TELEPHONE_RULES = frozenset(
    ("telephonenumbermatch", "2.5.13.20", "telephonenumbersubstringsmatch", "2.5.13.21"),
)
_FOLDING_RULES = _TELEPHONE_RULES | {
    *("objectidentifiermatch", "2.5.13.0", "distinguishednamematch", "2.5.13.1", "integermatch", "2.5.13.14"),
    *("caseignorematch", "2.5.13.2", "caseignoresubstringsmatch", "2.5.13.4"),
    *("numericstringmatch", "2.5.13.8", "numericstringsubstringsmatch", "2.5.13.10"),
    *("caseignorelistmatch", "2.5.13.11", "caseignorelistsubstringsmatch", "2.5.13.12"),
    *("caseignoreia5match", "1.3.6.1.4.1.1466.109.114.2"),
    *("caseignoreia5substringsmatch", "1.3.6.1.4.1.1466.109.114.3"),
}
"""Of RFC 4517 section 4.2: those that find a value by an assertion in small letters."""
_EXACT_SYNTAXES = frozenset(
    (
        "1.3.6.1.4.1.1466.115.121.1.26",
        "1.3.6.1.4.1.1466.115.121.1.40",
        "1.3.6.1.4.1.1466.115.121.1.44",
        "1.2.840.113556.1.4.1362",
    )
)
"""String(IA5), String(Octet), String(Printable) and String(Case) of Active Directory, [MS-ADTS] section 3.1.1.2.2."""

Definition = Mapping[str, tuple[str, ...]]
"""Values by keyword; "" has the OID. A flag has none."""


class ClassKind(StrEnum):
    """Kinds of object classes (RFC 4512 section 2.4)."""

    ABSTRACT = "ABSTRACT"
    STRUCTURAL = "STRUCTURAL"
    AUXILIARY = "AUXILIARY"


@dataclass(frozen=True, slots=True)
class Rule:
    """An attribute type, with what it inherits (RFC 4512 section 2.5.1).

    `name` is its first name, or its OID. `syntax` is an OID, None where the server tells none. Matching rules are
    named as the server names them, None where it tells none: Active Directory has none in its subschema. `length` is
    the most characters that the syntax takes as the server says, which RFC 4517 calls a suggestion. `operational`
    attributes need no object class that allows them.
    """

    name: str
    names: tuple[str, ...]
    syntax: str | None
    single_valued: bool
    equality: str | None
    ordering: str | None
    substring: str | None
    no_user_modification: bool
    length: int | None
    operational: bool

    @property
    def folds_equality(self) -> bool:
        """Whether an equality filter finds a value whose letters are small ones in the filter and capitals in it."""
        return self._folds(self.equality)

    @property
    def folds_substrings(self) -> bool:
        """The same of a substrings filter."""
        return self._folds(self.substring)

    @property
    def ignores_hyphens(self) -> bool:
        """Whether values that differ in hyphens only are equal to the server (RFC 4518 section 2.6.3)."""
        named = {matching.lower() for matching in (self.equality, self.substring) if matching}
        return self.syntax == _TELEPHONE or not named.isdisjoint(_TELEPHONE_RULES)

    def _folds(self, matching: str | None) -> bool:
        if matching is None:
            return self.syntax not in _EXACT_SYNTAXES
        return matching.lower() in _FOLDING_RULES


@dataclass(frozen=True, slots=True)
class ObjectClass:
    """An object class without what it inherits; attributes and superiors are named as the server names them."""

    oid: str
    name: str
    names: tuple[str, ...]
    must: tuple[str, ...]
    may: tuple[str, ...]
    superiors: tuple[str, ...]
    kind: ClassKind


class Everything(frozenset[str]):
    """The attributes that an entry with `extensibleObject` may have (RFC 4512 section 4.3)."""

    __slots__ = ()

    def __contains__(self, name: object) -> bool:
        return True


class Subschema:
    """The attribute types and object classes of a directory, found by any of their names or OIDs, without case."""

    def __init__(
        self, attributes: Iterable[Definition], classes: Iterable[Definition], content_rules: Iterable[Definition]
    ) -> None:
        self._definitions = {key: d for d in attributes for key in _keys(d)}
        self._classes = {key: c for c in map(_object_class, classes) for key in _lower((c.oid, *c.names))}
        self._content_rules = {d[""][0]: d for d in content_rules}
        self._rules: dict[str, Rule] = {}
        for definition in self._definitions.values():
            rule = self._rule(definition)
            self._rules.update((key, rule) for key in _keys(definition))

    @classmethod
    def parse(
        cls,
        attribute_types: Iterable[bytes],
        object_classes: Iterable[bytes],
        content_rules: Iterable[bytes] = (),
    ) -> Subschema:
        """The subschema that these values of `attributeTypes`, `objectClasses` and `dITContentRules` describe.

        Active Directory names the auxiliary classes of users and groups in its content rules only. A value that is no
        definition (RFC 4512 section 4.1) is left out: what it defines is not known then.
        """
        return cls(_definitions(attribute_types), _definitions(object_classes), _definitions(content_rules))

    def rule(self, name: str) -> Rule | None:
        """The attribute type of a name or OID; options (`;binary`) do not count. None for one that is not known."""
        found = self._rules.get(name)
        return found if found is not None else self._rules.get(name.partition(";")[0].lower())

    def object_class(self, name: str) -> ObjectClass | None:
        """The object class of a name or OID, or None."""
        return self._classes.get(name.lower())

    def key(self, name: str) -> str:
        """One lower-case name for all the names of an attribute: its first one, or itself where it is not known."""
        rule = self.rule(name)
        return rule.name.lower() if rule else name.partition(";")[0].lower()

    def allowed(self, classes: Iterable[str]) -> frozenset[str]:
        """The keys of the attributes that an entry of these classes may have, those that it must have included."""
        known = list(self._with_superiors(classes))
        if any(c.oid == _EXTENSIBLE for c in known):
            return Everything()
        named = {name for c in known for name in (*c.must, *c.may)}
        rules = [rule for c in known if (rule := self._content_rules.get(c.oid))]
        named |= {name for rule in rules for name in (*rule.get("MUST", ()), *rule.get("MAY", ()))}
        auxiliary = [name for rule in rules for name in rule.get("AUX", ())]
        named |= {name for c in self._with_superiors(auxiliary) for name in (*c.must, *c.may)}
        precluded = {self.key(name) for rule in rules for name in rule.get("NOT", ())}
        return frozenset(self.key(name) for name in named) - precluded

    def required(self, classes: Iterable[str]) -> frozenset[str]:
        """The keys of the attributes that an entry of these classes must have."""
        known = list(self._with_superiors(classes))
        rules = [rule for c in known if (rule := self._content_rules.get(c.oid))]
        named = [name for c in known for name in c.must]
        named += [name for rule in rules for name in rule.get("MUST", ())]
        return frozenset(self.key(name) for name in named)

    def _with_superiors(self, names: Iterable[str]) -> Iterator[ObjectClass]:
        waiting, seen = list(names), set[str]()
        while waiting:
            found = self.object_class(waiting.pop())
            if found is not None and found.oid not in seen:
                seen.add(found.oid)
                waiting.extend(found.superiors)
                yield found

    def _rule(self, definition: Definition) -> Rule:
        line = list(self._with_supertypes(definition))
        usage = _first(definition, "USAGE") or _first(line[-1], "USAGE")
        stated = _inherited(line, "SYNTAX")
        sized = _LENGTH.fullmatch(stated) if stated else None
        names = definition.get("NAME") or definition[""]
        return Rule(
            name=names[0],
            names=names,
            syntax=sized["oid"] if sized else stated,
            single_valued="SINGLE-VALUE" in definition,
            equality=_inherited(line, "EQUALITY"),
            ordering=_inherited(line, "ORDERING"),
            substring=_inherited(line, "SUBSTR"),
            no_user_modification="NO-USER-MODIFICATION" in definition,
            length=int(sized["length"]) if sized else None,
            operational=usage not in (None, "userApplications"),
        )

    def _with_supertypes(self, definition: Definition) -> Iterator[Definition]:
        current: Definition | None = definition
        seen = set[str]()
        while current is not None and current[""][0] not in seen:
            seen.add(current[""][0])
            yield current
            current = self._definitions.get((_first(current, "SUP") or "").lower())


def _inherited(line: Iterable[Definition], keyword: str) -> str | None:
    return next((value for definition in line if (value := _first(definition, keyword))), None)


def _first(definition: Definition, keyword: str) -> str | None:
    return next(iter(definition.get(keyword, ())), None)


def _lower(names: Iterable[str]) -> Iterator[str]:
    return (name.lower() for name in names)


def _keys(definition: Definition) -> Iterator[str]:
    return _lower((*definition[""], *definition.get("NAME", ())))


def _object_class(definition: Definition) -> ObjectClass:
    oid = definition[""][0]
    names = definition.get("NAME") or (oid,)
    return ObjectClass(
        oid=oid,
        name=names[0],
        names=names,
        must=definition.get("MUST", ()),
        may=definition.get("MAY", ()),
        superiors=definition.get("SUP", ()),
        kind=next((kind for kind in ClassKind if kind.value in definition), ClassKind.STRUCTURAL),
    )


def _definitions(values: Iterable[bytes]) -> list[Definition]:
    return [found for value in values if (found := _definition(value.decode("utf-8", "replace"))) is not None]


def _definition(text: str) -> Definition | None:
    """Keywords and values of a definition in parentheses, or None."""
    tokens = _TOKEN.findall(text)
    if len(tokens) < 3 or tokens[0] != "(" or tokens[-1] != ")" or tokens[1] in ("(", ")", "$"):
        return None
    found: dict[str, tuple[str, ...]] = {"": (_unquoted(tokens[1]),)}
    at, end = 2, len(tokens) - 1
    while at < end:
        keyword = tokens[at]
        at += 1
        values: list[str] = []
        if keyword not in _FLAGS and at < end:
            at = _argument(tokens, at, values)
        found[keyword] = tuple(values)
    return found


def _argument(tokens: list[str], at: int, values: list[str]) -> int:
    """Put the value or the values in parentheses that start there into `values`; the place after them."""
    if tokens[at] != "(":
        values.append(_unquoted(tokens[at]))
        return at + 1
    at += 1
    while at < len(tokens) - 1 and tokens[at] != ")":
        if tokens[at] != "$":
            values.append(_unquoted(tokens[at]))
        at += 1
    return at + 1


def _unquoted(token: str) -> str:
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)), token[1:-1]) if token.startswith("'") else token
