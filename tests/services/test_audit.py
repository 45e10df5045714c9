"""The way of a record: spool, trail, and what becomes of it when something fails in between."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import pytest

from app.control import AuditRecord, ControlStore, ControlUnavailable, Wanted
from app.scim.registry import Registry, load
from app.services.audit import AuditJournal, Recovery, Spools, lines, mover
from app.services.audit import spool as spool_module
from app.services.audit.spool import Spool, State
from app.services.audit.syslog import Syslog
from app.services.journal import Actor, Recording, Write, recorded
from app.services.preconditions import PreconditionFailed
from app.services.remit import OutsideRemit
from backends.errors import (
    Duplicate,
    NotFound,
    Protected,
    ReadOnly,
    RejectedValue,
    StoreError,
    TooManyCandidates,
    Unavailable,
    UnknownReference,
    VersionMismatch,
)
from tests.support.controls import new_control
from tests.support.reference import ReferenceBackend

ACTOR = Actor("11111111-1111-1111-1111-111111111111", "entra")
PATIENCE_SECONDS = 30


@pytest.fixture
def registry() -> Registry:
    return load()


@pytest.fixture
def backend(registry: Registry) -> ReferenceBackend:
    return ReferenceBackend(registry)


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ControlStore]:
    url = new_control(tmp_path / "control.db")
    store = ControlStore(url)
    yield store
    store.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "audit"


@pytest.fixture
def recovery(control: ControlStore, directory: Path, backend: ReferenceBackend, registry: Registry) -> Recovery:
    return Recovery(control.audit, Spools(directory), backend, registry, grace=0)


@pytest.fixture
def open_journal(control: ControlStore, directory: Path, recovery: Recovery) -> Iterator[Callable[..., AuditJournal]]:
    opened: list[AuditJournal] = []

    def make(**options: Any) -> AuditJournal:
        opened.append(AuditJournal(control.audit, Spools(directory), recovery, **options))
        return opened[-1]

    yield make
    for journal in opened:
        journal.close()


def make(journal: AuditJournal, registry: Registry, name: str, **values: Any) -> Write:
    """A creation that succeeds, as far as the journal is told of it."""
    user = registry.type("User")
    with recorded(journal, user, Write(ACTOR, "create", "User")) as recording:
        recording.intend({"userName": name, **values})
        recording.write.id, recording.write.outcome = f"id-{name}", "done"
    return recording.write


def until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def trail(control: ControlStore) -> list[AuditRecord]:
    return list(control.audit.records(Wanted()))


def spools(directory: Path) -> list[Path]:
    return sorted(directory.glob("spool-*"))


def test_records_come_into_the_trail_and_leave_the_spool(
    open_journal: Callable[..., AuditJournal], control: ControlStore, directory: Path, registry: Registry
) -> None:
    journal = open_journal()
    for number in range(3):
        make(journal, registry, f"user{number}")
    until(lambda: len(trail(control)) == 3)
    until(lambda: spools(directory)[0].stat().st_size == 0)
    assert spools(directory)[0].stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700
    journal.close()
    assert spools(directory) == []
    assert [record.name for record in trail(control)] == ["user0", "user1", "user2"]
    make(journal, registry, "after")
    journal.close()
    assert len(trail(control)) == 4


@pytest.mark.parametrize("sync", [False, True])
def test_threads_lose_nothing(
    open_journal: Callable[..., AuditJournal],
    control: ControlStore,
    directory: Path,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    sync: bool,
) -> None:
    """While the spool is compacted again and again."""
    monkeypatch.setattr(mover, "LINGER_SECONDS", 0.0)
    monkeypatch.setattr(mover, "_LARGE", 0)
    journal = open_journal(sync=sync)

    def work(number: int) -> list[str]:
        return [make(journal, registry, f"user{number}-{n}").key for n in range(100)]

    with ThreadPoolExecutor(6) as pool:
        keys = [key for done in pool.map(work, range(6)) for key in done]
    journal.close()
    assert sorted(record.record for record in trail(control)) == sorted(keys)
    assert control.audit.verify().wrong is None
    assert spools(directory) == []


def test_the_spool_waits_for_the_control_store(
    open_journal: Callable[..., AuditJournal],
    control: ControlStore,
    tmp_path: Path,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mover, "_RETRY_SECONDS", 0.05)
    blocker = sqlite3.connect(tmp_path / "control.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    journal = open_journal()
    for number in range(3):
        make(journal, registry, f"user{number}")
    time.sleep(0.2)
    assert trail(control) == []
    blocker.execute("ROLLBACK")
    blocker.close()
    until(lambda: len(trail(control)) == 3)


def test_what_could_not_be_told_to_the_trail_is_told_by_the_next_process(
    control: ControlStore, directory: Path, recovery: Recovery, registry: Registry, tmp_path: Path
) -> None:
    """An orderly end while the control store is away, and a crash that left records in the trail and in the spool."""
    spool = Spool(directory)
    writes = [Write(ACTOR, "create", "User", name=f"user{n}", outcome="done") for n in range(3)]
    for write in writes:
        spool.append(lines.outcome(write, 1))
    spool.append(b'{"r":"torn')
    spool.close()
    control.audit.append([lines.take_in([lines.outcome(writes[1], 1)], {})[0].entry()])
    assert recovery.run(lambda: None).moved == 3
    assert sorted(record.record for record in trail(control)) == sorted(write.key for write in writes)
    assert spools(directory) == []
    assert recovery.run(lambda: None).moved == 0


def test_a_spool_in_use_is_left_alone(directory: Path, recovery: Recovery) -> None:
    spool = Spool(directory)
    spool.append(lines.intent(Write(ACTOR, "create", "User"), 1))
    assert (recovery.run(lambda: None).settled, Spools(directory).state().under_way) == (0, 1)
    assert spool.path.exists()
    spool.close()
    assert Spools(directory).state().without_outcome == 1


@pytest.mark.parametrize("look", ["recovery", "state"])
def test_a_spool_that_was_just_compacted_is_not_left(
    directory: Path, recovery: Recovery, control: ControlStore, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    """The one who looks opened the old file right before its process let it go."""
    spool = Spool(directory)
    write = Write(ACTOR, "delete", "User", "gone")
    spool.append(lines.intent(write, 1))
    held, taken = spool_module._held, spool.take()

    def late(descriptor: int, *how: int) -> bool:
        if taken and os.fstat(descriptor).st_size:
            spool.compact([taken.pop() + b"\n"])
        return held(descriptor, *how)

    with monkeypatch.context() as patched:
        patched.setattr(spool_module, "_held", late)
        if look == "state":
            assert Spools(directory).state().without_outcome == 0
        else:
            assert recovery.run(lambda: None).settled == 0
    assert not taken
    write.intended, write.outcome = True, "done"
    spool.append(lines.outcome(write, 1))
    spool.close()
    assert recovery.run(lambda: None).moved == 1
    assert [record.outcome for record in trail(control)] == ["done"]


def test_a_spool_that_can_not_be_read_keeps_no_other(
    directory: Path, recovery: Recovery, control: ControlStore
) -> None:
    spool = Spool(directory)
    spool.append(lines.outcome(Write(ACTOR, "delete", "User", "gone", outcome="done"), 1))
    spool.append(lines.intent(Write(ACTOR, "delete", "User", "gone"), 1))
    spool.close()
    (directory / "spool-0.jsonl").mkdir()
    assert Spools(directory).state() == State(waiting=1, without_outcome=1)
    assert (recovery.run(lambda: None).moved, len(trail(control))) == (2, 2)


def test_one_process_looks_after_what_is_left(directory: Path, recovery: Recovery) -> None:
    spool = Spool(directory)
    spool.append(lines.intent(Write(ACTOR, "delete", "User", "gone"), 1))
    spool.close()
    with Spools(directory).alone() as mine:
        assert mine
        assert recovery.run(lambda: None).settled == 0
    assert recovery.run(lambda: None).settled == 1


def test_no_write_without_its_intent(
    open_journal: Callable[..., AuditJournal],
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    control: ControlStore,
) -> None:
    """When the disk is full the store is not touched; what has ended is told as soon as there is room."""
    journal = open_journal()
    make(journal, registry, "before")
    late = Write(ACTOR, "create", "User", name="late")
    journal.begin(late)
    late.intended, late.outcome = True, "done"
    write = Spool.append

    def full(spool: Spool, line: bytes, *, sync: bool = False) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Spool, "append", full)
    with pytest.raises(Unavailable):
        make(journal, registry, "never")
    journal.end(late)
    monkeypatch.setattr(Spool, "append", write)
    make(journal, registry, "after")
    until(lambda: len(trail(control)) == 4)
    assert {(record.name, record.outcome) for record in trail(control)} == {
        ("before", "done"),
        ("late", "done"),
        ("never", "Unavailable"),
        ("after", "done"),
    }


def test_a_line_that_was_written_in_part_spoils_no_other(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(directory)
    real = __import__("os").write
    with monkeypatch.context() as patched:
        patched.setattr("app.services.audit.spool.os.write", lambda fd, data: real(fd, data[:5]))
        with pytest.raises(OSError, match="no room"):
            spool.append(lines.outcome(Write(ACTOR, "create", "User"), 1))
    last = Write(ACTOR, "create", "User", outcome="done")
    spool.append(lines.outcome(last, 1))
    assert [story.record for story in lines.take_in(spool.take(), {})] == [last.key]
    spool.close()


@pytest.mark.parametrize("value", ["\ud800", "nul\0", 2**70, 1.5, ["a", {"b": True}], "x" * (lines.MAX_CHANGES + 1)])
def test_any_value_has_its_record(
    open_journal: Callable[..., AuditJournal], control: ControlStore, registry: Registry, value: Any
) -> None:
    journal = open_journal()
    make(journal, registry, f"nul\0{'long' * 100}", title=value)
    journal.close()
    (record,) = trail(control)
    assert len(record.changes) <= lines.MAX_CHANGES
    assert control.audit.verify().wrong is None
    changes = orjson.loads(record.changes)
    if len(str(value)) > lines.MAX_CHANGES:
        assert changes.keys() == {"omitted"}
    elif value not in ("\ud800", 2**70):
        assert changes["after"]["title"] == value


@pytest.mark.parametrize("large", ["values", "notes"])
def test_what_is_too_large_keeps_what_was_asked_for(
    open_journal: Callable[..., AuditJournal], control: ControlStore, registry: Registry, large: str
) -> None:
    """As far as there is room for that."""
    journal = open_journal()
    much = "x" * (lines.MAX_CHANGES + 1)
    notes = ("undo of 7", much) if large == "notes" else ("undo of 7",)
    write = Write(ACTOR, "patch", "User", "a", ("title",), notes)
    with recorded(journal, registry.type("User"), write) as recording:
        recording.intend({"title": much if large == "values" else "Captain"})
        recording.done(None)
    journal.close()
    changes = orjson.loads(trail(control)[0].changes)
    kept = {"attributes": ["title"], "notes": ["undo of 7"]} if large == "values" else {}
    assert {name: value for name, value in changes.items() if name != "omitted"} == kept
    assert changes["omitted"]["octets"] > lines.MAX_CHANGES


def test_old_records_are_removed(
    open_journal: Callable[..., AuditJournal], control: ControlStore, registry: Registry
) -> None:
    old = Write(ACTOR, "delete", "User", "gone", outcome="done")
    control.audit.append([story.entry() for story in lines.take_in([lines.outcome(old, 1)], {})])
    journal = open_journal(keep_days=30)
    make(journal, registry, "young")
    until(lambda: [record.name for record in trail(control)] == ["young"])
    assert control.audit.verify().wrong is None


def test_old_records_are_removed_although_recovery_fails(
    open_journal: Callable[..., AuditJournal],
    control: ControlStore,
    directory: Path,
    backend: ReferenceBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spool = Spool(directory)
    spool.append(lines.intent(Write(ACTOR, "patch", "User", "left"), 1))
    spool.close()
    old = Write(ACTOR, "delete", "User", "gone", outcome="done")
    control.audit.append([story.entry() for story in lines.take_in([lines.outcome(old, 1)], {})])

    def away(*_: object) -> None:
        raise Unavailable

    monkeypatch.setattr(backend, "get", away)
    open_journal(keep_days=30).start()
    until(lambda: trail(control) == [])
    assert Spools(directory).state().without_outcome == 1


def test_a_write_that_is_tried_again_has_its_last_intent(
    open_journal: Callable[..., AuditJournal], control: ControlStore, registry: Registry
) -> None:
    journal = open_journal()
    user = registry.type("User")
    read = frozenset(("title", "active"))
    with recorded(journal, user, Write(ACTOR, "patch", "User", "a")) as recording:
        recording.intend({"title": "new"}, before={"title": "old"}, read=read)
        recording.withdraw()
        recording.intend({"title": "new", "active": None}, before={"title": "other"}, read=read)
        recording.done(None)
    with recorded(journal, user, Write(ACTOR, "patch", "User", "b")) as recording:
        recording.intend({"title": "new"}, before={"title": "old"}, read=read)
        recording.withdraw()
        recording.done(None, changed=False)
    journal.close()
    first, second = trail(control)
    assert orjson.loads(first.changes) == {
        "before": {"title": "other", "active": None},
        "after": {"title": "new", "active": None},
    }
    assert (first.outcome, second.outcome, second.changes) == ("done", "unchanged", "{}")


def test_what_is_reported_after_the_store_has_written_alters_no_outcome(
    open_journal: Callable[..., AuditJournal], control: ControlStore, registry: Registry
) -> None:
    journal = open_journal()

    def fail(recording: Recording) -> None:
        recording.intend({"title": "new"})
        recording.done(None)
        raise Unavailable

    with pytest.raises(Unavailable), recorded(journal, registry.type("User"), Write(ACTOR, "patch", "User")) as made:
        fail(made)
    journal.close()
    assert [record.outcome for record in trail(control)] == ["done"]


def _mismatch(to: type[Exception]) -> Exception:
    """What is reported of a write that the store refused for its version."""
    error = to()
    error.__cause__ = VersionMismatch()
    return error


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Unavailable(), "Unavailable (unclear)"),
        (ControlUnavailable(), "ControlUnavailable (unclear)"),
        (StoreError(), "StoreError (unclear)"),
        (SystemExit(1), "SystemExit (unclear)"),
        (KeyError("x"), "KeyError (unclear)"),
        (NotFound(), "NotFound"),
        (Duplicate(), "Duplicate"),
        (VersionMismatch(), "VersionMismatch"),
        (UnknownReference("members", ["a"]), "UnknownReference"),
        (RejectedValue("title", "too long"), "RejectedValue"),
        (TooManyCandidates(), "TooManyCandidates"),
        (ReadOnly(), "ReadOnly"),
        (Protected(), "Protected"),
        (PreconditionFailed(), "PreconditionFailed"),
        (OutsideRemit("not yours"), "OutsideRemit"),
        (_mismatch(Unavailable), "Unavailable"),
        (_mismatch(LookupError), "LookupError"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_intended_write_whose_answer_was_lost_is_unclear(
    open_journal: Callable[..., AuditJournal],
    control: ControlStore,
    registry: Registry,
    error: BaseException,
    outcome: str,
) -> None:
    """Unless what was reported tells that nothing has changed; and what was not intended has not changed anything."""
    journal = open_journal()

    def fail(recording: Recording, *, intended: bool) -> None:
        if intended:
            recording.intend({"title": "new"})
        raise error

    for intended in (True, False):
        write = Write(ACTOR, "patch", "User", "a")
        with pytest.raises(type(error)), recorded(journal, registry.type("User"), write) as made:
            fail(made, intended=intended)
    journal.close()
    assert [record.outcome for record in trail(control)] == [outcome, type(error).__name__]
    assert all(record.failed for record in trail(control))
    assert len(control.audit.latest(Wanted(failed=True), 9)) == 2


def test_secrets_are_in_no_file(
    open_journal: Callable[..., AuditJournal], tmp_path: Path, control: ControlStore, registry: Registry
) -> None:
    journal = open_journal()
    intent = lines.intent(make(journal, registry, "mira", password="s3cret-Pa55"), 1)
    journal.close()
    assert orjson.loads(trail(control)[0].changes)["after"]["password"] == "set"
    assert b"s3cret" not in intent + (tmp_path / "control.db").read_bytes()


def test_records_go_to_syslog(
    open_journal: Callable[..., AuditJournal], control: ControlStore, registry: Registry, tmp_path: Path
) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix,
    ):
        udp.bind(("127.0.0.1", 0))
        unix.bind(str(tmp_path / "log"))
        for server, address in ((udp, f"udp://127.0.0.1:{udp.getsockname()[1]}"), (unix, str(tmp_path / "log"))):
            server.settimeout(PATIENCE_SECONDS)
            journal = open_journal(sink=Syslog(address))
            make(journal, registry, "mira", title="x" * 20)
            make(journal, registry, "large", title="x" * 100_000)
            messages = [server.recv(65_536).decode() for _ in range(2)]
            journal.close()
            first, large = ((m.split(" ", 7)[:7], orjson.loads(m.split(" ", 7)[7])) for m in messages)
            assert first[0][0] == "<86>1"
            assert first[0][3] == "landfall"
            assert first[0][5:] == ["audit", "-"]
            assert first[1]["hash"] == trail(control)[-2].hash
            assert first[1]["changes"]["after"]["title"] == "x" * 20
            assert large[1]["changes"].keys() == {"omitted"}


@pytest.mark.parametrize("address", ["/nobody", "udp://log..example:514", "udp://127.0.0.1:99999"])
def test_a_syslog_server_that_is_away_stops_nothing(
    open_journal: Callable[..., AuditJournal], control: ControlStore, registry: Registry, tmp_path: Path, address: str
) -> None:
    syslog = Syslog(f"{tmp_path}{address}" if address.startswith("/") else address)
    journal = open_journal(sink=syslog)
    make(journal, registry, "mira")
    journal.close()
    assert len(trail(control)) == 1
    syslog.send(trail(control))
