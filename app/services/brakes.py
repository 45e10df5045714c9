"""Brakes: an identity provider that deactivates, deletes or removes too much at once is stopped."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import Lock

import structlog

from app.control import ControlUnavailable
from app.control.brakes import Brakes as Spending
from app.control.managed import Managed
from app.control.models import Spent
from app.scim.query import Change, Delta, ResourceId, Slot, Value
from app.services.journal import Actor
from app.services.remit import Remitted
from backends.base import Backend
from backends.errors import Unavailable
from config.settings import BrakesSettings

_RETRY_SECONDS = 300
_COUNTED_SECONDS = 60.0
_RESERVED_SECONDS = 60.0
_QUICK_SECONDS = 5.0
_PARTS = 50
_IDS = 100

COUNTED: frozenset[Slot] = frozenset(("active",))
"""By what these were before a change of them it is seen whether the change counts."""

DEACTIVATIONS, DELETIONS, MEMBER_REMOVALS = "deactivations", "deletions", "member_removals"

_log = structlog.get_logger("landfall.brakes")


class Braked(Exception):
    """The integration has done too much of this of late. `detail` is for clients, `retry_after` is in seconds;
    `applies` says that it is this request by which the brake comes to be applied."""

    def __init__(self, effect: str, integration: str, *, applies: bool) -> None:
        self.effect, self.integration, self.applies = effect, integration, applies
        words = effect.replace("_", " ")
        self.detail = f"a brake on {words} is applied: an operator has to release it (landfall brakes release)"
        self.retry_after = _RETRY_SECONDS
        super().__init__(f"brake on {words}")


@dataclass(frozen=True, slots=True)
class _Reserved:
    """What is left of what was counted as spent at `at`."""

    at: float
    left: int


class Brakes:
    """Asked before each write to the store. What has no such effect costs nothing, and what the store refuses counts
    as nothing.

    Of a large limit a part is reserved at a time while writes come in quick succession, so that not each of them has to
    ask the control store: what is reserved counts as spent until it is known to be spare. A brake may be applied that
    much too early, and never too late.
    """

    def __init__(
        self,
        spending: Spending,
        managed: Managed,
        backend: Backend,
        settings: BrakesSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._spending = spending
        self._managed = managed
        self._backend = backend
        self._settings = settings
        self._users: tuple[float, int] = (0.0, 0)
        self._reserved: dict[tuple[str, str], _Reserved] = {}
        self._lock = Lock()

    @contextmanager
    def changing(
        self, actor: Actor, kind: str, id: ResourceId, change: Change, before: Mapping[Slot, Value] | None = None
    ) -> Iterator[None]:
        """The integration makes the change in the block; `before` has the values where they were read, else whether
        someone is active is read when it matters. Raises Braked, NotFound, and rather than Braked what the store would
        raise because the resource is protected or not in the remit."""
        effects: dict[str, int] = {}
        if change.values.get("active") is False and self._settings.deactivations:
            known = self._backend.get(kind, id, COUNTED).values if before is None else before
            if known.get("active") is not False:
                effects[DEACTIVATIONS] = 1
        limit = self._limit(MEMBER_REMOVALS) if change.relations else None
        if limit is not None:
            deltas = change.relations.items()
            effects[MEMBER_REMOVALS] = sum(self._removed(kind, id, name, delta, limit) for name, delta in deltas)
        with self._spent(actor, effects, lambda: self._admit(kind, id, change.values)):
            yield

    @contextmanager
    def deleting(self, actor: Actor, kind: str, id: ResourceId) -> Iterator[None]:
        """The integration deletes the resource in the block; a group that goes loses its members. Raises as
        `changing` does."""
        effects = {DELETIONS: 1}
        relations = [r.attribute.name for r in self._backend.registry.type(kind).relations.values() if r.stored]
        limit = self._limit(MEMBER_REMOVALS) if relations else None
        if limit is not None:
            gone = Delta(clear=True)
            effects[MEMBER_REMOVALS] = sum(self._removed(kind, id, name, gone, limit) for name in relations)
        with self._spent(actor, effects, lambda: self._admit(kind, id, None)):
            yield

    def limits(self) -> dict[str, int]:
        """How much of each effect an integration may have in the window at present; without those that have no
        limit."""
        found = {effect: self._limit(effect) for effect in (DEACTIVATIONS, DELETIONS, MEMBER_REMOVALS)}
        return {effect: limit for effect, limit in found.items() if limit is not None}

    def _removed(self, kind: str, id: ResourceId, relation: str, delta: Delta, limit: int) -> int:
        """How many go that are there; of more than the limit there are no more counted."""
        if delta.clear:
            kept = set(delta.add)
            held = (reference.id for _, reference in self._backend.related(kind, [id], relation))
            going: Iterator[ResourceId] = (far for far in held if far not in kept)
        else:
            going = self._among(kind, id, relation, delta.remove)
        return sum(1 for _ in itertools.islice(going, limit + 1))

    def _among(self, kind: str, id: ResourceId, relation: str, ids: Sequence[ResourceId]) -> Iterator[ResourceId]:
        """Those of the ids that the relation holds. They are asked, for they have few groups and a group may have many
        members."""
        there = self._backend.registry.type(kind).relations[relation]
        for start in range(0, len(ids), _IDS):
            pairs = self._backend.related(there.target, ids[start : start + _IDS], there.inverse)
            yield from dict.fromkeys(far for far, reference in pairs if reference.id == id)

    def _admit(self, kind: str, id: ResourceId, values: Mapping[Slot, Value | None] | None) -> None:
        """Return when neither protection nor the remit forbids the change, or with None the deletion."""
        if not isinstance(self._backend, Remitted):
            return
        if values is None:
            self._backend.admit_removal(kind, id)
        else:
            self._backend.admit(kind, id, values)

    @contextmanager
    def _spent(self, actor: Actor, effects: Mapping[str, int], admit: Callable[[], None]) -> Iterator[None]:
        """So much of the effects comes about in the block, and nothing when it raises."""
        spent: dict[str, int] = {}
        try:
            for effect, count in effects.items():
                if count and (limit := self._limit(effect)) is not None:
                    self._spend(actor, effect, count, limit, admit)
                    spent[effect] = count
            yield
        except (Unavailable, ControlUnavailable):
            # It may have been done all the same.
            raise
        except Exception:
            for effect, count in spent.items():
                self._give_back(actor.integration_id, effect, count)
            raise

    def _spend(self, actor: Actor, effect: str, count: int, limit: int, admit: Callable[[], None]) -> None:
        key, now = (actor.integration_id, effect), self._clock()
        with self._lock:
            held = self._reserved.get(key)
            if held is not None and held.left >= count and now - held.at < _RESERVED_SECONDS:
                self._reserved[key] = replace(held, left=held.left - count)
                return
            self._reserved[key] = _Reserved(now, 0)
        if held is not None and held.left:
            self._give_back(*key, held.left, age=now - held.at)
        quick = held is not None and now - held.at < _QUICK_SECONDS
        part = max(count, limit // _PARTS) if quick else count
        if not self._allows(actor, effect, count, part, limit):
            # What is not allowed in any case applies no brake.
            admit()
            spent = self._ask(actor, effect, count, limit, applies=True)
            if spent is not Spent.ALLOWED:
                minutes = self._settings.window_minutes
                _log.error("brake applied", integration=actor.name, effect=effect, limit=limit, minutes=minutes)
                raise Braked(effect, actor.name, applies=spent is Spent.APPLIES)

    def _allows(self, actor: Actor, effect: str, count: int, part: int, limit: int) -> bool:
        """Whether there is room for `count`, which is spent then; with all of `part` what is more than that is
        reserved."""
        for wanted in dict.fromkeys((part, count)):
            if self._ask(actor, effect, wanted, limit, applies=False) is Spent.ALLOWED:
                key = (actor.integration_id, effect)
                with self._lock:
                    left = self._reserved[key].left + wanted - count
                    self._reserved[key] = _Reserved(self._clock(), left)
                return True
        return False

    def _ask(self, actor: Actor, effect: str, count: int, limit: int, *, applies: bool) -> Spent:
        minutes = self._settings.window_minutes
        return self._spending.spend(actor.integration_id, effect, count, limit=limit, minutes=minutes, applies=applies)

    def _give_back(self, integration_id: str, effect: str, count: int, *, age: float = 0.0) -> None:
        try:
            self._spending.give_back(integration_id, effect, count, age=age)
        except ControlUnavailable as error:
            _log.warning("a brake counts more than was done", effect=effect, count=count, cause=str(error))

    def _limit(self, effect: str) -> int | None:
        number: int = getattr(self._settings, effect)
        return max(number, self._share()) if number else None

    def _share(self) -> int:
        """So many as the share of the managed users is; they are counted once a minute."""
        if not self._settings.share:
            return 0
        at, users = self._users
        now = self._clock()
        if not at or now - at > _COUNTED_SECONDS:
            users = self._managed.count("User")
            self._users = (now, users)
        return users * self._settings.share // 100
