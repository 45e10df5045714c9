"""What processes left that ended in the midst of writing: the store is asked what became of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import orjson
import structlog

from app.control import AuditRecord, AuditTrail, ControlError, Entry, Wanted
from app.control.audit_models import FOUND_DONE, FOUND_NOT_DONE, FOUND_UNCLEAR, microseconds
from app.scim.filter.nodes import Compare, Op
from app.scim.query import Query, Resource, Window
from app.scim.registry import Registry, ResourceType
from app.scim.types import comparable
from app.services.audit.lines import Story, take_in
from app.services.audit.moving import Sink, move, set_aside
from app.services.audit.spool import Spools
from app.services.journal import SET, UNCLEAR
from backends.base import Backend, Capability
from backends.errors import NotFound, RejectedValue, StoreError, TooManyCandidates, VersionMismatch

T = TypeVar("T")

_SLACK = 2_000_000
"""How far the clock of a store may be off, with times that are whole seconds, in microseconds."""
_NAMES = ("userName", "displayName", "externalId")
_GONE = ("delete", "retire")
_RETIRABLE = "User"
_ACTIVE = "active"
_WITNESSES = 20
"""Members that are missing of which one is looked for that exists: of those that are no more nothing can be told."""
_OF_STORES = (ControlError, StoreError, OSError, MemoryError)
_OF_VALUES = (RejectedValue, TooManyCandidates)
_log = structlog.get_logger("landfall.audit")


@dataclass(frozen=True, slots=True)
class Recovered:
    """How many records of ended processes came into the trail, how many of these had no outcome of their own, and how
    many are left because they are too young to judge."""

    moved: int = 0
    settled: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A write of which the store alone does not tell whether it was made: the resource as it was found, and the slots
    and members in which it is not as the write was to leave it."""

    story: Story
    found: Resource
    slots: set[str]
    ids: set[str]


