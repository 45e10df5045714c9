"""Brakes: an identity provider that deactivates, deletes or removes too much at once is stopped."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from threading import Lock

import structlog

from app.control.brakes import Brakes as Spending
from app.control.managed import Managed
from app.control.models import Spent
from app.scim.query import Change, Delta, ResourceId, Slot, Value
from app.services.journal import Actor
from backends.base import Backend
from config.settings import BrakesSettings

_RETRY_SECONDS = 300
_COUNTED_SECONDS = 60.0
_RESERVED_SECONDS = 60.0
_PARTS = 50

_ACTIVE = frozenset(("active",))

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


class Brakes:
    """Asked before each write to the store. What has no such effect costs nothing.

    Of a large limit a part is reserved at a time, so that not each write has to ask the control store: what is reserved
    counts as spent. A brake may be applied that much too early, and never too late.
    """

    def __init__(self, spending: Spending, managed: Managed, backend: Backend, settings: BrakesSettings) -> None:
        self._spending = spending
        self._managed = managed
        self._backend = backend
        self._settings = settings
        self._users: tuple[float, int] = (0.0, 0)
        self._reserved: dict[tuple[str, str], tuple[float, int]] = {}
        self._lock = Lock()

    def allow_change(
        self, actor: Actor, kind: str, id: ResourceId, change: Change, before: Mapping[Slot, Value] | None = None
    ) -> None:
        """Return when the integration may make the change; `before` has the values where they were read, else whether
        someone is active is read when it matters. Raises Braked, NotFound."""
        if change.values.get("active") is False and self._settings.deactivations:
            known = self._backend.get(kind, id, _ACTIVE).values if before is None else before
            if known.get("active") is not False:
                self._spend(actor, DEACTIVATIONS, 1)
        limit = self._limit(MEMBER_REMOVALS) if change.relations else None
        if limit is not None:
            removed = sum(self._removed(kind, id, name, delta, limit) for name, delta in change.relations.items())
            if removed:
                self._spend(actor, MEMBER_REMOVALS, removed)

    def allow_delete(self, actor: Actor) -> None:
        """Return when the integration may delete a resource. Raises Braked."""
        self._spend(actor, DELETIONS, 1)

    def limits(self) -> dict[str, int]:
        """How much of each effect an integration may have in the window at present; without those that have no
        limit."""
        found = {effect: self._limit(effect) for effect in (DEACTIVATIONS, DELETIONS, MEMBER_REMOVALS)}
        return {effect: limit for effect, limit in found.items() if limit is not None}

    def _removed(self, kind: str, id: ResourceId, relation: str, delta: Delta, limit: int) -> int:
        """How many go; of more than the limit there are no more counted."""
        if not delta.clear:
            return len(delta.remove)
        kept = set(delta.add)
        held = (reference.id for _, reference in self._backend.related(kind, [id], relation))
        return sum(1 for _ in itertools.islice((far for far in held if far not in kept), limit + 1))

    def _spend(self, actor: Actor, effect: str, count: int) -> None:
        limit = self._limit(effect)
        if limit is None:
            return
        minutes, key, now = self._settings.window_minutes, (actor.integration_id, effect), time.monotonic()
        with self._lock:
            at, left = self._reserved.get(key, (now, 0))
            left = left if now - at < _RESERVED_SECONDS else 0
            self._reserved[key] = (at, max(left - count, 0))
        if left >= count:
            return
        more = max(count - left, limit // _PARTS)
        spent = self._spending.spend(actor.integration_id, effect, more, limit=limit, minutes=minutes)
        if spent is not Spent.ALLOWED:
            _log.error("brake applied", integration=actor.name, effect=effect, limit=limit, minutes=minutes)
            raise Braked(effect, actor.name, applies=spent is Spent.APPLIES)
        with self._lock:
            self._reserved[key] = (now, self._reserved[key][1] + left + more - count)

    def _limit(self, effect: str) -> int | None:
        number: int = getattr(self._settings, effect)
        return max(number, self._share()) if number else None

    def _share(self) -> int:
        """So many as the share of the managed users is; they are counted once a minute."""
        if not self._settings.share:
            return 0
        at, users = self._users
        now = time.monotonic()
        if not at or now - at > _COUNTED_SECONDS:
            users = self._managed.count("User")
            self._users = (now, users)
        return users * self._settings.share // 100
