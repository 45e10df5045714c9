"""`landfall check`: is everything as it must be, and if not, what is to be mended?"""

from __future__ import annotations

import ipaddress
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import click

from app.cli.aside import ASIDE_MEND, set_aside
from app.cli.operator import Operator, pass_operator, reason
from app.cli.output import json_option, show_json, show_table
from app.control import ControlStore, ControlUnavailable, Remit
from app.control.audit_models import moment
from app.scim.query import Query, Window
from app.services.audit import open_spools
from app.services.linked import with_links
from app.services.protected import protection
from app.services.remit import check_remit
from backends.base import Backend, Capability, Finding, State
from backends.errors import StoreError
from config.errors import ConfigError
from config.ldap_text import is_dn
from config.settings import ProtectedSettings, Settings
from config.sql_url import without_password

_LONG_SECONDS = 300
"""How long a record may be on its way into the audit trail; it takes less than a second where nothing is wrong."""


@click.command()
@click.option(
    "--write",
    is_flag=True,
    help="Prove in a directory what can't be read there: make a user and a group, change them, lock the user, sign in "
    "as the user, and remove both.",
)
@json_option
@pass_operator
def check(operator: Operator, write: bool, as_json: bool) -> None:
    """Check the configuration, the control store and the back end. Status 1 when something must be mended."""
    findings = list(_findings(operator, write=write))
    if as_json:
        show_json([{"subject": f.what, "state": f.state, "message": f.text, "mend": f.mend} for f in findings])
    else:
        _show(findings)
    if any(finding.state is State.FAULT for finding in findings):
        raise SystemExit(1)


def _show(findings: Sequence[Finding]) -> None:
    """The table, and below it what to do: in lines that are never broken or indented, so that they can be copied."""
    show_table(("what", "state", "finding"), ((f.what, f.state, f.text) for f in findings), empty="")
    shown: set[str] = set()
    for finding in findings:
        if finding.mend and finding.mend not in shown:
            shown.add(finding.mend)
            click.echo(f"\nTo mend {finding.what}:\n{finding.mend}")


def _findings(operator: Operator, *, write: bool) -> Iterator[Finding]:
    try:
        settings = operator.settings
    except ConfigError as error:
        yield from _faults(error)
        return
    where = f"home is {settings.home.absolute()}, listening on {settings.bind}"
    yield Finding("configuration", State.OK, where)
    yield from _home(settings)
    yield _transport(settings)
    yield _control(settings)
    yield from _audit(settings)
    yield from _mode(settings)
    yield from _backend(operator, write=write)


def _faults(error: ConfigError) -> Iterator[Finding]:
    return (Finding(fault.key, State.FAULT, fault.message) for fault in error.faults)


def _home(settings: Settings) -> Iterator[Finding]:
    """Whether the service can write where it keeps what is told of writes before it is in the audit trail: without that
    it starts, and refuses every write."""
    for directory in (settings.home, open_spools(settings).directory):
        fault = _fault_of_writing(directory.absolute())
        if fault is not None:
            mend = "let the account that runs the service write there, or name another directory (LANDFALL_HOME)"
            yield Finding("home", State.FAULT, fault, mend)
            return


def _fault_of_writing(directory: Path) -> str | None:
    """Why no file can be made in the directory or, while that is still to be made, in the one that it comes into."""
    there = directory
    try:
        while not there.exists():
            there = there.parent
        # Rights alone do not tell of a file system that is mounted read-only.
        with tempfile.TemporaryFile(dir=there):
            return None
    except OSError as error:
        return f"{there} can't be written: {error.strerror}"


