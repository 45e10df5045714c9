"""Where new entries go: by what they say, to units that are there; none is made."""

from __future__ import annotations

from app.scim.query import Draft
from tests.ldap.store import Beside, opened, with_users
from tests.support.directories import Directory, Tree
from tests.support.ldapstores import bindings_for


def test_the_first_place_that_there_is(directory: Directory, tree: Tree, beside: Beside) -> None:
    unit = tree.people[:2]
    beside.connection.add(f"{unit}=Dev,{tree.people}", "organizationalUnit", {"ou": "Dev"})
    bindings = with_users(bindings_for(directory.kind, tree), placement=(f"{unit}={{title}},{tree.people}",))
    with opened(directory, tree, bindings) as backend:
        for title, place in (("Dev", f"{unit}=Dev,{tree.people}"), ("Nowhere", tree.people), (None, tree.people)):
            name = f"{title}@corp.example"
            backend.create("User", Draft({"userName": name, **({"title": title} if title else {})}))
            dn, _ = beside.entry(f"(|(uid={name})(userPrincipalName={name}))", ("cn",))
            assert dn.partition(",")[2].lower() == place.lower()
    base = tree.people.partition(",")[2]
    beside.connection.search(base, "(ou=Nowhere)", attributes=["1.1"])
    assert not [r for r in beside.connection.response if r["type"] == "searchResEntry"]
