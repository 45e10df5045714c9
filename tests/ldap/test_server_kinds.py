"""What the private directory servers have each for itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import ldap3
import pytest
from ldap3.core.exceptions import LDAPConstraintViolationResult

from tests.support.directories import DirectoryServer389, OpenLDAP, SambaAD
from tests.support.directory_base import SCHEMA
from tests.support.servers import program

DEFINITION = re.compile(r"^(olcAttributeTypes|olcObjectClasses|attributeTypes|objectClasses): (.*)$", re.M | re.I)


def definitions(ldif: str) -> set[str]:
    """The definitions of a schema in LDIF, without what only tells where they are from."""
    unfolded = re.sub(r"\n ", "", re.sub(r"(?m)^#.*\n", "", ldif))
    found = (re.sub(r"^\{\d+\}| X-ORIGIN '[^']*'", "", match[2]) for match in DEFINITION.finditer(unfolded))
    return {re.sub(r"\s+", " ", definition) for definition in found}


def test_the_three_forms_of_the_schema_agree(openldap: OpenLDAP, tmp_path: Path) -> None:
    assert openldap.name
    core, landfall = Path("/etc/ldap/schema/core.schema"), SCHEMA / "landfall.schema"
    (tmp_path / "slapd.conf").write_text(f"include {core}\ninclude {landfall}\n")
    (tmp_path / "slapd.d").mkdir()
    test = [program("slapd"), "-Tt", "-f", str(tmp_path / "slapd.conf"), "-F", str(tmp_path / "slapd.d")]
    subprocess.run(test, check=True, capture_output=True)
    (converted,) = (tmp_path / "slapd.d").rglob("*landfall.ldif")
    dynamic = definitions((SCHEMA / "landfall.ldif").read_text())
    assert len(dynamic) == 4
    assert definitions(converted.read_text()) == dynamic
    assert definitions((SCHEMA / "98landfall.ldif").read_text()) == dynamic


def test_openldap_answers_the_service_account_without_limit(openldap: OpenLDAP) -> None:
    tree = openldap.new_tree()
    with (
        openldap.session() as administrator,
        openldap.session(openldap.service_dn, openldap.service_password) as service,
    ):
        for number in range(501):
            administrator.add(f"uid=u{number},{tree.people}", "inetOrgPerson", {"cn": "x", "sn": "x"})
        service.search(tree.people, "(objectClass=inetOrgPerson)", attributes=["1.1"])
        assert len(service.response) == 501
        pages = service.extend.standard.paged_search(
            tree.people, "(objectClass=inetOrgPerson)", attributes=["1.1"], paged_size=100
        )
        assert len([page for page in pages if page["type"] == "searchResEntry"]) == 501
    openldap.empty(tree)


def test_openldap_has_the_other_classes_of_groups(openldap: OpenLDAP) -> None:
    tree = openldap.new_tree()
    with openldap.session(openldap.service_dn, openldap.service_password) as service:
        names = [f"uid={name},{tree.people}" for name in ("c", "a", "b")]
        service.add(f"cn=unique,{tree.groups}", "groupOfUniqueNames", {"uniqueMember": names})
        service.add(f"cn=posix,{tree.groups}", "posixGroup", {"gidNumber": 1000, "memberUid": ["ada"]})
        service.search(tree.groups, "(cn=unique)", attributes=["uniqueMember"])
        assert service.response[0]["attributes"]["uniqueMember"] == sorted(names)
        service.search("", "(objectClass=*)", ldap3.BASE, attributes=["supportedControl"])
        # Server side sorting, RFC 2891
        assert "1.2.840.113556.1.4.473" in service.response[0]["attributes"]["supportedControl"]
    openldap.empty(tree)


def test_openldap_does_not_keep_passwords_in_the_clear(openldap: OpenLDAP) -> None:
    tree = openldap.new_tree()
    with openldap.session(openldap.service_dn, openldap.service_password) as service:
        service.add(f"uid=ada,{tree.people}", "inetOrgPerson", {"cn": "Ada", "sn": "Ada", "userPassword": "Invented-2"})
        with pytest.raises(LDAPConstraintViolationResult):
            service.modify(f"uid=ada,{tree.people}", {"userPassword": [(ldap3.MODIFY_REPLACE, ["abc"])]})
    with openldap.session() as administrator:
        administrator.search(tree.people, "(uid=ada)", attributes=["userPassword"])
        assert administrator.response[0]["raw_attributes"]["userPassword"][0].startswith(b"{SSHA}")
    openldap.empty(tree)


def test_389ds_writes_the_groups_of_a_user(ds389: DirectoryServer389) -> None:
    tree = ds389.new_tree()
    user, group = f"uid=ada,{tree.people}", f"cn=analysts,{tree.groups}"
    with ds389.session(ds389.service_dn, ds389.service_password) as service:
        service.add(user, "inetOrgPerson", {"cn": "Ada", "sn": "Ada"})
        service.search(user, "(objectClass=*)", ldap3.BASE, attributes=["entryusn"])
        before = service.response[0]["attributes"]["entryusn"]
        service.add(group, "groupOfNames", {"member": [user]})
        service.search(user, "(objectClass=*)", ldap3.BASE, attributes=["memberOf", "objectClass", "entryusn"])
        found = service.response[0]["attributes"]
        assert found["memberOf"] == [group]
        assert "nsMemberOf" in found["objectClass"]
        assert found["entryusn"] != before
    ds389.empty(tree)


def test_389ds_clears_a_manager_that_is_deleted(ds389: DirectoryServer389) -> None:
    tree = ds389.new_tree()
    user, manager = f"uid=ada,{tree.people}", f"uid=grace,{tree.people}"
    with ds389.session(ds389.service_dn, ds389.service_password) as service:
        service.add(manager, "inetOrgPerson", {"cn": "Grace", "sn": "Grace"})
        service.add(user, "inetOrgPerson", {"cn": "Ada", "sn": "Ada", "manager": manager})
        service.delete(manager)
        service.search(user, "(objectClass=*)", ldap3.BASE, attributes=["manager"])
        assert not service.response[0]["attributes"].get("manager")
    ds389.empty(tree)


def test_389ds_tells_anonymous_clients_nothing(ds389: DirectoryServer389) -> None:
    server = ldap3.Server(ds389.url, get_info=ldap3.NONE)
    connection = ldap3.Connection(server)
    try:
        connection.bind()
        connection.search("", "(objectClass=*)", ldap3.BASE, attributes=["namingContexts"])
        assert connection.response[0]["attributes"]["namingContexts"] == [ds389.suffix]
        assert not connection.search(ds389.suffix, "(objectClass=*)", attributes=["1.1"])
        assert connection.result["description"] == "inappropriateAuthentication"
    finally:
        connection.unbind()


def test_samba_takes_no_password_in_the_clear(samba: SambaAD) -> None:
    server = ldap3.Server(samba.url, get_info=ldap3.NONE)
    connection = ldap3.Connection(server, samba.service_dn, samba.service_password)
    try:
        assert not connection.bind()
        assert connection.result["description"] == "strongerAuthRequired"
    finally:
        connection.unbind()


def test_samba_servers_share_a_domain_and_no_entries(samba: SambaAD, tmp_path: Path) -> None:
    assert samba.shared is not None
    shared = tmp_path / "shared"
    shutil.copytree(samba.shared / "domain", shared / "domain")
    with SambaAD(shared=shared) as first:
        with SambaAD(shared=shared) as second:
            domains = set()
            for server in (first, second):
                with server.session() as administrator:
                    administrator.search(server.suffix, "(objectClass=domain)", ldap3.BASE, attributes=["objectSid"])
                    domains.add(administrator.response[0]["raw_attributes"]["objectSid"][0])
                    administrator.add(f"CN=ada,{server.people}", "user", {"sAMAccountName": "ada"})
            assert len(domains) == 1
        assert shared.exists()
    assert not shared.exists()
