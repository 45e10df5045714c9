"""What becomes of a create: a new resource, one that was retired and comes back, or one that was there before."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from app.scim.query import Change, Delta, Draft, Resource, Slot
from app.scim.registry import ResourceType
from app.scim.representation import Representation
from app.services.adoption import Adoption, names_of
from app.services.commits import Answer, Commits, needs_lookup
from app.services.journal import Recording
from app.services.retirement import Retirement
from backends.base import Backend
from backends.errors import Duplicate, NotFound, Unavailable, VersionMismatch

_ACTIVE: Slot = "active"
_EMAILS: Slot = "emails"


class Arrivals:
    """Decides on creates, and makes them."""

    def __init__(self, backend: Backend, commits: Commits, adoption: Adoption, retirement: Retirement) -> None:
        self._backend = backend
        self._commits = commits
        self._adoption = adoption
        self._retirement = retirement

    def arrive(
        self, resource_type: ResourceType, sent: Draft, draft: Draft, view: Representation, recording: Recording
    ) -> Answer:
        """The answer with the resource, which has what the draft says and keeps the rest. It is known by what was
        `sent`, of which the draft is what may be written. Raises what `Resources.create` raises, and Unavailable where
        it is taken away or changed at this moment: the client asks again."""
        kind = resource_type.name
        # Of most who arrive the store knows nothing: that is one question instead of two.
        names = names_of(sent.values)
        by_email = partial(self._adoption.by_email, kind, sent, written=_EMAILS in draft.values)
        known = bool(names) and self._backend.knows(kind, names)
        retired, found = self._known(kind, sent, by_email) if known else (None, None)
        if retired is not None:
            try:
                return self._restore(resource_type, retired, draft, view, recording)
            except Duplicate:
                # Its place was taken while it was away: it stays retired.
                _start_again(recording)
                found = by_email()
        if found is None:
            try:
                return self._create(resource_type, draft, view, recording)
            except Duplicate:
                recording.withdraw()
                found = self._adoption.by_name(kind, sent)
                if found is None:
                    raise
        return self._adopt(resource_type, found, draft, view, recording)

    def _known(
        self, kind: str, sent: Draft, by_email: Callable[[], Resource | None]
    ) -> tuple[Resource | None, Resource | None]:
        """The retired user who is to come back, or else the one who is there, is not managed and has a work e-mail of
        the draft. Raises as `Adoption.by_email` does."""
        returning = self._retirement.returning(kind, sent, self._adoption)
        if returning is None:
            return None, by_email()
        if returning.by_name:
            return returning.user, None
        try:
            found = by_email()
        except Duplicate:
            # That an e-mail is unique does not keep away one who had it before.
            found = None
        return (returning.user, None) if found is None else (None, found)

    def _create(self, resource_type: ResourceType, draft: Draft, view: Representation, recording: Recording) -> Answer:
        kind = resource_type.name
        recording.intend(draft.values, {name: Delta(add=ids) for name, ids in draft.relations.items()})
        resource = self._backend.create(kind, draft)
        recording.done(resource.stamp, id=resource.id)
        self._adoption.created(kind, resource.id)
        if needs_lookup(resource_type, view.projection, draft.values):
            resource = self._backend.get(kind, resource.id, view.projection.want)
        return self._commits.answer(resource, view, inverse=False)

    def _restore(
        self, resource_type: ResourceType, retired: Resource, draft: Draft, view: Representation, recording: Recording
    ) -> Answer:
        """The answer to a create whose resource was deleted before."""
        kind = resource_type.name
        recording.write.operation, recording.write.id = "restore", retired.id
        values = {slot: value for slot, value in draft.values.items() if retired.values.get(slot) != value}
        if _ACTIVE in resource_type.slots and _ACTIVE not in draft.values:
            values[_ACTIVE] = True
        recording.intend(values, before=retired.values, read=resource_type.readable)
        try:
            resource = self._backend.restore(kind, retired.id, Change(values))
        except NotFound as error:
            # Another one has brought it back, or it was purged.
            recording.withdraw()
            raise Unavailable(retry_after=1) from error
        recording.done(resource.stamp)
        self._adoption.claim(kind, resource.id, recording.write.actor)
        if needs_lookup(resource_type, view.projection, resource.values):
            resource = self._backend.get(kind, resource.id, view.projection.want)
        return self._commits.answer(resource, view, inverse=False)

    def _adopt(
        self, resource_type: ResourceType, found: Resource, draft: Draft, view: Representation, recording: Recording
    ) -> Answer:
        """The answer to a create whose resource was there before."""
        self._adoption.admit(found, recording.write.actor)
        recording.write.operation, recording.write.id = "adopt", found.id
        values = {slot: value for slot, value in draft.values.items() if found.values.get(slot) != value}
        change = Change(values, {name: Delta(add=ids) for name, ids in draft.relations.items()})
        try:
            answer = self._commits.commit(resource_type, found, resource_type.readable, change, view, recording)
        except (NotFound, VersionMismatch) as error:
            # Somebody else changes it, or takes it away, at this moment.
            raise Unavailable(retry_after=1) from error
        self._adoption.claim(found.kind, found.id, recording.write.actor)
        return answer


def _start_again(recording: Recording) -> None:
    """Nothing has changed, and the write goes on as a create."""
    recording.withdraw()
    recording.write.operation, recording.write.id = "create", None
