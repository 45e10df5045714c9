"""What `landfall check` says of a server's own configuration, and the pages that say how to prepare one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import ldap3
import pytest

from app.scim.query import Draft
from backends.base import State
from config.bindings import load_bindings
from config.directory import Bindings, Password
from tests.ldap.checkups import (
    INDEXED,
    NO_POLICY_ENTRY,
    NO_REFERENTIAL,
    NO_UNIQUE,
    OVERLAYS,
    READABLE,
    Variant,
    add_users,
    backend_for,
    faults,
    findings,
    left,
    run_remedy,
    section,
    variants,
)
from tests.support.directories import Directory, DirectoryServer389, OpenLDAP, SambaAD
from tests.support.directory_base import SCHEMA
from tests.support.directory_openldap import CONFIGURATION, SERVICE, SUFFIX


@pytest.fixture
def variant(directory_servers: Callable[[str], Directory], monkeypatch: pytest.MonkeyPatch) -> Iterator[Variant]:
    """See `variants`."""
    yield from variants(directory_servers, monkeypatch)


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
        assert found["referential integrity"].state is State.WARNING
        assert "keeps the DN" in found["referential integrity"].text
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
                assert {what for what, finding in found.items() if finding.state is not State.OK} == {"release"}
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
            ("ou=retired,dc=example,dc=org", tree.retired),
            ("dc=example,dc=org", SUFFIX),
            (SERVICE, other),
            ("cn: landfall\n", "cn: scim\n"),
        ):
            text = text.replace(old, new)
        (block,) = [block.partition("```")[0] for block in text.split("```ldif\n")[1:]]
        with ds389.session() as connection:
            for base in (tree.people, tree.groups, tree.retired):
                connection.modify(base, {"aci": [(ldap3.MODIFY_DELETE, [])]})
            run_remedy(ds389, f"<<'END'\n{block}\nEND\n")
            try:
                found = findings(ds389, tree, write=True, bind_dn=other, password="change-me")
            finally:
                connection.delete(other)
        assert {what for what, finding in found.items() if finding.state is not State.OK} == {"indexes", "release"}
        assert "can't be read" in found["indexes"].text

    @pytest.mark.parametrize("kind", ["openldap", "389ds", "active-directory"])
    def test_every_attribute_of_the_bindings_is_in_the_table(self, kind: str) -> None:
        pages = SCHEMA.parents[1] / "docs/directories"
        text = (pages / ("openldap" if kind == "389ds" else kind)).with_suffix(".md").read_text()
        bindings = load_bindings(kind)
        for table in (bindings.users, bindings.groups):
            assert [name for _, name in table.attributes() if f"`{name}`" not in text] == []
