"""The values that the audit trail takes and gives. Times are microseconds since 1970 in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

FOUND_DONE = "done (found after a crash)"
FOUND_NOT_DONE = "not done (found after a crash)"
FOUND_UNCLEAR = "unclear (found after a crash)"
"""The outcomes of writes whose process ended before it knew: what the store showed afterwards."""

SUCCEEDED = ("done", "unchanged", FOUND_DONE)
"""The outcomes of writes that have not failed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is told of one write. `record` tells it from every other one: 32 hexadecimal digits. `at` is when it was
    about to be made. `changes` is a JSON object."""

    record: str
    at: int
    integration_id: str
    actor: str
    operation: str
    kind: str
    resource_id: str | None
    name: str | None
    outcome: str
    version: str | None
    changes: str


@dataclass(frozen=True, slots=True)
class AuditRecord(Entry):
    """An entry in its place in the chain. `name_key` is the folded name; `hash` covers everything else."""

    seq: int
    name_key: str | None
    prev_hash: str
    hash: str

    @property
    def time(self) -> datetime:
        """When the write was about to be made."""
        return moment(self.at)

    @property
    def failed(self) -> bool:
        """True unless the write was made, or had nothing to change."""
        return self.outcome not in SUCCEEDED


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: those that meet all of what is given. `resource` is the id of a resource of that kind or a name
    that it has or had, upper and lower case being equal; `since` a time."""

    kind: str | None = None
    resource: str | None = None
    integration_id: str | None = None
    since: int | None = None
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """What became of a look at the whole chain: `count` records from the one after `pruned` on are as they were
    written, and the last of these has the number `last` and the hash `hash`.

    `wrong` is the number of the first record that is not, and `fault` says why; None when there is none.
    """

    count: int
    pruned: int
    last: int
    hash: str
    wrong: int | None = None
    fault: str = ""


def moment(microseconds: int) -> datetime:
    """The time, in UTC."""
    return _EPOCH + microseconds * _MICROSECOND


def microseconds(time: datetime) -> int:
    """The time as the audit trail has it."""
    return (time - _EPOCH) // _MICROSECOND
