"""Entries that other tools make, move and change are the directory's, and Landfall's view of them stays right."""

from __future__ import annotations

import time

import ldap3

from app.scim.filter.bind import bind
from app.scim.filter.parse import parse_filter
from app.scim.query import Change, Delta, Draft, Query
from backends.ldap.backend import LdapBackend
from tests.ldap.store import Beside


def _found(backend: LdapBackend, kind: str, text: str) -> list[str]:
    filter = bind(parse_filter(text), backend.registry.type(kind))
    return [item.id for item in backend.search(kind, Query(frozenset(), filter)).items]


def _add_person(beside: Beside, name: str) -> str:
    """An account as another tool makes it, without anything of Landfall's."""
    if beside.server.kind == "active-directory":
        dn = f"CN={name},{beside.tree.people}"
        mail = f"{name}@corp.example"
        attributes = {"sAMAccountName": name, "userPrincipalName": name, "mail": mail, "sn": "Plain", "title": "Dr"}
        beside.connection.add(dn, "user", attributes)
        return dn
    dn = f"uid={name},{beside.tree.people}"
    values = {"cn": f"Common {name}", "sn": "Plain", "mail": f"{name}@corp.example", "title": "Dr"}
    beside.connection.add(dn, "inetOrgPerson", values)
    return dn


def test_an_account_of_another_tool(backend: LdapBackend, beside: Beside) -> None:
    """It is found by its attributes, read, changed, made a member, deactivated and deleted as any other; what Landfall
    does not change of it stays."""
    dn = _add_person(beside, "olduser")
    (id,) = _found(backend, "User", 'userName eq "OLDUSER"')
    assert _found(backend, "User", 'emails.value eq "olduser@corp.example" and name.familyName eq "plain"') == [id]
    kept = backend.get("User", id, backend.registry.type("User").readable).values
    assert (kept["userName"], kept["title"], kept["name.familyName"]) == ("olduser", "Dr", "Plain")
    assert kept["emails"][0]["value"] == "olduser@corp.example"
    backend.update("User", id, Change({"title": "Prof", "nickName": "Oldie", "externalId": "E-1"}))
    after = backend.get("User", id, backend.registry.type("User").readable).values
    assert after == {**kept, "title": "Prof", "nickName": "Oldie", "externalId": "E-1"}
    team = backend.create("Group", Draft({"displayName": "Team"}, {"members": (id,)}))
    assert [reference.id for _, reference in backend.related("Group", [team.id], "members")] == [id]
    assert beside.entry("(|(uid=olduser)(cn=olduser))", ("title", "mail"))[0].lower() == dn.lower()
    backend.delete("User", id)
    assert list(backend.related("Group", [team.id], "members")) == []


def test_a_change_by_another_tool_wins(backend: LdapBackend, beside: Beside) -> None:
    """What another tool writes into an attribute is what clients read, with a new version, although the record beside
    it says otherwise."""
    values = {"userName": "ann@corp.example", "displayName": "Straße", "title": "Dr", "nickName": "A"}
    ann = backend.create("User", Draft({**values, "emails": [{"value": "a@corp.example", "type": "home"}]}))
    everything = backend.registry.type("User").readable
    assert backend.get("User", ann.id, everything).values["displayName"] == "Straße"
    dn, _ = beside.entry("(|(uid=ann@corp.example)(userPrincipalName=ann@corp.example))", ("cn",))
    changes = {
        "displayName": [(ldap3.MODIFY_REPLACE, ["Ann Other"])],
        "mail": [(ldap3.MODIFY_REPLACE, ["b@corp.example"])],
    }
    assert beside.connection.modify(dn, changes)
    seen = backend.get("User", ann.id, everything)
    assert seen.stamp.version != ann.stamp.version
    assert seen.values["displayName"] == "Ann Other"
    assert [email["value"] for email in seen.values["emails"]] == ["b@corp.example"]
    assert (seen.values["title"], seen.values["nickName"]) == ("Dr", "A")
    assert _found(backend, "User", 'displayName eq "ann other"') == [ann.id]
    assert _found(backend, "User", 'displayName eq "strasse"') == []


def test_ids_survive_renames_and_moves(backend: LdapBackend, beside: Beside) -> None:
    """An entry that another tool renames or moves keeps its id, its groups and its manager; so does its manager's."""
    boss = backend.create("User", Draft({"userName": "boss@corp.example", "displayName": "The Boss"}))
    manager = next(slot for slot in backend.registry.type("User").slots if slot.endswith("manager.value"))
    name = manager.replace("manager.value", "manager.displayName")
    ann = backend.create("User", Draft({"userName": "ann@corp.example", manager: boss.id}))
    team = backend.create("Group", Draft({"displayName": "Team"}, {"members": (boss.id, ann.id)}))
    dn, _ = beside.entry("(|(uid=boss@corp.example)(userPrincipalName=boss@corp.example))", ("cn",))
    unit = "OU" if beside.server.kind == "active-directory" else "ou"
    below = f"{unit}=moved,{beside.tree.people}"
    beside.connection.add(below, "organizationalUnit", {"ou": "moved"})
    rdn = "CN=renamed" if beside.server.kind == "active-directory" else "uid=renamed"
    assert beside.connection.modify_dn(dn, rdn, new_superior=below)
    _settled(backend, ann.id, name)
    assert backend.get("User", boss.id, frozenset({"displayName"})).values == {"displayName": "The Boss"}
    assert backend.get("User", ann.id, frozenset({manager, name})).values == {manager: boss.id, name: "The Boss"}
    assert {r.id for _, r in backend.related("Group", [team.id], "members")} == {boss.id, ann.id}
    backend.update("User", boss.id, Change({"title": "CEO"}))
    backend.update("Group", team.id, Change(relations={"members": Delta(remove=(boss.id,))}))
    assert [r.id for _, r in backend.related("Group", [team.id], "members")] == [ann.id]


def _settled(backend: LdapBackend, id: str, slot: str) -> None:
    """Wait until the server has put the new name into what refers to the entry: OpenLDAP does it after its answer."""
    for _ in range(100):
        if slot in backend.get("User", id, frozenset({slot})).values:
            return
        time.sleep(0.05)


def test_a_new_user_name_renames_the_entry(backend: LdapBackend, beside: Beside) -> None:
    """A change of userName renames the entry; its id, its groups and the other attributes stay."""
    ann = backend.create("User", Draft({"userName": "ann@corp.example", "title": "Dr"}))
    team = backend.create("Group", Draft({"displayName": "Team"}, {"members": (ann.id,)}))
    backend.update("User", ann.id, Change({"userName": "anna@corp.example", "displayName": "Anna"}))
    filter = "(|(uid=anna@corp.example)(userPrincipalName=anna@corp.example))"
    dn, held = beside.entry(filter, ("uid", "title", "displayName"))
    assert dn.lower().startswith(("uid=anna@corp.example,", "cn=anna@corp.example,"))
    assert (held["title"], held["displayname"]) == (["Dr"], ["Anna"])
    assert [r.id for _, r in backend.related("Group", [team.id], "members")] == [ann.id]
    backend.update("Group", team.id, Change({"displayName": 'New, "Team" + #1'}))
    assert [r.display for _, r in backend.related("User", [ann.id], "groups")] == ['New, "Team" + #1']