def _transport(settings: Settings) -> Finding:
    url = urlsplit(settings.issuer)
    if url.scheme == "https":
        return Finding("public_url", State.OK, f"{settings.issuer}; plain HTTP is refused except from this machine")
    if _is_loopback(url.hostname or ""):
        return Finding("public_url", State.OK, f"{settings.issuer}: for this machine only")
    return Finding(
        "public_url",
        State.WARNING,
        f"{settings.issuer} sends tokens in the clear: put a TLS proxy in front and name its https URL here",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _control(settings: Settings) -> Finding:
    url = settings.control_url.reveal()
    try:
        with closing(ControlStore(url)) as store:
            store.check()
            if not store.signing_keys():
                return Finding("control", State.WARNING, "there is no signing key yet: the service makes one")
    except ControlUnavailable as error:
        # What has no cause below it says itself what to do.
        mend = "; if it is new, run `landfall db upgrade`" if error.__cause__ else ""
        return Finding("control", State.FAULT, f"{without_password(url)}: {reason(error)}{mend}")
    return Finding("control", State.OK, without_password(url))


def _audit(settings: Settings) -> Iterator[Finding]:
    """What has long waited for the audit trail, and what can't come into it."""
    spools = open_spools(settings)
    told = {one.record: one.at for one in spools.waiting((time.time_ns() // 1000) - _LONG_SECONDS * 1_000_000)}
    if times := [told[record] for record in _missing(settings, list(told))]:
        count = f"{len(times)} record{'' if len(times) == 1 else 's'}"
        text = f"{count} of writes not in the audit trail after {_LONG_SECONDS // 60} minutes, the oldest of "
        mend = (
            'while the service runs its log says why ("records wait in the spool"): mend that and they come in by '
            "themselves\nwhile it does not run: landfall audit recover"
        )
        yield Finding("audit", State.WARNING, f"{text}{moment(min(times)):%Y-%m-%d %H:%M} UTC", mend)
    count_aside, text_aside = set_aside(spools)
    if text_aside:
        yield Finding("audit", State.WARNING, text_aside, ASIDE_MEND if count_aside else "")


def _missing(settings: Settings, records: Sequence[str]) -> Collection[str]:
    """Those of the records that are not in the trail; all while it can't be asked, which is told already."""
    if not records:
        return ()
    try:
        with closing(ControlStore(settings.control_url.reveal())) as store:
            return store.audit.missing(records)
    except ControlUnavailable:
        return records


def _mode(settings: Settings) -> Iterator[Finding]:
    """Whether clients write to the store at all, and what waits to be applied."""
    try:
        with closing(ControlStore(settings.control_url.reveal())) as store:
            count = sum(store.rehearsal.counts().values())
    except ControlUnavailable:
        # Told already.
        count = 0
    waits = f"{count} user{'s' if count > 1 else ''} or group{'s' if count > 1 else ''} changed by a rehearsal"
    if settings.rehearses:
        seen = f"{waits}, see landfall rehearsal show" if count else "nothing was rehearsed yet"
        yield Finding("mode", State.WARNING, f"rehearse: users and groups are read and never written; {seen}")
    elif count:
        yield Finding("mode", State.OK, f"provision; {waits}, which waits: landfall rehearsal apply, or discard")


def _retiring(settings: Settings, backend: Backend) -> Iterator[Finding]:
    """Whether deleted users, who are to be kept aside, can be told from others."""
    if settings.lifecycle.delete == "retire" and Capability.RETIRE not in backend.capabilities:
        text = "deleted users are to be kept aside, and the store has no place for them: DELETE is refused"
        mend = 'name a place for them (users.retired in the bindings file), or set lifecycle.delete = "remove"'
        yield Finding("lifecycle.delete", State.FAULT, text, mend)


def _remits(settings: Settings, backend: Backend, *, places: bool) -> Iterator[Finding]:
    """What this store can't use of the limits of live integrations: then nothing of that is let through. Subtrees are
    looked up with `places`."""
    with closing(ControlStore(settings.control_url.reveal())) as control:
        registry = with_links(backend, control.links).registry
        try:
            for integration in control.list_integrations():
                if integration.revoked_at is None:
                    faults = check_remit(integration.remit, registry)
                    if places:
                        faults += _unusable_bases(backend, integration.remit)
                    yield from (Finding(f"integration {integration.name}", State.FAULT, fault) for fault in faults)
        except ControlUnavailable:
            # Told already.
            return


def _unusable_bases(backend: Backend, remit: Remit) -> list[str]:
    found = (backend.subtree_fault(base) for base in remit.bases if is_dn(base))
    return list(dict.fromkeys(f"base: {fault}" for fault in found if fault is not None))


def _protected(settings: Settings, backend: Backend, *, count: bool) -> Iterator[Finding]:
    """Whether the filters of what is protected can be used, and with `count` how much each of them finds: one that
    finds nothing may be a slip of the pen."""
    if settings.protected == ProtectedSettings():
        return
    with closing(ControlStore(settings.control_url.reveal())) as control:
        whole = with_links(backend, control.links)
        try:
            rules = protection(settings, whole.registry)
        except ConfigError as error:
            yield from _faults(error)
            return
        if not count:
            return
        for kind, rule in rules.items():
            key = f"protected.{kind.lower()}s"
            try:
                total = whole.search(kind, Query(frozenset(), rule.bound, window=Window(1, 0))).total
            except (StoreError, ControlUnavailable) as error:
                yield Finding(key, State.FAULT, reason(error))
                continue
            state = State.OK if total else State.WARNING
            yield Finding(key, state, f"{total} {kind.lower()}{'' if total == 1 else 's'} at present")


def _backend(operator: Operator, *, write: bool) -> Iterator[Finding]:
    """What the back end says of itself; what its `check` says only where that would not repeat a fault."""
    try:
        with operator.backend() as backend:
            faulty = False
            for finding in backend.findings(write=write):
                faulty = faulty or finding.state is State.FAULT
                yield finding
            yield from _retiring(operator.settings, backend)
            yield from _remits(operator.settings, backend, places=not faulty)
            yield from _protected(operator.settings, backend, count=not faulty)
            if faulty:
                return
            backend.check()
    except ConfigError as error:
        yield from _faults(error)
    except StoreError as error:
        yield Finding("backend", State.FAULT, reason(error))
    else:
        yield Finding("backend", State.OK, operator.settings.backend)
