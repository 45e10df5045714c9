"""externalId over HTTP, on a directory whose bindings have no place for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest

from config.directory import Bindings, KindBindings
from tests.ldap.store import Beside, opened
from tests.support.directories import OpenLDAP
from tests.support.ldapstores import bindings_for
from tests.support.service import GROUP, USER, Client, running

K = TypeVar("K", bound=KindBindings)

REQUIRED = {"name": {"formatted": "Ann Lee", "familyName": "Lee"}, "active": True}
"""What every entry has, so that without a record every user has it too."""


@dataclass(frozen=True, slots=True)
class Plain:
    """The service on a directory that has the schema of its server and no other."""

    client: Client
    beside: Beside


@pytest.fixture
def plain(openldap: OpenLDAP, tmp_path: Path) -> Iterator[Plain]:
    tree = openldap.new_tree()
    bindings = _plain(bindings_for("openldap", tree))
    connection = openldap.connect()
    with (
        opened(openldap, tree, bindings) as backend,
        running(backend, backend.registry, tmp_path) as service,
        closing(service.client()) as client,
    ):
        yield Plain(client, Beside(openldap, tree, connection))
    connection.unbind()
    openldap.empty(tree)


def _plain(bindings: Bindings) -> Bindings:
    return replace(bindings, users=_without_schema(bindings.users), groups=_without_schema(bindings.groups))


def _without_schema(kind: K) -> K:
    """What is left for an operator who may not extend the schema of the directory."""
    singles = {slot: single for slot, single in kind.singles.items() if slot != "externalId"}
    classes = tuple(name for name in kind.object_classes if name != "landfallObject")
    return replace(kind, singles=singles, object_classes=classes, record=None, held=None)


@pytest.mark.req("S-3.1-10")
@pytest.mark.parametrize(
    ("endpoint", "document", "other"),
    [
        ("/Users", {"schemas": [USER], "userName": "ann", **REQUIRED}, {"title": "Head"}),
        ("/Groups", {"schemas": [GROUP], "displayName": "Team"}, {"displayName": "Crew"}),
    ],
    ids=["User", "Group"],
)
def test_external_id_from_creation_to_deletion(
    plain: Plain, endpoint: str, document: dict[str, object], other: dict[str, str]
) -> None:
    client = plain.client
    created = client.create(endpoint, {**document, "externalId": "E-1 "})
    assert created.status_code == 201, created.text
    made = created.json()
    path = f"{endpoint}/{made['id']}"
    assert made["externalId"] == "E-1 "
    assert client.get(path).json() == made
    assert client.found(endpoint, 'externalId eq "E-1 "') == {made["id"]}
    assert client.found(endpoint, 'externalId eq "E-1" or externalId eq "e-1 "') == set()

    stale = {"If-Match": made["meta"]["version"]}
    for value in ({"externalId": "E-2"}, other):
        changed = client.change(path, {"op": "replace", "value": value}, **{"If-Match": made["meta"]["version"]})
        assert changed.status_code in (200, 204), changed.text
        before, made = made, client.get(path).json()
        assert made == {**before, **value, "meta": made["meta"]}
        assert made["meta"]["version"] != before["meta"]["version"]
        assert made["meta"]["lastModified"] >= before["meta"]["lastModified"]
    refused = client.change(path, {"op": "replace", "value": {"externalId": "E-3"}}, **stale)
    assert refused.status_code == 412
    assert client.found(endpoint, 'not (externalId eq "E-1 ") and externalId sw "E"') == {made["id"]}

    assert client.change(path, {"op": "remove", "path": "externalId"}).status_code in (200, 204)
    assert "externalId" not in client.get(path).json()
    assert client.found(endpoint, "externalId pr") == set()
    assert client.change(path, {"op": "add", "path": "externalId", "value": "E-4"}).status_code in (200, 204)
    assert client.delete(path).status_code == 204
    assert client.found(endpoint, 'externalId eq "E-4"') == set()


def test_the_directory_holds_none_of_it(plain: Plain) -> None:
    """The entry has the classes and the attributes of the server's own schema, and no value that is the externalId."""
    plain.client.user("ann", externalId="E-1")
    dn, entry = plain.beside.entry("(uid=ann)", ("*", "+"))
    assert dn.startswith("uid=ann,")
    assert entry["objectclass"] == ["inetOrgPerson"]
    assert not any(name.startswith("landfall") for name in entry)
    assert not any("E-1" in value for values in entry.values() for value in values)


def test_discovery_claims_what_is_kept(plain: Plain) -> None:
    """What has no attribute in the directory is not in /Schemas, and is ignored when it is sent; externalId is kept."""
    published = {
        s["id"]: {a["name"] for a in s["attributes"]} for s in plain.client.get("/Schemas").json()["Resources"]
    }
    assert {"userName", "title", "emails", "active", "password"} <= published[USER]
    assert not {"nickName", "locale", "roles", "externalId"} & published[USER]
    assert published[GROUP] == {"displayName", "members"}
    unknown = {"nickName": "Annie", "roles": [{"value": "admin"}]}
    document = {"schemas": [USER], "userName": "ann", "externalId": "E-1", **REQUIRED}
    made = plain.client.create("/Users", {**document, **unknown}).json()
    assert plain.client.get(f"/Users/{made['id']}").json() == made
    assert made["externalId"] == "E-1"
    assert not {"nickName", "roles"} & made.keys()