class Recovery:
    """Looks after the spools that were left.

    `grace` is in seconds: for that long after a process began a write its store may still be at work on it, although
    the process is no more.
    """

    def __init__(
        self,
        trail: AuditTrail,
        spools: Spools,
        backend: Backend,
        registry: Registry,
        *,
        grace: float,
        sink: Sink | None = None,
    ) -> None:
        self._trail = trail
        self._spools = spools
        self._backend = backend
        self._registry = registry
        self._grace = grace
        self._sink = sink

    def run(self, catch_up: Callable[[], None]) -> Recovered:
        """Afterwards everything that was left is in the trail, save what is too young; nothing is done while another
        process is at it. `catch_up` returns when records of living processes have had time to come into the trail.

        Of a write that can't be judged, whatever the reason is that lies in what is told of it, nothing is claimed.

        Raises OSError, ControlUnavailable and what a store reports; what is done then stays done.
        """
        with self._spools.alone() as mine:
            if not mine:
                return Recovered()
            with self._spools.left() as left:
                open_stories: list[tuple[int, Story]] = []
                moved = 0
                for number, (_, lines) in enumerate(left):
                    begun: dict[str, Story] = {}
                    strange: list[bytes] = []
                    ended = take_in(lines, begun, strange)
                    set_aside(self._spools.aside, strange)
                    self._move(*(story.entry() for story in ended))
                    moved += len(ended)
                    open_stories.extend((number, story) for story in begun.values())
                settled, kept = self._settle(open_stories, catch_up)
                for number, (path, _) in enumerate(left):
                    if number not in kept:
                        path.unlink(missing_ok=True)
                return Recovered(moved + settled, settled, len(open_stories) - settled)

    def _settle(self, stories: list[tuple[int, Story]], catch_up: Callable[[], None]) -> tuple[int, set[int]]:
        kept: set[int] = set()
        doubts: list[_Doubt] = []
        latest = (time.time() - self._grace) * 1_000_000
        for number, story in sorted(stories, key=lambda pair: pair[1].at):
            if story.at > latest:
                kept.add(number)
                continue
            judged = self._told(story, partial(self._judged, story))
            if isinstance(judged, _Doubt):
                doubts.append(judged)
            else:
                self._move(judged)
        if doubts:
            # By then the records of what others had written when the store was asked are in the trail.
            catch_up()
            for doubt in doubts:
                # What one record says was created no other one created.
                self._move(self._told(doubt.story, partial(self._reconsidered, doubt)))
        return len([story for _, story in stories if story.at <= latest]), kept

    def _move(self, *entries: Entry) -> None:
        move(self._trail, entries, self._sink, self._spools.aside)

    def _told(self, story: Story, judge: Callable[[], T]) -> T | Entry:
        """What the judgement is, with one connection to the store. No claim is made where what the spool tells of the
        write is such that none can be reached: the next try would end alike, and all others would wait for it."""
        try:
            with self._backend.together():
                return judge()
        except Exception as error:
            if isinstance(error, _OF_STORES) and not isinstance(error, _OF_VALUES):
                raise
            _log.exception("what became of a write can't be judged", record=story.record)
            return story.entry(FOUND_UNCLEAR)

    def _judged(self, story: Story) -> Entry | _Doubt:
        kind, id = story.fields["kind"], story.fields["id"]
        if not self._serves(story):
            return story.entry(FOUND_UNCLEAR)
        resource_type = self._registry.type(kind)
        wanted = frozenset((*story.fields["after"], _ACTIVE)) & resource_type.readable
        if id is None:
            found = self._created(resource_type, story, wanted)
        else:
            try:
                found = self._backend.get(kind, id, wanted)
            except NotFound:
                found = None
        if found is None:
            return story.entry(self._without_resource(story))
        claimed = self._trail.with_version(kind, found.id, found.stamp.version)
        if claimed is None and _is_half_retired(story, found):
            return _Doubt(story, found, set(), set())
        outcome = self._outcome(story, found, claimed)
        if outcome == FOUND_UNCLEAR and id is not None:
            return story.entry(FOUND_NOT_DONE) if self._was_refused(story, found) else self._doubt(story, found)
        if outcome != FOUND_NOT_DONE and id is None:
            # Whoever made it may have told of it, and the record be on its way.
            return _Doubt(story, found, set(), set())
        return _entry(story, found, outcome, claimed)

    def _serves(self, story: Story) -> bool:
        """False for a kind or a relation that only the process which ended could ask its store for."""
        known = {type.name: type.relations.keys() for type in self._registry.types}
        kind = story.fields["kind"]
        return kind in known and story.fields["members"].keys() <= known[kind]

    def _without_resource(self, story: Story) -> str:
        if story.fields["id"] is None or story.fields["operation"] == "restore":
            return FOUND_NOT_DONE
        if story.fields["operation"] == "delete":
            return self._without_deleted(story)
        if story.fields["operation"] in _GONE:
            return FOUND_DONE
        return FOUND_NOT_DONE if self._was_gone(story.fields["kind"], story.fields["id"], story.at) else FOUND_UNCLEAR

    def _without_deleted(self, story: Story) -> str:
        """The outcome of a deletion, which may have been one of a retired user for ever."""
        if story.fields["kind"] != _RETIRABLE:
            return FOUND_DONE
        was_gone = self._was_gone(story.fields["kind"], story.fields["id"], story.at)
        if Capability.RETIRE not in self._backend.capabilities:
            return FOUND_UNCLEAR if was_gone else FOUND_DONE
        name = story.fields["name"]
        there = name is not None and self._is_retired(story, [name])
        if not there and (name is None or was_gone):
            there = self._is_retired(story, None)
        return FOUND_NOT_DONE if there else FOUND_DONE

    def _is_retired(self, story: Story, names: list[str] | None) -> bool:
        start, total = 1, 1
        while start <= total:
            page = self._backend.retired(_RETIRABLE, frozenset(), names, Window(start))
            if any(user.id == story.fields["id"] for user in page.items):
                return True
            start, total = start + max(len(page.items), 1), page.total
        return False

    def _was_gone(self, kind: str, id: str, at: int) -> bool:
        """Whether the last that is known of a resource from before that time is that it was taken away."""
        records = self._trail.records(Wanted(kind, id))
        earlier = [record for record in records if _may_be_made(record) and record.at < at]
        return bool(earlier) and not earlier[-1].failed and earlier[-1].operation in _GONE

    def _was_refused(self, story: Story, found: Resource) -> bool:
        """Whether the write was to add somebody who was gone by then, for whose sake all of it is refused."""
        relations = self._registry.type(found.kind).relations
        for name, delta in story.fields["members"].items():
            present = self._present(found, name)
            absent = [id for id in delta["add"] if id not in present][:_WITNESSES]
            if any(self._was_gone(relations[name].target, id, story.at) for id in absent):
                return True
        return False

    def _created(self, resource_type: ResourceType, story: Story, wanted: frozenset[str]) -> Resource | None:
        """The resource that has the first name of the intent which can be searched for."""
        after = story.fields["after"]
        for slot in _NAMES:
            if slot in after and slot in resource_type.slots:
                attribute = resource_type.slots[slot]
                same = Compare(attribute, Op.EQ, comparable(attribute, after[slot]))
                page = self._backend.search(resource_type.name, Query(wanted, same, window=Window(1, 1)))
                return page.items[0] if page.items else None
        return None

    def _outcome(self, story: Story, found: Resource, claimed: AuditRecord | None) -> str:
        if story.fields["id"] is None:
            return self._outcome_of_creation(story, found)
        if story.fields["operation"] in _GONE:
            return FOUND_NOT_DONE
        # Where the clocks say nothing, the last change may be known to be one of before.
        known = claimed is not None and claimed.at < story.at
        untouched = known or microseconds(found.stamp.modified) < story.at - _SLACK
        secrets = [value == SET for value in story.fields["after"].values()]
        if untouched and any(secrets):
            return FOUND_NOT_DONE
        if self._holds(story, found):
            shows = not secrets or not all(secrets) or story.fields["members"]
            return FOUND_DONE if shows else FOUND_UNCLEAR
        return FOUND_NOT_DONE if untouched or _as_before(story, found) else FOUND_UNCLEAR

    def _doubt(self, story: Story, found: Resource) -> _Doubt:
        relations = self._registry.type(found.kind).relations
        after = story.fields["after"]
        slots = {slot for slot, value in after.items() if value != SET and found.values.get(slot) != value}
        ids: set[str] = set()
        for name, delta in story.fields["members"].items():
            present = self._present(found, name)
            ids |= present - set(delta["add"]) if delta["clear"] else present & set(delta["remove"])
            absent = [id for id in delta["add"] if id not in present][:_WITNESSES]
            ids.update(id for id in absent if self._exists(relations[name].target, id))
        return _Doubt(story, found, slots, ids)

    def _reconsidered(self, doubt: _Doubt) -> Entry:
        """An unknown change may have undone what was done. Known ones have not, unless they touch just that."""
        found, story = doubt.found, doubt.story
        if story.fields["id"] is None:
            claimed = self._trail.with_version(found.kind, found.id, found.stamp.version)
            return _entry(story, found, self._outcome(story, found, claimed), claimed)
        if story.fields["operation"] in _GONE:
            return story.entry(self._retired(found))
        slots, ids, cleared = self._changed_since(story, found)
        if _made_at_once(story, found, slots):
            return story.entry(FOUND_DONE)
        known = self._trail.with_version(found.kind, found.id, found.stamp.version) is not None
        known = known or self._others_left(story, found)
        refuted = known and bool(doubt.slots - slots or (not cleared and doubt.ids - ids))
        return story.entry(FOUND_NOT_DONE if refuted else FOUND_UNCLEAR)

    def _retired(self, found: Resource) -> str:
        """The outcome for a user whom the store was about to retire and has locked. What was begun is done, unless
        somebody is known to have come after: the client has had no answer, and may never ask again."""
        if self._trail.with_version(found.kind, found.id, found.stamp.version) is not None:
            return FOUND_NOT_DONE
        try:
            self._backend.retire(found.kind, found.id, expect=found.stamp.version)
        except VersionMismatch:
            return FOUND_NOT_DONE
        except NotFound:
            pass
        return FOUND_DONE

    def _changed_since(self, story: Story, found: Resource) -> tuple[set[str], set[str], bool]:
        """The slots and the members that later records of the resource name, and whether one of these names all."""
        slots: set[str] = set()
        ids: set[str] = set()
        cleared = False
        for record in self._trail.records(Wanted(found.kind, found.id, since=story.at)):
            if not _may_be_made(record) or record.resource_id != found.id:
                continue
            changes = orjson.loads(record.changes)
            # What was too large to be kept may be anything.
            cleared |= "omitted" in changes
            slots |= changes.get("after", story.fields["after"] if "omitted" in changes else {}).keys()
            for delta in changes.get("members", {}).values():
                ids.update(delta["add"], delta["remove"])
                cleared |= delta["clear"]
        return slots, ids, cleared

    def _others_left(self, story: Story, found: Resource) -> bool:
        """Whether resources have gone since, or when it was last changed: by that what referred to them has another
        version, without a record."""
        since = min(story.at, microseconds(found.stamp.modified) - _SLACK)
        records = self._trail.records(Wanted(since=since))
        return any(_may_be_made(record) and record.operation in _GONE for record in records)

    def _exists(self, kind: str, id: str) -> bool:
        try:
            self._backend.get(kind, id, frozenset())
        except NotFound:
            return False
        return True

    def _present(self, found: Resource, name: str) -> set[str]:
        return {reference.id for _, reference in self._backend.related(found.kind, [found.id], name)}

    def _outcome_of_creation(self, story: Story, found: Resource) -> str:
        if microseconds(found.created) < story.at - _SLACK:
            return FOUND_NOT_DONE
        if self._trail.has_begun(found.kind, found.id):
            # Somebody asked again, and it was made then.
            return FOUND_NOT_DONE
        return FOUND_DONE if self._holds(story, found) else FOUND_UNCLEAR

    def _holds(self, story: Story, found: Resource) -> bool:
        """Whether the resource is as the write was to leave it; what no one can read is passed over."""
        after = story.fields["after"]
        if any(found.values.get(slot) != value for slot, value in after.items() if value != SET):
            return False
        return all(self._related(found, name, delta) for name, delta in story.fields["members"].items())

    def _related(self, found: Resource, name: str, delta: dict[str, list[str]]) -> bool:
        present = self._present(found, name)
        if delta["clear"]:
            return present == set(delta["add"])
        return present.issuperset(delta["add"]) and present.isdisjoint(delta["remove"])


