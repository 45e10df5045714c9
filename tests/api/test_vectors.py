"""The 120 filter and 60 PATCH vectors of `tests/vectors/cases.json` over real HTTP, on each store."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import eq, ge, gt, lt
from pathlib import Path
from typing import Any

import pytest

from app.scim.document import canonicalise, draft
from app.scim.query import Change, Draft
from app.scim.registry import Registry
from backends.base import Backend
from backends.sql.backend import SqlBackend
from tests.api.opening import opened
from tests.api.schemas import VECTORS
from tests.support.directories import DIRECTORY_SERVERS
from tests.support.directory_base import Directory
from tests.support.service import ENTERPRISE, GROUP, SCIM_JSON, USER, Client, Service, running

pytestmark = pytest.mark.every_store

_SUFFIX = itertools.count(1)
_LENIENT = ("derived", "example", "ambiguous")
_MANAGER = f"{ENTERPRISE}:manager.value"

# Cases whose times only a store can hold that lets its clients set them. On a directory the same filters are asked, and
# have to find what the directory's own times say.
TIMES_OF_ITS_OWN: Mapping[str, str] = {
    "VF-052": "the directory itself sets the time of a change, in whole seconds",
    "VF-053": "the directory itself sets the time of a change, in whole seconds",
    "VF-054": "the directory itself sets the time of a change, in whole seconds",
    "VF-055": "the directory itself sets the time of creation, in whole seconds",
}


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


@dataclass(frozen=True, slots=True)
class _Seeded:
    """A client of a service whose store holds the seed. `ids` has the store's id of each of the seed; `as_given` tells
    that the store took over the ids and times of the seed."""

    client: Client
    ids: Mapping[str, str]
    as_given: bool

    def translate(self, filter: str) -> str:
        """The filter with the ids of the store; one in other capitals stays one in other capitals."""
        for given, real in self.ids.items():
            filter = filter.replace(given, real)
            filter = re.sub(re.escape(given), real.swapcase(), filter, flags=re.IGNORECASE)
        return filter


def _seed(registry: Registry) -> Iterator[tuple[str, Mapping[str, Any], Draft]]:
    """Kind, document and draft of each resource. A Group as a member is left out: nested groups are not supported."""
    for kind, documents in (("User", VECTORS["seed"]["users"]), ("Group", VECTORS["seed"]["groups"])):
        for document in documents:
            members = [m for m in document.get("members", ()) if m.get("type") != "Group"]
            type = registry.type(kind)
            yield kind, document, draft(type, canonicalise(type, {**document, "members": members}))


def _load_as_given(backend: SqlBackend, registry: Registry, issuer: _Issuer) -> None:
    """The seed with its literal ids and meta."""
    for kind, document, seeded in _seed(registry):
        late = {s: v for s, v in seeded.values.items() if s.endswith(":manager.value") or s == "externalId"}
        issuer.id, issuer.moment = document["id"], _moment(document["meta"]["created"])
        early = {s: v for s, v in seeded.values.items() if s not in late}
        backend.create(kind, Draft({**early, "externalId": "placeholder"}, seeded.relations))
        change = Change({"externalId": None, **late})
        issuer.moment = _moment(document["meta"]["lastModified"])
        backend.update(kind, document["id"], change)


def _load(backend: Backend, registry: Registry) -> Mapping[str, str]:
    """The seed with ids and times that the store issues: the id of each resource by that of the seed."""
    ids: dict[str, str] = {}
    managers: dict[str, str] = {}
    for kind, document, seeded in _seed(registry):
        values = {slot: value for slot, value in seeded.values.items() if slot != _MANAGER}
        relations = {name: tuple(ids[id] for id in given) for name, given in seeded.relations.items()}
        ids[document["id"]] = backend.create(kind, Draft(values, relations)).id
        if _MANAGER in seeded.values:
            managers[document["id"]] = seeded.values[_MANAGER]
    for managed, manager in managers.items():
        backend.update("User", ids[managed], Change({_MANAGER: ids[manager]}))
    return ids


@pytest.fixture(scope="module")
def seeded(
    store_name: str,
    registry: Registry,
    new_database: Callable[[str], str],
    directory_servers: Callable[[str], Directory],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[_Seeded]:
    """A service on a store with the seed."""
    home = tmp_path_factory.mktemp("home")
    if store_name in DIRECTORY_SERVERS or store_name == "reference":
        with opened(store_name, registry, new_database, directory_servers) as backend:
            ids = _load(backend, registry)
            with running(backend, registry, home) as service:
                yield _Seeded(service.client(), ids, as_given=False)
        return
    issuer = _Issuer()
    database = SqlBackend(new_database(store_name), registry, new_id=issuer.new_id, now=issuer.now)
    database.create_schema()
    _load_as_given(database, registry, issuer)
    with running(database, registry, home) as service:
        yield _Seeded(service.client(), {}, as_given=True)
    database.close()


def _case_id(case: Mapping[str, Any]) -> str:
    return str(case["id"])


@pytest.mark.req("P-3.4.2.2-02", "P-3.4.2.2-05", "P-3.4.2.2-14", "P-3.4.2.2-15", "P-3.4.2.2-16", "P-3.4.2.2-17")
@pytest.mark.parametrize("case", VECTORS["filterCases"], ids=_case_id)
def test_filter_vector(
    case: Mapping[str, Any], seeded: _Seeded, record_property: Callable[[str, object], None]
) -> None:
    """The filter finds what the vector says, or what one of its open alternatives says, which is then named."""
    found = _filter_outcome(seeded.client.search(case["endpoint"], seeded.translate(case["filter"]), count="100"))
    expected = [case["expect"]]
    if not seeded.as_given and case["id"] in TIMES_OF_ITS_OWN:
        expected = [{"status": "200", "userNames": _by_own_times(seeded.client, *case["filter"].split())}]
    if case["strength"] in _LENIENT:
        expected += case.get("alternatives", ())
    if "nestedGroups" in case.get("requires", ()):
        # Only a store that holds a Group as a member could find it, and this service refuses to make one.
        expected = [{**case["expect"], "groupNames": []}]
    position = next((i for i, wanted in enumerate(expected) if _filter_meets(found, wanted)), None)
    assert position is not None, f"{case['filter']}: {found}, but expected {expected}"
    if position:
        record_property("alternative", f"{case['id']}: {expected[position]['why']}")


def _by_own_times(client: Client, path: str, operator: str, literal: str) -> list[str]:
    """The users whose time, as the service shows it, compares so."""
    listed = client.get("/Users", params={"count": "100"}).json()["Resources"]
    name, wanted = path.removeprefix("meta."), _moment(json.loads(literal))
    compare = {"gt": gt, "ge": ge, "eq": eq, "lt": lt}[operator]
    return [user["userName"] for user in listed if compare(_moment(user["meta"][name]), wanted)]


def test_the_documentation_names_what_a_directory_cannot_hold() -> None:
    """Each case with its reason."""
    page = Path(__file__).parents[2].joinpath("docs", "directories", "vectors.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| VF-")]
    filters = {case["id"]: case["filter"] for case in VECTORS["filterCases"]}
    assert rows == [[id, f"`{filters[id]}`", reason] for id, reason in TIMES_OF_ITS_OWN.items()]


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
