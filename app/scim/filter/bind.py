"""Parsed to Bound: each path an attribute, each operand typed, illegal operators refused (RFC 7644 section 3.4.2.2)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.scim.attributes import Attribute, Returned, Type
from app.scim.errors import InvalidFilter, Sensitive
from app.scim.filter.nodes import (
    And,
    AttrPath,
    Bound,
    Compare,
    Constant,
    Literal,
    Not,
    Op,
    Or,
    Parsed,
    ParsedAnd,
    ParsedCompare,
    ParsedNot,
    ParsedOr,
    ParsedPresent,
    ParsedValuePath,
    Present,
    Some,
)
from app.scim.fold import fold
from app.scim.locations import located_id
from app.scim.registry import (
    ID,
    META,
    META_LOCATION,
    META_RESOURCE_TYPE,
    META_VERSION,
    SCHEMAS_ATTRIBUTE,
    ResourceType,
)
from app.scim.types import comparable, instant

_EQUALITY = frozenset((Op.EQ, Op.NE))
_SUBSTRING = frozenset((Op.CO, Op.SW, Op.EW))
_ORDER = frozenset((Op.GT, Op.GE, Op.LT, Op.LE))
_OPERATORS = {
    Type.STRING: _EQUALITY | _SUBSTRING | _ORDER,
    Type.BOOLEAN: _EQUALITY,
    Type.DECIMAL: _EQUALITY | _ORDER,
    Type.INTEGER: _EQUALITY | _ORDER,
    Type.DATE_TIME: _EQUALITY | _ORDER,
    Type.BINARY: _EQUALITY,
    Type.REFERENCE: _EQUALITY | _SUBSTRING,
}
_TRUE = Constant(True)
_FALSE = Constant(False)


def bind(parsed: Parsed, resource_type: ResourceType, *, base: str = "") -> Bound:
    """The filter in terms of one resource type. `base` is the SCIM base URI, for meta.location and `$ref`.

    An attribute that no schema of the type defines counts as unassigned. Raises InvalidFilter when an operator or
    operand does not fit, Sensitive for an attribute that is never returned.
    """
    return _Binder(resource_type, base).bind(parsed)


def bind_element(where: Parsed, attribute: Attribute, *, base: str = "") -> Bound:
    """A value filter in terms of the sub-attributes of one multi-valued (or complex) attribute."""
    if isinstance(where, ParsedNot):
        return Not(bind_element(where.item, attribute, base=base))
    if isinstance(where, ParsedAnd):
        return And(tuple(bind_element(i, attribute, base=base) for i in where.items))
    if isinstance(where, ParsedOr):
        return Or(tuple(bind_element(i, attribute, base=base) for i in where.items))
    test = _inside(where)
    if attribute.sub_attributes:
        leaf = attribute.sub(test.path.name)
    else:
        leaf = attribute if test.path.name.lower() == "value" else None
    return _leaf_test(test, leaf, attribute, base)


def _inside(test: ParsedCompare | ParsedPresent | ParsedValuePath) -> ParsedCompare | ParsedPresent:
    """The test, which names a sub-attribute by its name alone."""
    if isinstance(test, ParsedValuePath):
        raise InvalidFilter("brackets may not stand inside brackets")
    if test.path.urn or test.path.sub:
        raise InvalidFilter(f"'{test.path}' may not stand inside brackets")
    return test


def _of_meta(where: Parsed) -> Parsed:
    """What stands in brackets behind `meta`, with full paths."""
    if isinstance(where, ParsedNot):
        return ParsedNot(_of_meta(where.item))
    if isinstance(where, ParsedAnd | ParsedOr):
        return replace(where, items=tuple(map(_of_meta, where.items)))
    test = _inside(where)
    return replace(test, path=AttrPath("", META.name, test.path.name))


def _leaf_test(test: ParsedCompare | ParsedPresent, leaf: Attribute | None, owner: Attribute, base: str) -> Bound:
    if isinstance(test, ParsedPresent):
        return Present(_told_by(leaf, owner)) if leaf else _FALSE
    if leaf is None:
        return _unassigned(test)
    if leaf.refers_to_resources and owner.sub("value"):
        return _reference(test, owner, base)
    return _compare(leaf, test.op, test.value)


def _told_by(leaf: Attribute, owner: Attribute) -> Attribute:
    """The sub-attribute that tells whether a leaf has a value: each value of a relation has its `$ref` from its id."""
    value = owner.sub("value")
    return value if value and owner.multi_valued and leaf.refers_to_resources else leaf


def _unassigned(test: ParsedCompare) -> Bound:
    """A comparison with an attribute that has no value: only `ne` something and `eq null` hold."""
    return Constant((test.op is Op.NE) != (test.value is None and test.op in _EQUALITY))


def _compare(leaf: Attribute, op: Op, value: Literal) -> Bound:
    if value is None:
        if op not in _EQUALITY:
            raise InvalidFilter(f"null can't be compared with '{op}'")
        return Not(Present(leaf)) if op is Op.EQ else Present(leaf)
    if op not in _OPERATORS[leaf.type]:
        raise InvalidFilter(f"'{op}' can't be applied to {leaf.path}, which is of type {leaf.type}")
    operand = _operand(leaf, value)
    if op is Op.NE:
        return Not(_equal(leaf, operand))
    if op is Op.EQ:
        return _equal(leaf, operand)
    if op in _SUBSTRING and operand == "":
        return Present(leaf)
    return Compare(leaf, op, operand)


def _equal(leaf: Attribute, operand: str | bool | int | float) -> Bound:
    if leaf.name == "primary" and operand is False:
        # An absent primary counts as false (RFC 7643 section 2.4).
        return Not(Compare(leaf, Op.EQ, True))
    return Compare(leaf, Op.EQ, operand)


def _operand(leaf: Attribute, value: str | bool | int | float) -> str | bool | int | float:
    if leaf.type is Type.BOOLEAN:
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        fits = isinstance(value, bool)
    elif leaf.type in (Type.INTEGER, Type.DECIMAL):
        fits = isinstance(value, int | float) and not isinstance(value, bool)
    else:
        fits = isinstance(value, str)
    if not fits:
        raise InvalidFilter(f"the operand does not fit {leaf.path}, which is of type {leaf.type}")
    if leaf.type is Type.DATE_TIME:
        try:
            return instant(str(value))
        except ValueError:
            raise InvalidFilter(f"the operand for {leaf.path} is not a dateTime") from None
    made: str | bool | int | float = comparable(leaf, value)
    return made


def _reference(test: ParsedCompare, owner: Attribute, base: str) -> Bound:
    """`$ref` is the URI of the resource whose id is `value`, so equality of one is equality of the other."""
    value = owner.sub("value")
    reference = owner.sub("$ref")
    assert value is not None
    assert reference is not None
    if test.value is None:
        return _compare(value, test.op, None)
    if test.op not in _EQUALITY or not isinstance(test.value, str):
        raise InvalidFilter(f"only eq and ne with a URI can be applied to {reference.path}")
    equal: Bound = _FALSE
    for kind in reference.reference_types:
        if id := located_id(test.value, base, f"/{kind}s"):
            equal = Compare(value, Op.EQ, id)
    return Not(equal) if test.op is Op.NE else equal


@dataclass(frozen=True, slots=True)
class _Binder:
    resource_type: ResourceType
    base: str

    def bind(self, node: Parsed) -> Bound:
        if isinstance(node, ParsedNot):
            return Not(self.bind(node.item))
        if isinstance(node, ParsedAnd):
            return And(tuple(self.bind(i) for i in node.items))
        if isinstance(node, ParsedOr):
            return Or(tuple(self.bind(i) for i in node.items))
        if isinstance(node, ParsedValuePath):
            return self._value_path(node)
        return self._test(node)

    def _value_path(self, node: ParsedValuePath) -> Bound:
        attribute = self.resource_type.find(node.path)
        if attribute is None:
            return Constant(isinstance(node.then, ParsedCompare) and node.then.op is Op.NE)
        if attribute.type is not Type.COMPLEX and not attribute.multi_valued:
            raise InvalidFilter(f"{attribute.path} has no values to select from")
        if attribute is SCHEMAS_ATTRIBUTE:
            raise InvalidFilter("schemas takes no brackets: compare it itself")
        if attribute is META:
            # It has one value, so that each of its sub-attributes may as well be named by itself.
            where = self.bind(_of_meta(node.where))
            return where if node.then is None else And((where, self.bind(_of_meta(node.then))))
        where = bind_element(node.where, attribute, base=self.base)
        if node.then is not None:
            where = And((where, bind_element(node.then, attribute, base=self.base)))
        return Some(attribute, where) if attribute.multi_valued else where

    def _test(self, test: ParsedCompare | ParsedPresent) -> Bound:
        attribute = self.resource_type.find(test.path)
        if attribute is None:
            return _FALSE if isinstance(test, ParsedPresent) else _unassigned(test)
        if attribute.returned is Returned.NEVER:
            raise Sensitive(f"{attribute.path} can't be asked about")
        if attribute is SCHEMAS_ATTRIBUTE:
            return self._schemas(test)
        if attribute is ID or attribute is META or self.resource_type.parents.get(attribute.path) is META:
            return self._common(attribute, test)
        owner = self.resource_type.parents.get(attribute.path, attribute)
        if owner.multi_valued:
            return self._multi_valued(owner, attribute, test)
        if attribute.type is Type.COMPLEX:
            return self._complex(attribute, test)
        return _leaf_test(test, attribute, owner, self.base)

    def _complex(self, attribute: Attribute, test: ParsedCompare | ParsedPresent) -> Bound:
        if isinstance(test, ParsedPresent):
            return Or(tuple(Present(s) for s in attribute.sub_attributes if s.path in self.resource_type.slots))
        value = attribute.sub("value")
        if value is None:
            raise InvalidFilter(f"{attribute.path} is complex: name one of its sub-attributes")
        return _compare(value, test.op, test.value)

    def _multi_valued(self, owner: Attribute, named: Attribute, test: ParsedCompare | ParsedPresent) -> Bound:
        if isinstance(test, ParsedPresent):
            return Some(owner, _TRUE if named is owner else Present(_told_by(named, owner)))
        leaf = named
        if named is owner and owner.sub_attributes:
            value = owner.sub("value")
            if value is None:
                raise InvalidFilter(f"{owner.path} is complex: name one of its sub-attributes")
            leaf = value
        if test.value is None and test.op is Op.EQ:
            return Not(Some(owner, Present(leaf)))
        return Some(owner, _leaf_test(test, leaf, owner, self.base))

    def _common(self, attribute: Attribute, test: ParsedCompare | ParsedPresent) -> Bound:
        if isinstance(test, ParsedPresent):
            return _TRUE
        if attribute is META:
            raise InvalidFilter("meta is complex: name one of its sub-attributes")
        if attribute is META_RESOURCE_TYPE:
            return _constant_text(attribute, test, self.resource_type.name)
        if attribute is META_LOCATION and test.value is not None:
            return self._location(test)
        if attribute is META_VERSION and test.op not in _EQUALITY:
            raise InvalidFilter("only eq and ne can be applied to meta.version")
        if attribute is META_VERSION and isinstance(test.value, str):
            return _compare(attribute, test.op, test.value.removeprefix("W/").strip('"'))
        return Constant(test.op is Op.NE) if test.value is None else _compare(attribute, test.op, test.value)

    def _location(self, test: ParsedCompare) -> Bound:
        if test.op not in _EQUALITY or not isinstance(test.value, str):
            raise InvalidFilter("only eq and ne with a URI can be applied to meta.location")
        id = located_id(test.value, self.base, self.resource_type.endpoint)
        equal: Bound = Compare(ID, Op.EQ, id) if id else _FALSE
        return Not(equal) if test.op is Op.NE else equal

    def _schemas(self, test: ParsedCompare | ParsedPresent) -> Bound:
        """A resource's schemas are its base schema and the extensions that it has an attribute of."""
        if isinstance(test, ParsedPresent) or test.value is None:
            return Constant(isinstance(test, ParsedPresent) or test.op is Op.NE)
        found: list[Bound] = []
        for schema in self.resource_type.schemas:
            if _text_matches(test, fold(schema.id), case_exact=False):
                if schema is self.resource_type.schema:
                    return _TRUE
                found.append(self._extension_present(schema.id))
        return Or(tuple(found)) if found else _FALSE

    def _extension_present(self, urn: str) -> Bound:
        tests: list[Bound] = []
        for slot, attribute in self.resource_type.slots.items():
            if slot.startswith(f"{urn}:"):
                tests.append(Some(attribute, _TRUE) if attribute.multi_valued else Present(attribute))
        return Or(tuple(tests))


def _constant_text(attribute: Attribute, test: ParsedCompare, text: str) -> Bound:
    if test.value is None:
        return Constant(test.op is Op.NE)
    return Constant(_text_matches(test, text, case_exact=attribute.case_exact))


def _text_matches(test: ParsedCompare, text: str, *, case_exact: bool) -> bool:
    if not isinstance(test.value, str):
        raise InvalidFilter(f"the operand does not fit {test.path}")
    wanted = test.value if case_exact else fold(test.value)
    results = {
        Op.EQ: text == wanted,
        Op.NE: text != wanted,
        Op.CO: wanted in text,
        Op.SW: text.startswith(wanted),
        Op.EW: text.endswith(wanted),
    }
    if test.op not in results:
        raise InvalidFilter(f"'{test.op}' can't be applied to {test.path}")
    return results[test.op]
