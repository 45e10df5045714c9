"""`landfall check` on real directories: what is right is found right, and what is broken is found with its remedy.

OpenLDAP's remedies are run as they are printed, apart from the account that runs them, and must mend.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import ldap3
import pytest

from app.scim.query import Draft, Stamp
from app.scim.registry import load
from backends.base import Finding, State
from backends.ldap.backend import LdapBackend
from backends.ldap.checks_samples import PREFIX
from backends.ldap.drivers import connector
from backends.ldap.drivers.base import Access, Address, Tls
from backends.ldap.pool import Directory as Connections
from config.bindings import load_bindings
from config.directory import Bindings, Kind, Lock, Password
from tests.cli import conftest as cli
from tests.cli.conftest import Landfall
from tests.ldap.conftest import _selected
from tests.support import directory_openldap
from tests.support.directories import Directory, DirectoryServer389, OpenLDAP, SambaAD, Tree
from tests.support.directory_base import SCHEMA
from tests.support.directory_openldap import CONFIGURATION, ENTRIES, PASSWORD, SERVICE, SUFFIX
from tests.support.directory_tls import Authority, authority
from tests.support.ldapstores import bindings_for
from tests.support.servers import free_port, program

REGISTRY = load()
EXPECTED = ("Type or value exists (20)", "Already exists (68)", "(implementation specific) error (80)")
Variant = Callable[..., OpenLDAP]


def backend_for(
    server: Directory,
    tree: Tree,
    *,
    change: Callable[[Bindings], Bindings] = lambda bindings: bindings,
    addresses: list[Address] | None = None,
    bind_dn: str | None = None,
    password: str | None = None,
    ca_file: Path | None = None,
) -> LdapBackend:
    """A back end as `landfall check` opens it, with the shipped bindings."""
    access = Access(
        bind_dn or server.service_dn,
        server.service_password if password is None else password,
        ca_file=str(ca_file or server.ca_file),
        connect_timeout=10,
    )
    to = addresses or [Address(server.host, server.ldaps_port, Tls.LDAPS)]
    directory = Connections(to, access, connector("ldap3"), size=4)
    return LdapBackend(directory, change(bindings_for(server.kind, tree)), REGISTRY)


def findings(server: Directory, tree: Tree, *, write: bool = False, **how: object) -> dict[str, Finding]:
    """The findings by what they are about; the gravest where there are several."""
    backend = backend_for(server, tree, **how)  # type: ignore[arg-type]
    order = (State.OK, State.WARNING, State.FAULT)
    found: dict[str, Finding] = {}
    try:
        for finding in backend.findings(write=write):
            known = found.get(finding.what)
            if known is None or order.index(finding.state) > order.index(known.state):
                found[finding.what] = finding
    finally:
        backend.close()
    return found


def faults(found: Mapping[str, Finding]) -> dict[str, str]:
    return {what: finding.text for what, finding in found.items() if finding.state is State.FAULT}


def left(server: Directory, tree: Tree) -> list[str]:
    """The DNs below both bases of a tree."""
    names = []
    with server.session() as connection:
        for base in (tree.people, tree.groups):
            connection.search(base, "(objectClass=*)", attributes=["1.1"])
            names += [entry["dn"] for entry in connection.response if entry.get("dn")]
    bases = {tree.people.lower(), tree.groups.lower()}
    return [name for name in names if name.lower() not in bases]


def add_users(server: Directory, tree: Tree, count: int) -> None:
    backend = backend_for(server, tree)
    for number in range(count):
        backend.create("User", Draft({"userName": f"person{number}"}))
    backend.close()


@pytest.fixture
def variant(directory_servers: Callable[[str], Directory], monkeypatch: pytest.MonkeyPatch) -> Iterator[Variant]:
    """Starts an OpenLDAP whose configuration or entries have other text in some places."""
    _selected("openldap", directory_servers)
    running: list[OpenLDAP] = []

    def start(*changes: tuple[str, str]) -> OpenLDAP:
        for old, new in changes:
            names = [name for name in ("CONFIGURATION", "ENTRIES") if old in getattr(directory_openldap, name)]
            assert names, f"there is no such text to be changed: {old}"
            for name in names:
                monkeypatch.setattr(directory_openldap, name, getattr(directory_openldap, name).replace(old, new))
        server = OpenLDAP()
        running.append(server)
        return server.__enter__()

    yield start
    for server in running:
        server.close()


def section(start: str) -> str:
    """The part of the configuration that begins so, up to the blank line."""
    begin = CONFIGURATION.index(start)
    return CONFIGURATION[begin:].partition("\n\n")[0].rstrip() + "\n"


READABLE = ("olcRootDN: cn=config\n", f'olcRootDN:  cn=config\nolcAccess: to * by dn.exact="{SERVICE}" read\n')
NO_POLICIES = (section("dn: olcOverlay={0}ppolicy"), "")
NO_LOCKOUT = ("pwdLockout: TRUE", "pwdLockout: FALSE")
HIDDEN_POLICIES = (
    f'olcAccess: to * by dn.exact="{SERVICE}" read by',
    f'olcAccess: to dn.subtree="ou=policies,{SUFFIX}" by * none\nolcAccess: to *  by dn.exact="{SERVICE}" read by',
)
NO_POLICY_ENTRY = (ENTRIES[ENTRIES.index(f"dn: cn=default,ou=policies,{SUFFIX}") :], "")
INDEXED = next(line for line in CONFIGURATION.splitlines() if "landfallHeld" in line)
OVERLAYS = ("ppolicy", "refint", "unique", "sssvlv")
NO_REFERENTIAL = (section("dn: olcOverlay={1}refint"), "")
NO_UNIQUE = (section("dn: olcOverlay={2}unique"), "")
BELOW = CONFIGURATION[CONFIGURATION.index('olcAccess: to dn.regex="^.+,') :].partition("\n")[0] + "\n"
ON_BASES = CONFIGURATION[CONFIGURATION.index('olcAccess: to dn.regex="^ou') :].partition("\n")[0] + "\n"


def documents(mend: str) -> list[str]:
    """The LDIF of each here-document."""
    return [part.split("\nEND", 1)[0] for part in mend.split("<<'END'\n")[1:]]


def run_remedy(server: Directory, mend: str) -> None:
    """Do what a remedy says, over the network: cn=config as its own administrator, the rest as the directory's."""
    for text in documents(mend):
        account = ("cn=config", PASSWORD) if "cn=config" in text else (server.admin_dn, server.admin_password)
        done = subprocess.run(
            [program("ldapmodify"), "-c", "-a", "-x", "-H", server.url, "-D", account[0], "-w", account[1]],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        # A module that is loaded already can't be loaded again, and what is there can't be added; the remedy goes on.
        refused = [line for line in done.stderr.splitlines() if line.startswith("ldap_")]
        unexpected = [line for line in refused if not line.endswith(EXPECTED)]
        assert not unexpected, done.stderr


class TestAGoodDirectory:
    @pytest.mark.parametrize("write", [False, True], ids=["reading", "writing"])
    def test_has_no_fault_and_is_left_as_it_was(self, directory: Directory, tree: Tree, write: bool) -> None:
        found = findings(directory, tree, write=write)
        assert faults(found) == {}
        assert left(directory, tree) == []
        assert found["rights"].state is State.OK

    def test_is_proved_by_writing(self, directory: Directory, tree: Tree) -> None:
        add_users(directory, tree, 3)
        before = sorted(left(directory, tree))
        found = findings(directory, tree, write=True)
        assert faults(found) == {}
        assert "3 below" in found["users"].text
        for what in ("lock", "uniqueness", "referential integrity", "rights", "limits", "kind"):
            assert what == "limits" or found[what].state is State.OK, found[what]
        assert "its sign-in was refused" in found["lock"].text
        assert "followed" in found["referential integrity"].text
        assert sorted(left(directory, tree)) == before
        directory.empty(tree)

    def test_tells_of_all_that_it_can_read(self, variant: Variant) -> None:
        server = variant(READABLE)
        found = findings(server, server.tree)
        assert {what for what, finding in found.items() if finding.state is not State.OK} == set()
        assert "landfallHeld" in found["indexes"].text
        assert "keeps uid unique" in found["uniqueness"].text
        assert "are sorted" in found["large groups"].text
        assert "no limit" in found["limits"].text


class TestTheWayThere:
    def test_a_wrong_password(self, directory: Directory, tree: Tree) -> None:
        found = findings(directory, tree, password="not-this-one")
        ((what, finding),) = found.items()
        assert what == directory.ldaps_url
        assert finding.state is State.FAULT
        assert "password is wrong" in finding.text
        assert "ldapwhoami -x" in finding.mend
        assert "LANDFALL_LDAP_PASSWORD_FILE" in finding.mend
        assert "not-this-one" not in str(found)

    def test_a_wrong_password_is_sent_once(self, openldap: OpenLDAP) -> None:
        addresses = [Address(host, openldap.ldaps_port, Tls.LDAPS) for host in ("127.0.0.1", "localhost")]
        found = findings(openldap, openldap.tree, addresses=addresses, password="not-this-one")
        first, second = found.values()
        assert first.state is State.FAULT
        assert "no sign-in tried" in second.text

    def test_an_authority_that_is_not_trusted(self, openldap: OpenLDAP, tmp_path: Path) -> None:
        other = tmp_path / "other.pem"
        other.write_bytes(Authority().certificate_pem)
        (finding,) = findings(openldap, openldap.tree, ca_file=other).values()
        assert finding.state is State.FAULT
        assert f"authority that is not in ldap.ca_file ({other})" in finding.text
        assert "openssl s_client" in finding.mend

    def test_a_certificate_for_another_host(self, openldap: OpenLDAP) -> None:
        with OpenLDAP(authority().identity("elsewhere.test")) as server:
            (finding,) = findings(server, server.tree).values()
        assert finding.state is State.FAULT
        assert "certificate is for another host than 127.0.0.1" in finding.text
        assert "subjectAltName" in finding.mend

    def test_a_certificate_that_is_not_valid_by_starttls(self, openldap: OpenLDAP, tmp_path: Path) -> None:
        other = tmp_path / "other.pem"
        other.write_bytes(Authority().certificate_pem)
        start = [Address("127.0.0.1", openldap.port, Tls.START_TLS)]
        (finding,) = findings(openldap, openldap.tree, addresses=start, ca_file=other).values()
        assert "signed by an authority" in finding.text
        assert "-starttls ldap" in finding.mend
        assert faults(findings(openldap, openldap.tree, addresses=start)) == {}

    def test_a_server_that_does_not_run(self, openldap: OpenLDAP) -> None:
        nobody = Address("127.0.0.1", free_port(), Tls.LDAPS)
        (alone,) = findings(openldap, openldap.tree, addresses=[nobody]).values()
        assert alone.state is State.FAULT
        assert "can't be reached" in alone.text
        assert f":{nobody.port}" in alone.mend
        good = Address("127.0.0.1", openldap.ldaps_port, Tls.LDAPS)
        found = findings(openldap, openldap.tree, addresses=[good, nobody])
        assert found[str(nobody)].state is State.WARNING
        assert faults(found) == {}

    def test_tls_on_a_port_without_it(self, openldap: OpenLDAP) -> None:
        (finding,) = findings(
            openldap, openldap.tree, addresses=[Address("127.0.0.1", openldap.port, Tls.LDAPS)]
        ).values()
        assert finding.state is State.FAULT
        assert "TLS" in finding.text

    def test_clear_text_is_refused_by_active_directory(self, samba: SambaAD) -> None:
        clear = [Address("127.0.0.1", samba.port, Tls.NONE)]
        (finding,) = findings(samba, samba.tree, addresses=clear).values()
        assert finding.state is State.FAULT
        assert "no password in clear text" in finding.text
        assert "ldaps://" in finding.mend


class TestWhatIsThere:
    def test_a_base_that_is_missing(self, directory: Directory, tree: Tree) -> None:
        gone = Tree(tree.people, tree.groups.replace("=groups", "=nowhere", 1))
        found = findings(directory, gone, write=True)
        ((key, text),) = faults(found).items()
        assert key.endswith("groups.base")
        assert "nowhere" in text
        assert found["--write"].state is State.WARNING

    def test_bindings_for_another_kind_of_server(self, openldap: OpenLDAP) -> None:
        def other(bindings: Bindings) -> Bindings:
            return replace(bindings, kind=Kind.DS389)

        found = findings(openldap, openldap.tree, change=other)
        assert "the server is OpenLDAP" in found["kind"].text
        assert found["kind"].state is State.FAULT

    def test_the_schema_is_missing(self, variant: Variant) -> None:
        server = variant(
            ("include: file://@BASE@/landfall.ldif\n\n", ""),
            ("manager,landfallHeld,landfallExternalId eq", "manager eq"),
        )
        found = findings(server, server.tree, write=True)
        mends = {finding.mend for finding in found.values() if "landfallObject" in finding.text}
        (mend,) = mends
        assert "ldapadd -Y EXTERNAL -H ldapi:/// -f deploy/ldap/landfall.ldif" in mend
        text = (SCHEMA / "landfall.ldif").read_text()
        run_remedy(server, f"<<'END'\n{text}\nEND")
        assert faults(findings(server, server.tree, write=True)) == {}


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
            for base in (tree.people, tree.groups):
                connection.modify(base, {"aci": [(ldap3.MODIFY_DELETE, [])]})
        found = findings(ds389, tree, write=True)
        assert faults(found).keys() == {"rights"}
        run_remedy(ds389, found["rights"].mend)
        assert faults(findings(ds389, tree, write=True)) == {}

    def test_active_directory_tells_what_it_gives(self, samba: SambaAD) -> None:
        root = f"OU=plain,{samba.suffix}"
        tree = Tree(f"OU=people,{root}", f"OU=groups,{root}")
        with samba.session() as connection:
            for name in (root, tree.people, tree.groups):
                connection.add(name, "organizationalUnit")
            found = findings(samba, tree)
            assert faults(found).keys() == {"rights on users", "rights on groups"}
            assert "dsacls" in found["rights on users"].mend
            assert "samba-tool dsacl set" in found["rights on users"].mend
            assert "rights" in faults(findings(samba, tree, write=True))
            for name in (tree.people, tree.groups, root):
                connection.delete(name)

    def test_what_was_made_is_removed_after_a_failure(self, variant: Variant) -> None:
        server = variant((ON_BASES, ON_BASES.replace("(people|groups)", "(people)")))
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
        assert "rights" in faults(found)
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


class TestWhatTheServerLooksAfter:
    def test_uniqueness(self, variant: Variant) -> None:
        server = variant(NO_UNIQUE)
        found = findings(server, server.tree, write=True)
        assert found["uniqueness"].state is State.WARNING
        assert "two requests at the same moment" in found["uniqueness"].text
        run_remedy(server, found["uniqueness"].mend)
        assert findings(server, server.tree, write=True)["uniqueness"].state is State.OK
        assert left(server, server.tree) == []

    def test_referential_integrity(self, variant: Variant) -> None:
        server = variant(NO_REFERENTIAL)
        found = findings(server, server.tree, write=True)
        assert faults(found).keys() == {"referential integrity"}
        assert "keeps the old DN" in found["referential integrity"].text
        run_remedy(server, found["referential integrity"].mend)
        assert findings(server, server.tree, write=True)["referential integrity"].state is State.OK

    def test_member_of(self, variant: Variant) -> None:
        def bound(bindings: Bindings) -> Bindings:
            return replace(bindings, users=replace(bindings.users, member_of="memberOf"))

        server = variant(READABLE, ("olcModuleLoad: sssvlv", "olcModuleLoad:  sssvlv\nolcModuleLoad: memberof"))
        assert faults(findings(server, server.tree, change=bound)).keys() == {"member_of"}
        found = findings(server, server.tree, write=True, change=bound)
        assert faults(found).keys() == {"member_of"}
        assert "without groups" in found["member_of"].text
        run_remedy(server, found["member_of"].mend)
        assert faults(findings(server, server.tree, write=True, change=bound)) == {}

    def test_indexes(self, variant: Variant) -> None:
        server = variant(
            READABLE, ("member,uniqueMember,manager,landfallHeld,landfallExternalId eq", "manager,landfallHeld  eq")
        )
        found = findings(server, server.tree)["indexes"]
        assert found.state is State.WARNING
        assert "no equality index on member (members)" in found.text
        run_remedy(server, found.mend)
        assert findings(server, server.tree)["indexes"].state is State.OK

    def test_an_index_for_presence_is_none_for_equality(self, variant: Variant) -> None:
        server = variant(READABLE, (INDEXED, INDEXED.replace(" eq", " pres")))
        found = findings(server, server.tree)["indexes"]
        assert found.state is State.WARNING
        assert "landfallHeld" in found.text

    def test_indexes_that_can_not_be_read(self, openldap: OpenLDAP) -> None:
        found = findings(openldap, openldap.tree)["indexes"]
        assert found.state is State.WARNING
        assert "can't be read" in found.text
        assert "olcDbIndex" in found.mend

    def test_indexes_of_active_directory_are_in_its_schema(self, samba: SambaAD) -> None:
        found = findings(samba, samba.tree)["indexes"]
        assert found.state is State.WARNING
        assert "extensionName" in found.text
        assert "userPrincipalName" not in found.text
        assert "member" not in found.text
        assert "searchFlags" in found.mend

    def test_what_389_keeps_in_its_configuration(self, ds389: DirectoryServer389) -> None:
        index = "cn=manager,cn=index,cn=userroot,cn=ldbm database,cn=plugins,cn=config"
        right = f'(targetattr="*")(version 3.0; acl "all"; allow (read, search, compare) userdn="ldap:///{SERVICE}";)'
        with ds389.session() as connection:
            connection.modify("cn=config", {"aci": [(ldap3.MODIFY_ADD, [right])]})
            try:
                found = findings(ds389, ds389.tree)
                assert {what for what, finding in found.items() if finding.state is not State.OK} == set()
                connection.modify(index, {"nsIndexType": [(ldap3.MODIFY_REPLACE, ["pres"])]})
                missing = findings(ds389, ds389.tree)["indexes"]
            finally:
                connection.modify("cn=config", {"aci": [(ldap3.MODIFY_DELETE, [right])]})
                connection.modify(index, {"nsIndexType": [(ldap3.MODIFY_REPLACE, ["eq"])]})
        assert missing.state is State.WARNING
        assert "manager (manager)" in missing.text
        assert "dsconf INSTANCE backend index add --attr manager --index-type eq --reindex userroot" in missing.mend

    def test_limits(self, variant: Variant) -> None:
        limits = CONFIGURATION[CONFIGURATION.index("olcLimits") :].partition("\n")[0]
        server = variant((limits, "olcSizeLimit: 5"))
        warned = findings(server, server.tree)["limits"]
        assert warned.state is State.WARNING
        add_users(server, server.tree, 8)
        found = findings(server, server.tree)
        assert "stops a search" in faults(found)["users"]
        run_remedy(server, found["users"].mend)
        assert faults(findings(server, server.tree)) == {}

    def test_sorted_members(self, variant: Variant) -> None:
        server = variant(READABLE, ("olcSortVals: member uniqueMember\n", ""))
        found = findings(server, server.tree)["large groups"]
        assert found.state is State.WARNING
        assert "olcSortVals: member" in found.mend

    def test_passwords_in_the_clear(self, variant: Variant) -> None:
        def clear(bindings: Bindings) -> Bindings:
            return replace(bindings, users=replace(bindings.users, password=Password.USER_PASSWORD))

        server = variant(READABLE, ("olcPPolicyHashCleartext: TRUE", "olcPPolicyHashCleartext: FALSE"))
        found = findings(server, server.tree, change=clear)
        assert "clear text" in faults(found)["password"]
        assert 'password = "modify"' in found["password"].mend

    def test_sorting(self, variant: Variant) -> None:
        overlay = section("dn: olcOverlay={3}sssvlv")
        server = variant((overlay, ""), ("olcModuleLoad: sssvlv\n", ""))
        found = findings(server, server.tree)["sorting"]
        assert "does not sort" in found.text
        run_remedy(server, found.mend)
        assert "does not" not in findings(server, server.tree)["sorting"].text

    def test_389_without_stamps(self, ds389: DirectoryServer389) -> None:
        def stamped(bindings: Bindings) -> Bindings:
            return replace(bindings, groups=replace(bindings.groups, version="modifiersname;x-none"))

        tree = ds389.new_tree()
        backend = backend_for(ds389, tree)
        backend.create("Group", Draft({"displayName": "one"}))
        backend.close()
        found = findings(ds389, tree, change=stamped)
        assert "groups" in faults(found)
        assert "plugin usn enable" in found["groups"].mend


class TestThePages:
    def test_openldap_is_prepared_by_its_page(self, variant: Variant) -> None:
        """A server that has nothing but a suffix and rules in which the account of the page does not occur."""
        other = SERVICE.replace("landfall", "scim")
        bare = [(section(f"dn: olcOverlay={{{number}}}{name}"), "") for number, name in enumerate(OVERLAYS)]
        bare += [(f"olcModuleLoad: {name}\n", "") for name in OVERLAYS]
        bare += [
            (line + "\n", "") for line in CONFIGURATION.splitlines() if line.startswith(("olcDbIndex", "olcLimits"))
        ]
        bare += [("include: file://@BASE@/landfall.ldif\n\n", ""), ("olcSortVals: member uniqueMember\n", "")]
        bare += [(line + "\n", "") for line in CONFIGURATION.splitlines() if "olcAccess: to dn.regex" in line]
        bare += [
            (f'userPassword by dn.exact="{SERVICE}" =w by self', "userPassword by self"),
            NO_POLICY_ENTRY,
            (READABLE[0], READABLE[1].replace(SERVICE, other)),
        ]
        server = variant(*bare)
        assert faults(findings(server, server.tree))
        page = (SCHEMA.parents[1] / "docs/directories/openldap.md").read_text().replace("dc=example,dc=org", SUFFIX)
        page = page.replace(SERVICE, other).replace("cn: landfall\n", "cn: scim\n")
        assert "ldapadd -Y EXTERNAL -H ldapi:/// -f deploy/ldap/landfall.ldif" in page
        blocks = [block.partition("```")[0] for block in page.split("```ldif\n")[1:]]
        schema = (SCHEMA / "landfall.ldif").read_text()
        run_remedy(server, "".join(f"<<'END'\n{block}\nEND\n" for block in (schema, *blocks)))
        found = findings(server, server.tree, write=True, bind_dn=other, password="change-me")
        assert {what: finding.text for what, finding in found.items() if finding.state is not State.OK} == {}

    def test_389_gives_the_rights_of_its_page(self, ds389: DirectoryServer389) -> None:
        tree, other = ds389.new_tree(), SERVICE.replace("landfall", "scim")
        text = (SCHEMA.parents[1] / "docs/directories/389ds.md").read_text()
        for old, new in (
            ("ou=people,dc=example,dc=org", tree.people),
            ("ou=groups,dc=example,dc=org", tree.groups),
            ("dc=example,dc=org", SUFFIX),
            (SERVICE, other),
            ("cn: landfall\n", "cn: scim\n"),
        ):
            text = text.replace(old, new)
        (block,) = [block.partition("```")[0] for block in text.split("```ldif\n")[1:]]
        with ds389.session() as connection:
            for base in (tree.people, tree.groups):
                connection.modify(base, {"aci": [(ldap3.MODIFY_DELETE, [])]})
            run_remedy(ds389, f"<<'END'\n{block}\nEND\n")
            try:
                found = findings(ds389, tree, write=True, bind_dn=other, password="change-me")
            finally:
                connection.delete(other)
        assert {what for what, finding in found.items() if finding.state is not State.OK} == {"indexes"}
        assert "can't be read" in found["indexes"].text

    @pytest.mark.parametrize("kind", ["openldap", "389ds", "active-directory"])
    def test_every_attribute_of_the_bindings_is_in_the_table(self, kind: str) -> None:
        pages = SCHEMA.parents[1] / "docs/directories"
        text = (pages / ("openldap" if kind == "389ds" else kind)).with_suffix(".md").read_text()
        bindings = load_bindings(kind)
        for table in (bindings.users, bindings.groups):
            assert [name for _, name in table.attributes() if f"`{name}`" not in text] == []


@pytest.fixture
def configured(
    tmp_path: Path, openldap: OpenLDAP, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Landfall, dict[str, str], Tree]]:
    """The command, and an environment in which it is configured for a tree of OpenLDAP."""
    # ldap3 uses names that pyasn1 has deprecated.
    lenient = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-m", "app.cli"]
    monkeypatch.setattr(cli, "COMMAND", lenient)
    landfall, tree = cli.Landfall(tmp_path), openldap.new_tree()
    text = Path(directory_openldap.__file__).parents[2].joinpath("config/bindings/openldap.toml").read_text()
    for name, base in (("people", tree.people), ("groups", tree.groups)):
        text = text.replace(f'base = "ou={name},dc=example,dc=org"', f'base = "{base}"')
    bindings = landfall.directory / "bindings.toml"
    bindings.write_text(text)
    configuration = landfall.directory / "landfall.toml"
    configuration.write_text(
        f'backend = "ldap"\n[ldap]\nservers = ["{openldap.ldaps_url}"]\nca_file = "{openldap.ca_file}"\n'
        f'bind_dn = "{openldap.service_dn}"\nbindings = "{bindings}"\n'
    )
    environ = {"LANDFALL_CONFIG": str(configuration), "LANDFALL_LDAP_PASSWORD": openldap.service_password}
    assert landfall.run("db", "upgrade", **environ).returncode == 0
    yield landfall, environ, tree
    openldap.empty(tree)


