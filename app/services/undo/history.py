"""What the records of one resource tell of it: what a value was before a write, and which writes hold now."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from app.control import AuditRecord
from app.control.audit_models import FOUND_DONE, FOUND_UNCLEAR, DamagedRecord, read
from app.scim.attributes import Attribute, Mutability, Returned
from app.scim.query import Delta, ResourceId, Slot, Value
from app.services.journal import DONE, UNCHANGED, UNCLEAR
from app.services.undo.models import OPERATOR

Key = Slot | tuple[str, ResourceId]
"""What one write takes the place of another's in: a slot, or one member of a relation, which is in it or not."""

LIFE: Key = ""
"""The key of whether the resource is there."""

UNKNOWN = object()
"""The value of a key that a record may have written, and that is not kept. It is like no other."""

_GOING = ("retire", "delete")
_COMING = ("create", "restore")
_UNDO = "undo of "
_NUMBERS = re.compile(r"[0-9]+")
_ACTIVE: Slot = "active"

Order = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Told:
    """A record, parsed. `after` is empty where the resource went. Without `whole` its values are not kept. `undoes` are
    the numbers of the records that it took back."""

    record: AuditRecord
    before: Mapping[Slot, Value | None]
    after: Mapping[Slot, Value | None]
    relations: Mapping[str, Delta]
    whole: bool
    undoes: frozenset[int]

    @property
    def seq(self) -> int:
        """Its number."""
        return self.record.seq

    @property
    def order(self) -> Order:
        """Records come in out of turn, so that times tell more of the order of writes than numbers do."""
        return self.record.at, self.record.seq

    @property
    def made(self) -> bool:
        """Whether the write was made, and changed or may have changed something."""
        return self.record.outcome in (DONE, FOUND_DONE)

    @property
    def unclear(self) -> bool:
        """Whether nobody knows if the write was made."""
        return self.record.outcome == FOUND_UNCLEAR or self.record.outcome.endswith(UNCLEAR)

    def writes(self, key: Key) -> bool:
        """Whether the key had the value `value(key)` after it."""
        if key == LIFE:
            return self.record.operation in (*_GOING, *_COMING)
        if not self.whole:
            return True
        if isinstance(key, str):
            return key in self.after
        relation, far = key
        delta = self.relations.get(relation)
        if delta is None:
            return self.record.operation == "create"
        return delta.clear or far in delta.add or far in delta.remove or self.record.operation == "create"

    def value(self, key: Key) -> Value | None:
        """What the key was after it; UNKNOWN where that is not kept."""
        if key == LIFE:
            return self.record.operation in _COMING
        if not self.whole:
            return UNKNOWN
        if isinstance(key, str):
            return self.after[key]
        delta = self.relations.get(key[0])
        return delta is not None and key[1] in delta.add


@dataclass(frozen=True, slots=True)
class Known:
    """A value that a key had, and of what time that is known."""

    value: Value | None
    since: Order


@dataclass(frozen=True, slots=True)
class Writers:
    """The writes of a key that hold: `effective` has the numbers of those that were not taken back, and `lasting` those
    of them that did not only take something back, and so mean something by themselves, the oldest first."""

    effective: frozenset[int]
    lasting: tuple[Told, ...]

    def after(self, told: Told) -> list[Told]:
        """Those lasting ones that came later."""
        return [other for other in self.lasting if other.order > told.order]


