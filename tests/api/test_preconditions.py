"""Dates, several conditions at once, when they are looked at, and that check and write are one step (RFC 9110)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from app.control import Access
from app.scim.query import Change, Resource, ResourceId, Slot, Stamp, Version
from app.scim.registry import Registry
from tests.api.conditional import FUTURE, METHODS, PAST, STALE, WRITES, expect, request, tag_of
from tests.api.expect import new_user, refused, unchanged
from tests.support.reference import ReferenceBackend
from tests.support.service import USER, Client, Service, running


@pytest.fixture
def user(client: Client, name: str) -> str:
    """The path of a fresh user."""
    return new_user(client, name)


# --- dates ---


@pytest.mark.req("H-13.1.3-01", "H-13.1.2-02")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("date", "outcome"),
    [
        (FUTURE, "304"),
        (PAST, "done"),
        ("yesterday", "done"),
        ("2020-13-45", "done"),
        ("", "done"),
        ("Sun, 99 Nov 1994 08:49:37 GMT", "done"),
        ("Sun, 06 Nov 99999999 08:49:37 GMT", "done"),
    ],
)
def test_if_modified_since_is_for_reads(client: Client, user: str, method: str, date: str, outcome: str) -> None:
    expect(client, method, user, "done" if method in WRITES else outcome, If_Modified_Since=date)


@pytest.mark.req("H-13.1.4-01")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("date", "outcome"), [(PAST, "412"), (FUTURE, "done"), ("yesterday", "done"), ("", "done")])
def test_if_unmodified_since(client: Client, user: str, method: str, date: str, outcome: str) -> None:
    expect(client, method, user, outcome, If_Unmodified_Since=date)


@pytest.mark.req("H-13.1.3-01", "H-13.1.4-01")
def test_dates_count_whole_seconds(client: Client, user: str) -> None:
    modified = datetime.fromisoformat(client.get(user).json()["meta"]["lastModified"])
    date = format_datetime(modified.astimezone(UTC), usegmt=True)
    expect(client, "GET", user, "304", If_Modified_Since=date)
    expect(client, "GET", user, "done", If_Unmodified_Since=date)
    earlier = format_datetime(modified.astimezone(UTC) - timedelta(seconds=1), usegmt=True)
    expect(client, "GET", user, "done", If_Modified_Since=earlier)
    expect(client, "GET", user, "412", If_Unmodified_Since=earlier)


# --- several conditions: which one decides, and when they are looked at ---


@pytest.mark.req("H-13.2.2-01", "H-13.1.3-01", "H-13.1.4-01")
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("if_match", ["current", "stale", None])
@pytest.mark.parametrize("if_unmodified_since", [PAST, FUTURE, None])
@pytest.mark.parametrize("if_none_match", ["current", "stale", None])
@pytest.mark.parametrize("if_modified_since", [PAST, FUTURE, None])
def test_the_order_of_evaluation(
    client: Client,
    user: str,
    method: str,
    if_match: str | None,
    if_unmodified_since: str | None,
    if_none_match: str | None,
    if_modified_since: str | None,
) -> None:
    tags = {"current": tag_of(client, user), "stale": STALE}
    given = {
        "If_Match": tags.get(if_match or ""),
        "If_Unmodified_Since": if_unmodified_since,
        "If_None_Match": tags.get(if_none_match or ""),
        "If_Modified_Since": if_modified_since,
    }
    outcome = _decided(method, if_match, if_unmodified_since, if_none_match, if_modified_since)
    expect(client, method, user, outcome, **{name: value for name, value in given.items() if value is not None})


def _decided(method: str, im: str | None, ius: str | None, inm: str | None, ims: str | None) -> str:
    """RFC 9110 section 13.2.2, step by step."""
    if im is not None:
        if im == "stale":
            return "412"
    elif ius == PAST:
        return "412"
    if inm is not None:
        return "304" if inm == "current" else "done"
    if method in ("GET", "HEAD") and ims == FUTURE:
        return "304"
    return "done"


@pytest.mark.req("H-13.2.1-01")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("header", [{"If-Match": STALE}, {"If-Match": "*"}, {"If-None-Match": "*"}])
def test_a_missing_resource_is_404_whatever_the_conditions(client: Client, method: str, header: dict[str, str]) -> None:
    path = "/Users/6b0c4a0e-0000-4000-8000-000000000000"
    response = request(client, method, path, **{k.replace("-", "_"): v for k, v in header.items()})
    assert response.status_code == 404


@pytest.mark.req("H-13.2.1-01")
@pytest.mark.parametrize("method", WRITES)
def test_permission_comes_before_conditions(client: Client, service: Service, user: str, method: str) -> None:
    with unchanged(client, user):
        refused(request(service.client(Access.READ_ONLY), method, user, If_Match=STALE), 403)
        assert service.anonymous.request(method, user, headers={"If-Match": STALE}).status_code == 401


@pytest.mark.req("H-13.2.1-01")
def test_the_body_comes_before_conditions(client: Client, user: str) -> None:
    headers = {"If-Match": STALE, "Content-Type": "application/scim+json"}
    with unchanged(client, user):
        refused(client.put(user, content=b"{", headers=headers), 400, "invalidSyntax")
        refused(client.patch(user, json={"schemas": [USER]}, headers={"If-Match": STALE}), 400, "invalidSyntax")
        refused(client.put(user, content=b"{}", headers={**headers, "Content-Type": "text/plain"}), 415)


@pytest.mark.req("P-3.14-04")
def test_a_write_without_conditions_needs_no_tag(client: Client, user: str) -> None:
    for method in WRITES:
        expect(client, method, user, "done")


# --- check and write are one step ---


@pytest.mark.req("H-13-01")
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.every_store
def test_of_writes_at_once_with_one_tag_one_succeeds(client: Client, user: str, method: str) -> None:
    for round in range(5):
        tag = tag_of(client, user)

        def write(number: int, tag: str = tag, round: int = round) -> int:
            title = f"{round}-{number}"
            if method == "PUT":
                body = {"schemas": [USER], "userName": f"at-once-{user[-36:]}", "title": title}
                return client.put(user, json=body, headers={"If-Match": tag}).status_code
            return client.change(user, {"op": "add", "path": "title", "value": title}, **{"If-Match": tag}).status_code

        with ThreadPoolExecutor(6) as pool:
            assert sorted(pool.map(write, range(6))) == [200, *[412] * 5]


@pytest.mark.req("H-13-01")
@pytest.mark.every_store
def test_of_member_changes_at_once_with_one_tag_one_succeeds(client: Client, name: str) -> None:
    members = [client.user(f"m{n}-{name}")["id"] for n in range(6)]
    path = f"/Groups/{client.group(name)['id']}"
    tag = tag_of(client, path)

    def add(member: str) -> int:
        operation = {"op": "add", "path": "members", "value": [{"value": member}]}
        return client.change(path, operation, **{"If-Match": tag}).status_code

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(add, members)) == [204, *[412] * 5]
    assert len(client.get(path).json()["members"]) == 1


@pytest.mark.req("H-13-01")
@pytest.mark.every_store
def test_a_delete_at_once_with_a_write_of_the_same_tag(client: Client, name: str) -> None:
    for round in range(5):
        path = new_user(client, f"{round}{name}")
        tag = tag_of(client, path)
        with ThreadPoolExecutor(2) as pool:
            deleted = pool.submit(client.delete, path, headers={"If-Match": tag})
            changed = pool.submit(request, client, "PATCH", path, If_Match=tag)
            outcomes = (deleted.result().status_code, changed.result().status_code)
        assert outcomes in ((204, 404), (204, 412), (412, 200))
        assert client.get(path).status_code == (404 if outcomes[0] == 204 else 200)


class _MeetingStore(ReferenceBackend):
    """After `meet`, the next two reads end together: what either request writes comes after both have read. A delete,
    which retires, waits for an update, so that it comes second."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self._left = threading.Semaphore(0)
        self._barrier = threading.Barrier(2, timeout=30)
        self._updated = threading.Event()

    def meet(self) -> None:
        self._left.release(2)

    def get(self, kind: str, id: ResourceId, want: frozenset[Slot]) -> Resource:
        found = super().get(kind, id, want)
        if self._left.acquire(blocking=False):
            self._barrier.wait()
        return found

    def update(self, kind: str, id: ResourceId, change: Change, *, expect: Version | None = None) -> Stamp:
        try:
            return super().update(kind, id, change, expect=expect)
        finally:
            self._updated.set()

    def retire(self, kind: str, id: ResourceId, *, expect: Version | None = None) -> None:
        self._updated.wait(timeout=30)
        super().retire(kind, id, expect=expect)


