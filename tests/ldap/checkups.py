"""Directories that `landfall check` is to look at, good ones and broken ones, and the remedies that it prints."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from app.scim.query import Draft
from app.scim.registry import load
from backends.base import Finding, State
from backends.ldap.backend import LdapBackend
from backends.ldap.drivers import connector
from backends.ldap.drivers.base import Access, Address, Tls
from backends.ldap.pool import Directory as Connections
from config.directory import Bindings
from tests.ldap.conftest import _selected
from tests.support import directory_openldap
from tests.support.directories import Directory, OpenLDAP, Tree
from tests.support.directory_openldap import CONFIGURATION, ENTRIES, PASSWORD, SERVICE, SUFFIX
from tests.support.ldapstores import bindings_for
from tests.support.servers import program

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
    """The DNs below the bases of a tree."""
    names = []
    with server.session() as connection:
        for base in (tree.people, tree.groups, tree.retired):
            connection.search(base, "(objectClass=*)", attributes=["1.1"])
            names += [entry["dn"] for entry in connection.response if entry.get("dn")]
    bases = {base.lower() for base in (tree.people, tree.groups, tree.retired)}
    return [name for name in names if name.lower() not in bases]


def add_users(server: Directory, tree: Tree, count: int) -> None:
    backend = backend_for(server, tree)
    for number in range(count):
        backend.create("User", Draft({"userName": f"person{number}"}))
    backend.close()


def variants(directory_servers: Callable[[str], Directory], monkeypatch: pytest.MonkeyPatch) -> Iterator[Variant]:
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