class History:
    """The records of one resource, in the order of the writes."""

    def __init__(self, records: Iterable[AuditRecord] = ()) -> None:
        self._all = sorted((parsed(record) for record in records), key=lambda told: told.order)
        self._made = [told for told in self._all if told.made]
        self._orders = [told.order for told in self._all]

    @property
    def names(self) -> list[str]:
        """Every name that the resource had, as far as records tell, the last one first."""
        values = (told.before.get("userName") or told.record.name for told in reversed(self._all))
        return list(dict.fromkeys(str(name) for name in values if name))

    @property
    def was_there(self) -> bool:
        """Whether records tell of it."""
        return bool(self._made)

    @property
    def ends_retired(self) -> bool:
        """Whether the last that records tell of its life is that it was retired."""
        lives = [told.record.operation for told in self._made if told.writes(LIFE)]
        return lives[-1:] == ["retire"]

    def before(self, told: Told, key: Key) -> Known | None:
        """What the key was when that write came, None where no record tells: what was read then, else what the last
        record tells that wrote it. The record need not be one of this resource."""
        if isinstance(key, str) and key in told.before:
            return Known(told.before[key], told.order)
        for earlier in reversed(self._all[: bisect_left(self._orders, told.order)]):
            if earlier.unclear and earlier.writes(key):
                return None
            if not earlier.made and earlier.record.outcome != UNCHANGED:
                continue
            if earlier.made and earlier.whole and isinstance(key, str) and earlier.record.operation in _GOING:
                # The resource was read whole.
                return Known(earlier.before.get(key), earlier.order)
            if earlier.writes(key):
                value = earlier.value(key)
                return None if value is UNKNOWN else Known(value, earlier.order)
            if earlier.made and earlier.record.operation == "create":
                return Known(None, earlier.order)
        return None

    def writers(self, key: Key, cancelled: Collection[int], until: Order | None = None) -> Writers:
        """The writes of a key that hold, when those of the records `cancelled` do not, nor any from `until` on.

        A write was only taken back where all that came after it had left the key as it was. They do not last either.
        """
        orders = {told.seq: told.order for told in self._made if told.writes(key)}
        # What takes a resource away takes back every key of the records that it undoes, and writes none.
        mine = [
            told
            for told in self._made
            if told.seq in orders or (told.record.operation in _GOING and told.undoes & orders.keys())
        ]
        holding = _holding(mine, cancelled)
        spans = [
            (min(orders[seq] for seq in told.undoes & orders.keys()), told.order)
            for told in mine
            if told.seq in holding.effective and told.undoes & orders.keys()
        ]
        lasting = tuple(
            told
            for told in holding.lasting
            if (until is None or told.order < until) and not any(start < told.order < end for start, end in spans)
        )
        return Writers(holding.effective, lasting)

    def later(self, told: Told) -> list[Told]:
        """The writes of any kind that came later and did not only take something back."""
        return [other for other in self._made if other.order > told.order and not other.undoes]

    def undoing(self, number: int, key: Key, cancelled: Collection[int]) -> list[Told]:
        """The writes of a key that took back what the record with that number did, be it one of another resource, and
        hold when those of the records `cancelled` do not."""
        effective = self.writers(key, cancelled).effective
        return [told for told in self._made if told.seq in effective and number in told.undoes and told.writes(key)]

    def is_written_since(self, number: int, key: Key) -> bool:
        """Whether a record that came in after the one with that number wrote the key, or may have."""
        return any(told.seq > number and (told.made or told.unclear) and told.writes(key) for told in self._all)

    def left_between(self, start: Order, end: Order | None = None) -> bool:
        """Whether the resource was retired or deleted, and so out of all groups, in that time; without an end, since
        then."""
        going = (told for told in self._made if told.record.operation in _GOING and start < told.order)
        return any(end is None or told.order < end for told in going)

    def mentioned(self, told: Told, relation: str) -> dict[ResourceId, None]:
        """The far ends that earlier records name."""
        deltas = (t.relations[relation] for t in self._made if t.order < told.order and relation in t.relations)
        return {far: None for delta in deltas for far in (*delta.add, *delta.remove)}

    def knows_all(self, told: Told, relation: str) -> bool:
        """Whether earlier records tell of everyone if it was in the relation when that write came."""
        return any(
            t.whole and (t.record.operation == "create" or (relation in t.relations and t.relations[relation].clear))
            for t in self._made
            if t.order < told.order
        )


def parsed(record: AuditRecord) -> Told:
    """What a record tells. Raises DamagedRecord: what was done with one that somebody spoilt can't be known."""
    found = read(record)
    if found.damaged or found.changes is None:
        raise DamagedRecord(record.seq)
    changes = found.changes
    members: Mapping[str, Mapping[str, Any]] = changes.get("members", {})
    relations = {
        name: Delta(tuple(delta["add"]), tuple(delta["remove"]), delta["clear"]) for name, delta in members.items()
    }
    after = {} if record.operation in _GOING else changes.get("after", {})
    notes = changes.get("notes", ()) if record.integration_id == OPERATOR.integration_id else ()
    undoes = frozenset(int(n) for note in notes if note.startswith(_UNDO) for n in _NUMBERS.findall(note))
    return Told(record, changes.get("before", {}), after, relations, "omitted" not in changes, undoes)


def undo_note(numbers: Iterable[int]) -> str:
    """The note of a write that takes back what these records did; `Told.undoes` has it again."""
    return _UNDO + ", ".join(map(str, sorted(numbers)))


def same(slot: Slot, one: Value | None, other: Value | None) -> bool:
    """Whether two values are one: those of a multi-valued attribute have no order, and who has no value for `active` is
    active."""
    if slot == _ACTIVE:
        return (one is False) == (other is False)
    if isinstance(one, list) and isinstance(other, list):
        return sorted(map(_form, one)) == sorted(map(_form, other))
    return bool(one == other)


def is_secret(attribute: Attribute) -> bool:
    """Whether records hold only that there was a value, or of some part of one."""
    whole = attribute.returned is Returned.NEVER or attribute.mutability is Mutability.WRITE_ONLY
    return whole or any(sub.returned is Returned.NEVER for sub in attribute.sub_attributes)


def _form(element: Any) -> bytes:
    return orjson.dumps(element, option=orjson.OPT_SORT_KEYS)


def _holding(made: list[Told], cancelled: Collection[int]) -> Writers:
    """Goes backwards: what a write took back holds again when that write has been taken back itself."""
    gone = set(cancelled)
    effective: list[Told] = []
    for told in reversed(made):
        if told.seq not in gone:
            gone |= told.undoes
            effective.append(told)
    lasting = tuple(told for told in reversed(effective) if not told.undoes)
    return Writers(frozenset(told.seq for told in effective), lasting)
