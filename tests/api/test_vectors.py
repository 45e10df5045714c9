"""The 120 filter and 60 PATCH vectors of `tests/vectors/cases.json` over real HTTP, on each database."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from app.scim.document import canonicalise, draft
from app.scim.query import Change, Draft
from app.scim.registry import Registry
from backends.sql.backend import SqlBackend
from tests.api.schemas import VECTORS
from tests.support.service import GROUP, SCIM_JSON, USER, Client, Service, running

pytestmark = pytest.mark.every_store

_SUFFIX = itertools.count(1)
_LENIENT = ("derived", "example", "ambiguous")


@dataclass
class _Issuer:
    """Gives the store the ids and times of the seed instead of its own."""

    id: str = ""
    moment: datetime = field(default_factory=lambda: datetime.now(UTC))

    def new_id(self) -> str:
        return self.id

    def now(self) -> datetime:
        return self.moment


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _load_seed(backend: SqlBackend, registry: Registry, issuer: _Issuer) -> None:
    """The seed with its literal ids and meta. A Group as a member is left out: nested groups are not supported."""

    for kind, documents in (("User", VECTORS["seed"]["users"]), ("Group", VECTORS["seed"]["groups"])):
        for document in documents:
            members = [m for m in document.get("members", ()) if m.get("type") != "Group"]
            seeded = draft(registry.type(kind), canonicalise(registry.type(kind), {**document, "members": members}))
            late = {s: v for s, v in seeded.values.items() if s.endswith(":manager.value") or s == "externalId"}
            issuer.id, issuer.moment = document["id"], _moment(document["meta"]["created"])
            early = {s: v for s, v in seeded.values.items() if s not in late}
            backend.create(kind, Draft({**early, "externalId": "placeholder"}, seeded.relations))
            change = Change({"externalId": None, **late})
            issuer.moment = _moment(document["meta"]["lastModified"])
            backend.update(kind, document["id"], change)


@pytest.fixture(scope="module")
def seeded(
    database: str, registry: Registry, new_database: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """A client of a service whose database holds the seed."""
    issuer = _Issuer()
    backend = SqlBackend(new_database(database), registry, new_id=issuer.new_id, now=issuer.now)
    backend.create_schema()
    _load_seed(backend, registry, issuer)
    with running(backend, registry, tmp_path_factory.mktemp("home")) as service:
        yield service.client()
    backend.close()


def _case_id(case: Mapping[str, Any]) -> str:
    return str(case["id"])


@pytest.mark.req("P-3.4.2.2-02", "P-3.4.2.2-05", "P-3.4.2.2-14", "P-3.4.2.2-15", "P-3.4.2.2-16", "P-3.4.2.2-17")
@pytest.mark.parametrize("case", VECTORS["filterCases"], ids=_case_id)
def test_filter_vector(case: Mapping[str, Any], seeded: Client, record_property: Callable[[str, object], None]) -> None:
    """The filter finds what the vector says, or what one of its open alternatives says, which is then named."""
    found = _filter_outcome(seeded.search(case["endpoint"], case["filter"], count="100"))
    expected = [case["expect"]]
    if case["strength"] in _LENIENT:
        expected += case.get("alternatives", ())
    if "nestedGroups" in case.get("requires", ()):
        # Only a store that holds a Group as a member could find it, and this service refuses to make one.
        expected = [{**case["expect"], "groupNames": []}]
    position = next((i for i, wanted in enumerate(expected) if _filter_meets(found, wanted)), None)
    assert position is not None, f"{case['filter']}: {found}, but expected {expected}"
    if position:
        record_property("alternative", f"{case['id']}: {expected[position]['why']}")


def _filter_outcome(response: Any) -> dict[str, Any]:
    body = response.json()
    if response.status_code != 200:
        return {"error": {"status": body["status"], "scimType": body.get("scimType")}}
    names: dict[str, Any] = {"status": "200", "userNames": set(), "groupNames": set()}
    for resource in body["Resources"]:
        user = resource["meta"]["resourceType"] == "User"
        names["userNames" if user else "groupNames"].add(resource["userName" if user else "displayName"])
    assert body["totalResults"] == len(body["Resources"])
    return names


def _filter_meets(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    if "error" in wanted or "error" in found:
        return found.get("error") == wanted.get("error")
    return all(found[k] == set(wanted[k]) for k in ("userNames", "groupNames") if k in wanted)


@pytest.fixture(scope="session")
def fixture_users(service: Service) -> Mapping[str, str]:
    """The ids of the users that the PATCH vectors refer to, by the ids that stand for them."""
    client = service.client()
    return {u["id"]: client.user(u["userName"])["id"] for u in VECTORS["patchFixtures"]["users"]}


@pytest.mark.req("P-3.5.2-13", "P-3.5.2-14", "P-3.5.2-15", "P-3.5.2-09")
@pytest.mark.parametrize("case", VECTORS["patchCases"], ids=_case_id)
def test_patch_vector(
    case: Mapping[str, Any],
    client: Client,
    fixture_users: Mapping[str, str],
    record_property: Callable[[str, object], None],
) -> None:
    """The request changes the resource as the vector says, or as one of its open alternatives says."""
    case = _with_real_ids(case, fixture_users)
    endpoint = f"/{case['resourceType']}s"
    own = _own_name(case["before"], f"-{next(_SUFFIX)}")
    created = client.create(endpoint, {k: v for k, v in own.items() if k != "id"})
    assert created.status_code == 201, created.text
    path = f"{endpoint}/{created.json()['id']}"
    before = client.get(path).json()
    response = client.patch(path, json=case["request"], headers={"Content-Type": SCIM_JSON})
    after = client.get(path).json()
    outcomes = [case["expect"]]
    if case["strength"] in _LENIENT:
        outcomes += case.get("alternatives", ())
    met = [_patch_meets(case, own, wanted, response, before, after) for wanted in outcomes]
    position = met.index(True) if True in met else None
    assert position is not None, f"{case['title']}: {response.status_code} {response.text}, now {after}"
    if position:
        record_property("alternative", f"{case['id']}: {outcomes[position]['why']}")


def _patch_meets(
    case: Mapping[str, Any],
    own: Mapping[str, Any],
    wanted: Mapping[str, Any],
    response: Any,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> bool:
    body = response.json() if response.content else {}
    names = [k for k in ("userName", "displayName") if k in own and case["before"].get(k) == wanted["after"].get(k)]
    renamed = {k: own[k] for k in names}
    return (
        str(response.status_code) in wanted["status"]
        and body.get("scimType") == wanted.get("scimType", body.get("scimType") if response.status_code < 400 else None)
        and _comparable({**wanted["after"], **renamed}) == _comparable(after)
        and (wanted["modified"] or before["meta"] == after["meta"])
        and (not wanted["modified"] or before["meta"]["version"] != after["meta"]["version"])
    )


def _with_real_ids(case: Mapping[str, Any], ids: Mapping[str, str]) -> Mapping[str, Any]:
    text = json.dumps(case)
    for placeholder, real in ids.items():
        text = text.replace(f'"{placeholder}"', f'"{real}"').replace(f'\\"{placeholder}\\"', f'\\"{real}\\"')
    replaced: Mapping[str, Any] = json.loads(text)
    return replaced


def _own_name(document: Mapping[str, Any], suffix: str) -> dict[str, Any]:
    """The document with a userName, or a group's displayName, that no other case uses."""
    name = "userName" if USER in document["schemas"] else "displayName"
    return {**document, name: document[name] + suffix}


def _comparable(document: Mapping[str, Any]) -> dict[str, Any]:
    """What counts of a resource: see `tests/vectors/README.md`."""
    ignored = ("id", "meta", "groups")
    result: dict[str, Any] = {}
    for key, value in document.items():
        if key not in ignored and value not in (None, []):
            result[key] = _canonical(key, value, in_group=GROUP in document["schemas"])
    return result


def _canonical(key: str, value: Any, *, in_group: bool) -> Any:
    if isinstance(value, list):
        return {json.dumps(_canonical(key, item, in_group=in_group), sort_keys=True) for item in value}
    if not isinstance(value, dict):
        return value
    derived = ("$ref", "display") if key == "members" and in_group else ("$ref",)
    inner = {k: v for k, v in value.items() if k not in derived and v is not None}
    if inner.get("primary") is False:
        del inner["primary"]
    return {k: _canonical(k, v, in_group=False) for k, v in inner.items()}
