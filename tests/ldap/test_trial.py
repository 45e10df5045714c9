"""A trial: what the directory would be sent, as LDIF that does it, and nothing of it is sent."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from app.scim.query import Change, Delta, Draft, Query, Window
from app.scim.registry import load
from backends.base import Backend
from backends.errors import Duplicate, NotFound, UnknownReference, VersionMismatch
from backends.ldap.backend import LdapBackend
from config.directory import Kind
from tests.conformance.helpers import MANAGER, VERBATIM, group, groups, members, state, user, users
from tests.ldap.store import opened
from tests.support.directories import OpenLDAP

TEXTS = [text for text in VERBATIM if "\0" not in text]


def load_changes(server: OpenLDAP, lines: list[str], path: Path) -> None:
    """Let OpenLDAP's own program make the changes."""
    path.write_text("\n".join(["version: 1", "", *lines]))
    command = ["ldapmodify", "-x", "-H", server.ldaps_url, "-D", server.service_dn, "-w", server.service_password]
    environ = {**os.environ, "LDAPTLS_CACERT": str(server.ca_file)}
    done = subprocess.run([*command, "-f", str(path)], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def told(backend: Backend) -> list[dict[str, object]]:
    """What text the users have."""
    want = frozenset({"userName", "displayName", "externalId", "emails", "title"})
    items = backend.search("User", Query(want, window=Window(1, 1000))).items
    return sorted((dict(item.values) for item in items), key=lambda values: str(values["userName"]))


def test_nothing_is_sent(backend: LdapBackend) -> None:
    """Whatever is tried, on each kind of server, is seen within the trial, and the directory has received no write."""
    ann, bob = users(backend, 2)
    team = backend.create("Group", group("Team", [ann, bob]))
    before = state(backend, load())
    writes = backend.directory.counts.operations
    with backend.trial() as tried:
        it = tried.backend
        new = it.create("User", user("new", displayName="New"))
        it.update(
            "User",
            ann.id,
            Change({MANAGER: new.id, "title": "Dr"}),
            expect=it.get("User", ann.id, frozenset()).stamp.version,
        )
        it.update("Group", team.id, Change({"displayName": "Crew"}, {"members": Delta((new.id,), (bob.id,))}))
        with pytest.raises(UnknownReference):
            it.create("Group", group("Other", ["00000000-0000-0000-0000-000000000000"]))
        with pytest.raises(Duplicate):
            it.create("User", user("NEW"))
        with pytest.raises(VersionMismatch):
            it.update("User", bob.id, Change({"title": "x"}), expect="0")
        assert members(it, team.id) == {ann.id, new.id}
        if backend.bindings.kind is Kind.OPENLDAP:
            # The others keep that in an attribute of their own, which no write of this program is.
            assert groups(it, new.id) == {team.id}
        assert it.get("User", ann.id, frozenset({MANAGER})).values == {MANAGER: new.id}
        it.retire("User", bob.id)
        it.delete("User", ann.id)
        with pytest.raises(NotFound):
            it.get("User", ann.id, frozenset())
        assert members(it, team.id) == {new.id}
        assert [resource.id for resource in it.retired("User", frozenset()).items] == [bob.id]
        kinds = Counter(line for line in tried.taken() if line.startswith("changetype: "))
        assert (kinds["changetype: add"], kinds["changetype: delete"]) == (1, 1)
        assert tried.taken() == []
    assert backend.directory.counts.operations == writes
    assert state(backend, load()) == before


def test_ldif_does_what_was_tried(openldap: OpenLDAP, tmp_path: Path) -> None:
    """Hostile text, long text and text at its ends stand in the LDIF so that they come back; entries that are renamed,
    and what refers to them, follow."""
    tree = openldap.new_tree()
    with opened(openldap, tree) as backend:
        ann, bob = users(backend, 2)
        team = backend.create("Group", group("Team", [ann, bob]))
        backend.update("User", bob.id, Change({MANAGER: ann.id}))
        with backend.trial() as tried:
            for number, text in enumerate(TEXTS):
                values = {"displayName": text, "externalId": text, "emails": [{"value": text}]}
                tried.backend.create("User", Draft({"userName": f"u{number}", **values}))
            tried.backend.update("User", ann.id, Change({"userName": 'Zoë, "X" + <Y>', "title": "Dr"}))
            tried.backend.update("User", ann.id, Change({"title": "Prof"}))
            wanted, lines = told(tried.backend), tried.taken()
        assert len(told(backend)) == 2
        assert max(len(line) for line in lines if not line.startswith("#")) <= 76
        load_changes(openldap, lines, tmp_path / "changes.ldif")
        assert told(backend) == wanted
        assert members(backend, team.id) == {ann.id, bob.id}
        assert backend.get("User", bob.id, frozenset({MANAGER})).values == {MANAGER: ann.id}
    openldap.empty(tree)


def test_an_entry_of_two_names(openldap: OpenLDAP) -> None:
    """A trial gives an entry whose RDN has two parts the values that the directory gives it."""
    tree = openldap.new_tree()
    want = frozenset({"userName", "name.formatted"})
    with opened(openldap, tree) as backend, openldap.session() as connection:
        assert connection.add(f"uid=mv+cn=Mv Person,{tree.people}", "inetOrgPerson", {"sn": "Two"})
        (person,) = backend.search("User", Query(want)).items
        names = [{"name.formatted": "Other"}, {"userName": "new"}, {"userName": "both", "name.formatted": "Both"}]
        with backend.trial() as tried:
            seen = []
            for values in names:
                tried.backend.update("User", person.id, Change(dict(values)))
                seen.append(tried.backend.get("User", person.id, want).values)
            (found,) = tried.backend.search("User", Query(want)).items
            assert found.values == seen[-1]
        for values, expected in zip(names, seen, strict=True):
            backend.update("User", person.id, Change(dict(values)))
            assert backend.get("User", person.id, want).values == expected
        assert seen[-1] == names[-1]
    openldap.empty(tree)
