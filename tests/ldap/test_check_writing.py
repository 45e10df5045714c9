"""What `landfall check --write` proves by writing: rights, and that a lock locks.

OpenLDAP's remedies are run as they are printed, apart from the account that runs them, and must mend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import ldap3
import pytest

from app.scim.query import Draft, Stamp
from backends.base import State
from backends.ldap.checks_samples import PREFIX
from config.directory import Bindings, Lock, Password
from tests.ldap.checkups import (
    BELOW,
    HIDDEN_POLICIES,
    NO_LOCKOUT,
    NO_POLICIES,
    NO_POLICY_ENTRY,
    ON_BASES,
    READABLE,
    Variant,
    backend_for,
    faults,
    findings,
    left,
    run_remedy,
    variants,
)
from tests.support.directories import Directory, DirectoryServer389, OpenLDAP, SambaAD, Tree
from tests.support.directory_openldap import PASSWORD, SERVICE, SUFFIX


@pytest.fixture
def variant(directory_servers: Callable[[str], Directory], monkeypatch: pytest.MonkeyPatch) -> Iterator[Variant]:
    """See `variants`."""
    yield from variants(directory_servers, monkeypatch)


class TestLocks:
    @pytest.mark.parametrize(
        ("changes", "read"),
        [
            pytest.param([NO_POLICIES, READABLE], State.FAULT, id="no overlay"),
            pytest.param([NO_POLICIES], State.WARNING, id="no overlay, and the configuration can't be read"),
            pytest.param([NO_LOCKOUT, READABLE], State.FAULT, id="pwdLockout is FALSE"),
            pytest.param([NO_LOCKOUT], State.FAULT, id="pwdLockout is FALSE, and the configuration can't be read"),
            pytest.param([NO_LOCKOUT, HIDDEN_POLICIES], State.WARNING, id="nothing can be read"),
        ],
    )
    def test_one_that_does_nothing_is_found_and_mended(
        self, variant: Variant, changes: list[tuple[str, str]], read: State
    ) -> None:
        server = variant(*changes)
        guessed = findings(server, server.tree)["lock"]
        assert guessed.state is read, guessed
        assert read is State.FAULT or "--write" in guessed.text
        proved = findings(server, server.tree, write=True)
        assert faults(proved).keys() == {"lock"}
        assert "a locked account signed in" in proved["lock"].text
        assert left(server, server.tree) == []
        if HIDDEN_POLICIES not in changes:
            # A policy that can't be seen can't be told apart from one that is missing.
            run_remedy(server, proved["lock"].mend.replace("dc=example,dc=org", SUFFIX))
            mended = findings(server, server.tree, write=True)
            assert faults(mended) == {}
            assert "its sign-in was refused" in mended["lock"].text

    def test_the_module_is_not_there(self, variant: Variant) -> None:
        server = variant(NO_POLICIES, ("olcModuleLoad: ppolicy\n", ""), NO_POLICY_ENTRY)
        found = findings(server, server.tree)
        (what,) = faults(found)
        assert what.endswith("users.lock")
        run_remedy(server, found[what].mend.replace("dc=example,dc=org", SUFFIX))
        assert faults(findings(server, server.tree, write=True)) == {}

    def test_a_policy_that_applies_to_nobody(self, variant: Variant) -> None:
        server = variant(READABLE, (f"olcPPolicyDefault: cn=default,ou=policies,{SUFFIX}\n", ""))
        read = findings(server, server.tree)["lock"]
        assert read.state is State.FAULT
        assert "no policy for everyone" in read.text
        assert findings(server, server.tree, write=True)["lock"].state is State.FAULT

    def test_the_end_of_a_password_needs_no_lockout(self, variant: Variant) -> None:
        def by_end(bindings: Bindings) -> Bindings:
            return replace(bindings, users=replace(bindings.users, lock=Lock.PWD_END_TIME))

        server = variant(NO_LOCKOUT)
        found = findings(server, server.tree, write=True, change=by_end)
        assert found["lock"].state is State.OK, found["lock"]

    def test_bindings_without_a_lock(self, directory: Directory, tree: Tree) -> None:
        def none(bindings: Bindings) -> Bindings:
            return replace(bindings, users=replace(bindings.users, lock=Lock.NONE))

        for write in (False, True):
            found = findings(directory, tree, change=none, write=write)
            assert found["lock"].state is State.WARNING
            assert "can still sign in" in found["lock"].text

    def test_without_passwords_it_is_not_proved(self, directory: Directory, tree: Tree) -> None:
        def none(bindings: Bindings) -> Bindings:
            return replace(bindings, users=replace(bindings.users, password=Password.NONE))

        found = findings(directory, tree, change=none, write=True)
        assert found["lock"].state is State.WARNING
        assert "no password can be set" in found["lock"].text
        assert left(directory, tree) == []


class TestRetiring:
    def test_is_proved_by_doing_it(self, directory: Directory, tree: Tree) -> None:
        assert "`landfall check --write` retires one" in findings(directory, tree)["retiring"].text
        found = findings(directory, tree, write=True)["retiring"]
        assert found.state is State.OK, found
        assert "came back, and could sign in again afterwards only" in found.text
        assert left(directory, tree) == []

    def test_who_is_there_and_not_locked_is_named(self, directory: Directory, tree: Tree) -> None:
        backend = backend_for(directory, tree)
        for name in ("ann", "bob"):
            backend.retire("User", backend.create("User", Draft({"userName": name, "active": True})).id)
        backend.create("User", Draft({"userName": "cid", "active": True}))
        backend.close()
        with directory.session() as connection:
            connection.search(tree.people, "(|(uid=cid)(userPrincipalName=cid))", attributes=["1.1"])
            dn = next(entry["dn"] for entry in connection.response if entry["type"] == "searchResEntry")
            connection.modify_dn(dn, dn.partition(",")[0], new_superior=tree.retired)
        found = findings(directory, tree)["retiring"]
        assert found.state is State.WARNING
        assert found.text.endswith(f"can sign in: {dn.partition(',')[0]},{tree.retired}")

    def test_without_a_place_nobody_is(self, directory: Directory, tree: Tree) -> None:
        def nowhere(bindings: Bindings) -> Bindings:
            return replace(bindings, users=replace(bindings.users, retired=None))

        for write in (False, True):
            found = findings(directory, tree, change=nowhere, write=write)["retiring"]
            assert found.state is State.OK
            assert "users can't be retired" in found.text


class TestRights:
    def test_openldap_gives_none(self, variant: Variant) -> None:
        server = variant((BELOW, ""), (ON_BASES, ""))
        found = findings(server, server.tree, write=True)
        assert faults(found).keys() == {"rights"}
        assert "a user can't be created" in found["rights"].text
        run_remedy(server, found["rights"].mend)
        mended = findings(server, server.tree, write=True)
        assert faults(mended) == {}
        assert left(server, server.tree) == []
        base = server.connect(SERVICE, PASSWORD)
        with pytest.raises(ldap3.core.exceptions.LDAPInsufficientAccessRightsResult):
            base.modify(server.people, {"description": [(ldap3.MODIFY_ADD, ["mine"])]})
        base.unbind()

    def test_389_gives_none(self, ds389: DirectoryServer389) -> None:
        tree = ds389.new_tree()
        with ds389.session() as connection:
            for base in (tree.people, tree.groups, tree.retired):
                connection.modify(base, {"aci": [(ldap3.MODIFY_DELETE, [])]})
        found = findings(ds389, tree, write=True)
        assert faults(found).keys() == {"rights"}
        run_remedy(ds389, found["rights"].mend)
        assert faults(findings(ds389, tree, write=True)) == {}

    def test_active_directory_tells_what_it_gives(self, samba: SambaAD) -> None:
        root = f"OU=plain,{samba.suffix}"
        tree = Tree(f"OU=people,{root}", f"OU=groups,{root}")
        with samba.session() as connection:
            for name in (root, tree.people, tree.groups, tree.retired):
                connection.add(name, "organizationalUnit")
            found = findings(samba, tree)
            assert faults(found).keys() == {"rights on users", "rights on groups"}
            assert "dsacls" in found["rights on users"].mend
            assert "samba-tool dsacl set" in found["rights on users"].mend
            assert "rights" in faults(findings(samba, tree, write=True))
            for name in (tree.people, tree.groups, tree.retired, root):
                connection.delete(name)

    def test_what_was_made_is_removed_after_a_failure(self, variant: Variant) -> None:
        server = variant((ON_BASES, ON_BASES.replace("(people|groups|retired)", "(people|retired)")))
        found = findings(server, server.tree, write=True)
        assert "a group can't be created" in faults(found)["rights"]
        assert left(server, server.tree) == []

    def test_what_was_made_is_removed_after_an_interruption(
        self, directory: Directory, tree: Tree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        backend = backend_for(directory, tree)

        def interrupted(*_: object, **__: object) -> Stamp:
            assert len(left(directory, tree)) == 1
            raise KeyboardInterrupt

        monkeypatch.setattr(backend, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(backend.findings(write=True))
        backend.close()
        assert left(directory, tree) == []

    def test_what_can_not_be_removed_is_named(self, variant: Variant) -> None:
        server = variant((ON_BASES, ON_BASES.replace(" write by", " =arscxd by")))
        found = findings(server, server.tree, write=True)
        assert "no write access" in faults(found)["retiring"]
        rest = left(server, server.tree)
        assert rest
        assert all(PREFIX in name for name in rest)
        assert found["leftovers"].state is State.FAULT
        assert found["leftovers"].mend.startswith("ldapdelete")
        server.empty(server.tree)

    def test_what_an_earlier_check_left_is_named(self, openldap: OpenLDAP) -> None:
        tree = openldap.new_tree()
        backend = backend_for(openldap, tree)
        backend.create("User", Draft({"userName": f"{PREFIX}old"}))
        backend.close()
        found = findings(openldap, tree, write=True)
        assert found["leftovers"].state is State.WARNING
        assert f"uid={PREFIX}old" in found["leftovers"].mend
        assert left(openldap, tree) == [f"uid={PREFIX}old,{tree.people}"]