class TestTheCommand:
    def test_shows_a_table_and_what_to_mend(self, configured: tuple[Landfall, dict[str, str], Tree]) -> None:
        landfall, environ, _ = configured
        done = landfall.run("check", "--write", **environ)
        assert (done.returncode, done.stderr) == (0, "")
        assert "its sign-in was refused" in done.stdout
        assert "backend" in done.stdout
        table, _, rest = done.stdout.partition("\n\n")
        assert "olcSortVals" not in table
        assert "\nolcSortVals: member\nEND\n" in rest

    def test_shows_json(self, configured: tuple[Landfall, dict[str, str], Tree]) -> None:
        landfall, environ, _ = configured
        done = landfall.run("check", "--json", **environ)
        listed = json.loads(done.stdout)
        assert {tuple(item) for item in listed} == {("subject", "state", "message", "mend")}
        assert done.returncode == 0

    @pytest.mark.parametrize("driver", ["ldap3", "python-ldap"])
    def test_a_fault_is_its_status_and_no_secret_is_shown(
        self, configured: tuple[Landfall, dict[str, str], Tree], driver: str
    ) -> None:
        landfall, environ, _ = configured
        wrong = {**environ, "LANDFALL_LDAP_PASSWORD": "hidden-word", "LANDFALL_LDAP_DRIVER": driver}
        done = landfall.run("check", **wrong)
        assert done.returncode == 1
        assert "the password is wrong" in done.stdout
        assert "hidden-word" not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
