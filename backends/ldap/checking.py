"""Everything that `landfall check` says of a directory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from backends.base import Backend, Finding, State
from backends.errors import StoreError
from backends.ldap import checks_locks, checks_reading, checks_retired
from backends.ldap.branch import Branch
from backends.ldap.checks_connections import connections, said
from backends.ldap.checks_mending import Mending
from backends.ldap.checks_setup import read_setup
from backends.ldap.checks_site import Site, searched
from backends.ldap.checks_writing import Rehearsal
from backends.ldap.drivers.base import ConnectionLost, LdapError, Scope, Search
from backends.ldap.pool import Directory
from config.directory import Bindings
from config.errors import ConfigError


def examine(
    backend: Backend,
    directory: Directory,
    bindings: Bindings,
    branches: Mapping[str, Branch],
    page_size: int,
    *,
    write: bool,
) -> Iterator[Finding]:
    """The findings on a directory that can be reached; see `Backend.findings`."""
    root = _root(directory)
    setup = read_setup(directory, bindings.kind, root, bindings.users.base, searched(bindings))
    mending = Mending(bindings, directory.access.bind_dn, setup)
    site = Site(directory, bindings, backend, branches["User"], branches["Group"], root, setup, mending)
    serious = False
    for finding in (*checks_reading.server(site), *_bindings(site)):
        serious = serious or finding.state is State.FAULT
        yield finding
    if serious:
        if write:
            yield Finding("--write", State.WARNING, "nothing was written: mend the faults above first")
        return
    yield from checks_reading.entries(site)
    yield from checks_reading.limits(site)
    yield from checks_reading.page(site, page_size)
    yield from checks_reading.indexes(site)
    yield from checks_reading.sorted_members(site)
    yield from _kept(site, write=write)


def reach(directory: Directory, bindings: Bindings) -> Iterator[tuple[Finding, bool]]:
    """A finding on each server, and whether it can be used."""
    return connections(directory, bindings.kind)


def unusable(error: StoreError | LdapError | ConnectionLost) -> Finding:
    """The directory stopped answering in the middle of the checks."""
    text = said(error) if isinstance(error, LdapError) else str(error)
    return Finding("directory", State.FAULT, f"a check could not be finished: {text}")


def _kept(site: Site, *, write: bool) -> Iterator[Finding]:
    """What the server looks after, as it can be read, or as it was proved."""
    proved: list[Finding] = []
    if write:
        rehearsal = Rehearsal(site)
        rehearsal.run()
        proved = rehearsal.findings
    yield from proved
    known = {finding.what for finding in proved}
    for check in (
        checks_reading.uniqueness,
        checks_reading.referential,
        checks_reading.member_of,
        checks_locks.lock,
        checks_retired.retired,
        checks_reading.password,
    ):
        yield from (finding for finding in check(site) if finding.what not in known)
    if not write:
        text = "whether users and groups can be written is not tried without --write"
        yield Finding("rights", State.OK, text)


def _bindings(site: Site) -> Iterator[Finding]:
    """What `check` raises, with what mends it."""
    try:
        site.backend.check()
    except ConfigError as error:
        for fault in error.faults:
            mend = ""
            if "landfall" in fault.message and "does not know" in fault.message:
                mend = site.mending.schema()
            elif fault.key.endswith("users.lock"):
                mend = site.mending.lock(None)
            elif "there is no entry" in fault.message:
                mend = f"Make the entry, or write the right DN; then let the account read it:\n{site.mending.rights()}"
            yield Finding(fault.key, State.FAULT, fault.message, mend)
    else:
        yield Finding(
            str(site.bindings.source), State.OK, "the bindings fit the directory's schema, and their bases are there"
        )


def _root(directory: Directory) -> dict[str, tuple[bytes, ...]]:
    names = (
        "objectClass",
        "supportedControl",
        "supportedCapabilities",
        "vendorName",
        "vendorVersion",
        "namingContexts",
        "schemaNamingContext",
        "configurationNamingContext",
    )
    search = Search("", Scope.BASE, "(objectClass=*)", names)
    found = directory.run(lambda connection: connection.search(search), idempotent=True).entries
    return {name: tuple(values) for entry in found for name, values in entry.attributes.items()}
