"""Takes records back in mind, the latest first, and says what can't be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import Any

from app.scim.query import Delta, ResourceId, Slot, Value
from app.scim.registry import ResourceType
from app.services.undo.history import LIFE, History, Key, Known, Told, Writers, is_secret, same
from app.services.undo.models import Conflict, Idle
from app.services.undo.records import Records
from app.services.undo.scene import Life, Scene, Seen

_SEVERAL = 5
_ALREADY = "nothing of it is left to undo"

Memberships = Mapping[ResourceId, list[tuple[str, str, ResourceId]]]
"""For users the relations that they were ever in: the kind of the holder, the name, the id of the holder."""


class Planner:
    """Changes a scene. Of the resources `created` the creation is taken back too. `retires` says what becomes of a
    user whose creation is taken back: it is retired, or removed. With `trusting` a member of whom nothing earlier is
    known is taken to have come, or gone, by the record."""

    def __init__(
        self,
        scene: Scene,
        records: Records,
        memberships: Memberships,
        created: Collection[tuple[str, ResourceId]],
        *,
        retires: bool,
        trusting: bool,
    ) -> None:
        self.conflicts: list[Conflict] = []
        self.idle: list[Idle] = []
        self.notes: dict[tuple[str, ResourceId], list[str]] = {}
        self._scene = scene
        self._records = records
        self._memberships = memberships
        self._created = created
        self._retires = retires
        self._trusting = trusting
        self._undone: set[int] = set()

    def take_back(self, told: Told, resource_type: ResourceType) -> None:
        """Afterwards the scene is without what the record did, as far as nothing else has come over it."""
        id = told.record.resource_id
        assert id is not None
        seen = self._scene.resource(resource_type.name, id)
        if seen.life is not Life.THERE and (resource_type.name, id) in self._created:
            # Before its creation, which is taken back too, it was not there either.
            self._undone.add(told.seq)
            self.idle.append(Idle(told.seq, _ALREADY))
            return
        one = _Taking(self._scene, self._records, told, resource_type, seen)
        one.undone, one.trusting, one.notes = self._undone, self._trusting, self._notes(one.seen)
        match told.record.operation:
            case "delete":
                one.refuse("what was deleted can't come back under its id")
            case "retire":
                one.bring_back(self._memberships.get(id, []))
            case "create":
                one.take_out(Life.RETIRED if self._retires and resource_type.name == "User" else Life.GONE)
            case "restore":
                one.take_out(Life.RETIRED)
            case _:
                one.put_back()
        self.conflicts += one.conflicts
        if one.stands:
            return
        self._undone.add(told.seq)
        if told.record.operation == "create" and one.changed:
            # What could not be put back goes with it.
            self.conflicts = [c for c in self.conflicts if (c.kind, c.id) != (one.seen.kind, one.seen.id)]
        elif not one.changed and not one.kept:
            self.idle.append(Idle(told.seq, _ALREADY))

    def _notes(self, seen: Seen) -> list[str]:
        return self.notes.setdefault((seen.kind, seen.id), [])


class _Taking:
    """One record that is taken back. `undone` are those that have been taken back before. Afterwards `changed` is true
    where it made a difference, `kept` where something of it stays, and `stands` where that is so because something else
    has come over it."""

    undone: set[int]
    trusting: bool
    notes: list[str]

    def __init__(self, scene: Scene, records: Records, told: Told, resource_type: ResourceType, seen: Seen) -> None:
        self.conflicts: list[Conflict] = []
        self.changed = False
        self.kept = False
        self.stands = False
        self.seen = seen
        self._scene = scene
        self._records = records
        self._told = told
        self._type = resource_type

    @cached_property
    def _history(self) -> History:
        return self._records.of(self.seen.kind, self.seen.id)

    @cached_property
    def _referred(self) -> Mapping[Slot, str]:
        """The slots that have ids of resources, and the kinds of these."""
        return {lookup.via: lookup.kind for lookup in self._type.lookups.values()}

    def refuse(self, reason: str, slot: str = "", *, stands: bool = True, **shown: Any) -> None:
        """There is a conflict, and from now on that key stays as it is."""
        seen, member = self.seen, shown.get("member")
        self._keep(slot if member is None else (slot, member), stands=stands)
        self.conflicts.append(Conflict((self._told.seq,), seen.kind, seen.id, seen.name, reason, slot, **shown))

    def _keep(self, key: Key, *, stands: bool) -> None:
        self.kept = True
        self.stands = self.stands or stands
        self.seen.blocked.setdefault(key, stands)

    def put_back(self) -> None:
        """Take back a change of values and members."""
        if not self._told.whole:
            self.refuse("its values were too many to keep")
        elif self.seen.life is Life.GONE:
            self.refuse(self._absence(self.seen))
        else:
            for slot in self._told.after:
                self._put_slot_back(slot)
            for relation, delta in self._told.relations.items():
                self._put_members_back(relation, delta)
            if self._told.record.operation == "adopt" and self.changed:
                self.notes.append("stays managed")

    def take_out(self, to: Life) -> None:
        """Take back a creation, or a return. Members of groups leave these with it."""
        if self.seen.life is not Life.THERE or not self._holds(LIFE):
            return
        later = [
            told
            for told in self._history.later(self._told)
            if told.seq not in self.undone and self._makes_a_difference(told)
        ]
        if later:
            self.refuse(f"{_listed(later)} changed it since")
            return
        self._look_for_other_programs()
        if self.stands:
            return
        for slot, value in self._told.before.items():
            if self._is_shown(slot):
                self.seen.assign(slot, value, self._told)
        self.seen.move(to, self._told)
        self.changed = True

    def _look_for_other_programs(self) -> None:
        """What is not as the record, or what took a part of it back, left it is refused."""
        told, seen = self._told, self.seen
        for slot, value in told.after.items():
            if self._is_shown(slot):
                left, present = value if self._holds(slot) else told.before.get(slot), seen.values.get(slot)
                if not same(slot, present, left):
                    self.refuse("it was changed since, and not over SCIM", slot, recorded=left, present=present)
        for relation in self._stored_relations():
            delta = told.relations.get(relation, Delta())
            for far in self._scene.look_at_all(seen, relation):
                if far not in delta.add and self._scene.is_member(seen, relation, far):
                    self.refuse("it came in since, and not over SCIM", relation, member=far, present=True)

    def bring_back(self, memberships: list[tuple[str, str, ResourceId]]) -> None:
        """Take back that a user was retired; it is in those groups again that it was in then, as far as that is known
        and nothing has come over it. They are looked at too when it came back by an undo that may not have got to
        them."""
        is_there, holds = self.seen.life is Life.THERE, self._holds(LIFE)
        later = self._writers(self.seen, LIFE).after(self._told)
        if is_there is holds or (is_there and later):
            return
        if self.seen.life is Life.GONE:
            self.refuse("it was removed for good since")
        elif later:
            self.refuse(f"{_listed(later)} changed it since")
        else:
            if not is_there:
                self._return()
            count = sum(self._let_in_again(self._scene.resource(kind, id), name) for kind, name, id in memberships)
            if not is_there or count:
                self.changed = True
                self.notes.append(f"comes back into {count} groups: those that the audit tells of")

    def _return(self) -> None:
        """It is there again, without references to those who have left."""
        self.seen.move(Life.THERE, self._told)
        for slot in self._referred:
            named = self._named(slot, self.seen.values.get(slot))
            if named is not None and self._has_left(named):
                self.seen.assign(slot, None, self._told)

    def _let_in_again(self, holder: Seen, relation: str) -> bool:
        key, history = (relation, self.seen.id), self._records.of(holder.kind, holder.id)
        known = history.before(self._told, key)
        if known is None or known.value is not True or self._history.left_between(known.since, self._told.order):
            return False
        if holder.life is not Life.THERE or self._scene.is_member(holder, *key):
            return False
        # Whom an undo has let in already, another program has taken out since, unless it left the store.
        undoing = history.undoing(self._told.seq, key, self.undone)
        if self._writers(holder, key).after(self._told) or not all(
            self._history.left_between(t.order) for t in undoing
        ):
            return False
        self._scene.set_member(holder, *key, True, self._told)
        return True

    def _put_slot_back(self, slot: Slot) -> None:
        told, seen = self._told, self.seen
        if slot in seen.blocked:
            self._keep(slot, stands=seen.blocked[slot])
            return
        recorded, present = told.after[slot], seen.values.get(slot)
        if slot not in self._type.slots:
            self.refuse("the store has no such attribute any more", slot, recorded=recorded)
            return
        if is_secret(self._type.slots[slot]):
            self.refuse("a secret is not kept", slot, stands=False, recorded=recorded)
            return
        before = self._value_before(told, slot)
        if before is not None and (same(slot, before.value, present) or same(slot, before.value, recorded)):
            return
        writers = self._writers(self.seen, slot)
        if self._is_over(writers):
            return
        reason = self._slot_reason(slot, before, writers)
        if reason is not None:
            self.refuse(reason, slot, recorded=recorded, present=present)
        elif before is not None:
            seen.assign(slot, before.value, told)
            self.changed = True

    def _slot_reason(self, slot: Slot, before: Known | None, writers: Writers) -> str | None:
        """Why the value before can't be put back, None when it can."""
        told = self._told
        recorded = told.after[slot]
        others = [other for other in writers.after(told) if not same(slot, other.value(slot), recorded)]
        if others:
            return f"{_listed(others)} wrote it since"
        if not same(slot, self.seen.values.get(slot), recorded):
            return "it was changed since, and not over SCIM"
        if told.seq not in writers.effective:
            return f"it was undone before, and {_listed(writers.after(told))} wrote it again"
        if before is None:
            return "what it was before is not known"
        other = self._named(slot, before.value)
        return f"whom it named before {self._absence(other)}" if other is not None and self._has_left(other) else None

    def _value_before(self, told: Told, slot: Slot) -> Known | None:
        """What the slot was before the record. A reference to who left the store in the meantime went with that."""
        known, kind = self._history.before(told, slot), self._referred.get(slot)
        if known is None or known.value is None or kind is None:
            return known
        left = self._records.of(kind, str(known.value)).left_between(known.since, told.order)
        return Known(None, known.since) if left else known

    def _named(self, slot: Slot, value: Value | None) -> Seen | None:
        """The resource that a value of the slot refers to."""
        kind = self._referred.get(slot)
        return None if kind is None or value is None else self._scene.resource(kind, str(value))

    def _has_left(self, other: Seen) -> bool:
        """Whether the resource was there and is not any more. One of which nothing tells may still come."""
        known = other.found is not Life.GONE or self._records.of(other.kind, other.id).was_there
        return other.life is not Life.THERE and known

    def _put_members_back(self, relation: str, delta: Delta) -> None:
        if relation not in self._stored_relations():
            self.refuse("the store has no such relation any more", relation)
            return
        ids = self._meant(self._told, relation, delta)
        self._scene.look_at(self.seen, relation, ids)
        self._records.fetch(self._type.relations[relation].target, ids)
        incomplete = delta.clear and not self._history.knows_all(self._told, relation)
        for far in ids:
            self._put_member_back(relation, far, far in delta.add, passes=incomplete)
        if incomplete and relation not in self.seen.blocked:
            self.refuse("it replaced all members, and not all that were there before are known", relation)

    def _put_member_back(self, relation: str, far: ResourceId, recorded: bool, *, passes: bool) -> None:
        """`passes` what is not known."""
        told, seen, key = self._told, self.seen, (relation, far)
        if key in seen.blocked:
            self._keep(key, stands=seen.blocked[key])
            return
        present, before = self._scene.is_member(seen, relation, far), self._was_member(told, relation, far)
        if before is None and present is recorded:
            if passes:
                return
            before = not recorded if self.trusting else None
        elif before is None or before is present or before is recorded:
            return
        writers = self._writers(self.seen, key)
        others = [other for other in writers.after(told) if other.value(key) is not recorded]
        if self._is_over(writers):
            return
        target = self._type.relations[relation].target
        reason = None
        if others:
            reason = f"{_listed(others)} changed that since"
        elif told.seq not in writers.effective:
            reason = f"it was undone before, and {_listed(writers.after(told))} did it again"
        elif before is None:
            reason = f"whether it was {'a member' if recorded else 'none'} before is not known"
        elif before and (other := self._scene.resource(target, far)).life is not Life.THERE:
            reason = f"the member {self._absence(other)}"
        if reason is not None:
            self.refuse(reason, relation, member=far, recorded=recorded, present=present)
        elif before is not None:
            self._scene.set_member(seen, relation, far, before, told)
            self.changed = True

    def _was_member(self, told: Told, relation: str, far: ResourceId) -> bool | None:
        """Whether the far end was in the relation before the record, None where that is not known. Who left the store
        in the meantime was in none."""
        known = self._history.before(told, (relation, far))
        if known is None:
            return None
        target = self._type.relations[relation].target
        left = bool(known.value) and self._records.of(target, far).left_between(known.since, told.order)
        return bool(known.value) and not left

    def _meant(self, told: Told, relation: str, delta: Delta) -> list[ResourceId]:
        """Everyone whom a change of a relation may have let in or put out, as far as records tell."""
        earlier = self._history.mentioned(told, relation) if delta.clear else {}
        return list(dict.fromkeys((*delta.add, *delta.remove, *earlier)))

    def _makes_a_difference(self, told: Told) -> bool:
        """False where nothing holds of it but what, as earlier records tell, was so before: a PATCH may say what is so
        already."""
        if told.writes(LIFE) and self._lasts(told, LIFE):
            return True
        if not told.whole:
            return not told.writes(LIFE)
        return any(self._lasts(told, slot) and self._is_new(told, slot) for slot in told.after) or any(
            self._lets_in_or_out(told, relation, delta) for relation, delta in told.relations.items()
        )

    def _is_new(self, told: Told, slot: Slot) -> bool:
        known = self._value_before(told, slot)
        hidden = slot in self._type.slots and is_secret(self._type.slots[slot])
        return hidden or known is None or not same(slot, known.value, told.after[slot])

    def _lets_in_or_out(self, told: Told, relation: str, delta: Delta) -> bool:
        if relation not in self._stored_relations() or (delta.clear and not self._history.knows_all(told, relation)):
            return True
        return any(
            self._was_member(told, relation, far) is not (far in delta.add) and self._lasts(told, (relation, far))
            for far in self._meant(told, relation, delta)
        )

    def _lasts(self, told: Told, key: Key) -> bool:
        return any(other.seq == told.seq for other in self._writers(self.seen, key).lasting)

    def _holds(self, key: Key) -> bool:
        """Whether what the record did to the key was not taken back."""
        return self._told.seq in self._writers(self.seen, key).effective

    def _is_shown(self, slot: Slot) -> bool:
        return slot in self._type.slots and not is_secret(self._type.slots[slot])

    def _is_over(self, writers: Writers) -> bool:
        """Whether the record was taken back, and what is there now is so by nothing that came later."""
        return self._told.seq not in writers.effective and not writers.after(self._told)

    def _writers(self, seen: Seen, key: Key) -> Writers:
        """The writes of a key that hold, when what has been taken back by now does not."""
        return self._records.of(seen.kind, seen.id).writers(key, self.undone, seen.times.get(key))

    def _stored_relations(self) -> list[str]:
        return [name for name, relation in self._type.relations.items() if relation.stored]

    def _absence(self, seen: Seen) -> str:
        return "is retired" if seen.life is Life.RETIRED else "is not there any more"


def _listed(others: list[Told]) -> str:
    """The records in words, the last ones first."""
    if not others:
        return ""
    last = others[::-1][:_SEVERAL]
    shown = ", ".join(f"{other.seq} ({other.record.actor})" for other in last)
    more = f" and {len(others) - len(last)} more" if len(others) > len(last) else ""
    return f"record {shown}{more}" if len(others) == 1 else f"records {shown}{more}"