def _is_half_retired(story: Story, found: Resource) -> bool:
    """Whether somebody who was to be retired is there and locked: a store that takes several steps may have taken
    some."""
    was = story.fields["before"].get(_ACTIVE)
    return story.fields["operation"] == "retire" and was is not False and found.values.get(_ACTIVE) is False


def _may_be_made(record: AuditRecord) -> bool:
    """Whether the write was made, or nobody knows."""
    return not record.failed or record.outcome == FOUND_UNCLEAR or record.outcome.endswith(UNCLEAR)


def _entry(story: Story, found: Resource, outcome: str, claimed: AuditRecord | None) -> Entry:
    """The entry of a story whose outcome is known; `claimed` is the record that has the version of what was found."""
    done = outcome == FOUND_DONE
    version = found.stamp.version if done and claimed is None else None
    return story.entry(outcome, found.id if done else None, version)


def _made_at_once(story: Story, found: Resource, slots: set[str]) -> bool:
    """Whether a slot has the value that the write was to give it, had another one before, and was not written by any
    other since: then the write was made, for it is made whole or not at all."""
    before, after = story.fields["before"], story.fields["after"]
    return any(
        slot in before and before[slot] != value and value != SET and found.values.get(slot) == value
        for slot, value in after.items()
        if slot not in slots
    )


def _as_before(story: Story, found: Resource) -> bool:
    """Whether all that was to be changed is known to be unchanged."""
    before, after = story.fields["before"], story.fields["after"]
    known = after.keys() == before.keys() and not story.fields["members"] and SET not in after.values()
    return bool(after) and known and all(found.values.get(slot) == value for slot, value in before.items())