@pytest.fixture
def meeting(registry: Registry, tmp_path: Path) -> Iterator[tuple[_MeetingStore, Client]]:
    store = _MeetingStore(registry)
    with running(store, registry, tmp_path) as service:
        yield store, service.client()


@pytest.mark.req("H-13-01")
@pytest.mark.parametrize("method", WRITES)
def test_of_two_that_have_read_the_same_version_one_writes(meeting: tuple[_MeetingStore, Client], method: str) -> None:
    store, client = meeting
    path = new_user(client, "mira")
    tag = tag_of(client, path)
    store.meet()
    with ThreadPoolExecutor(2) as pool:
        change = {"op": "add", "path": "emails", "value": [{"value": "a"}]}
        first = pool.submit(client.change, path, change, **{"If-Match": tag})
        second = pool.submit(request, client, method, path, If_Match=tag)
        statuses = sorted((first.result().status_code, second.result().status_code))
    assert statuses == [200, 412]


@pytest.mark.req("H-13-01", "P-3.5.2-20")
def test_two_changes_without_conditions_are_both_kept(meeting: tuple[_MeetingStore, Client]) -> None:
    store, client = meeting
    path = new_user(client, "mira")
    store.meet()
    changes = [{"op": "add", "path": "emails", "value": [{"value": value}]} for value in "ab"]
    with ThreadPoolExecutor(2) as pool:
        assert [r.status_code for r in pool.map(lambda change: client.change(path, change), changes)] == [200, 200]
    assert {email["value"] for email in client.get(path).json()["emails"]} == {"a", "b"}
