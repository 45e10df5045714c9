"""`landfall check`: is everything as it must be, and if not, what is to be mended?"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlsplit

import click

from app.cli.operator import Operator, pass_operator, reason
from app.cli.output import json_option, show_json, show_table
from app.control import ControlStore, ControlUnavailable
from backends.errors import StoreError
from config.errors import ConfigError
from config.settings import Settings
from config.sql_url import without_password


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, how it is (`ok`, `warning` or `fault`) and what to do about it."""

    subject: str
    state: str
    message: str


@click.command()
@json_option
@pass_operator
def check(operator: Operator, as_json: bool) -> None:
    """Check the configuration, the control store and the back end. Status 1 when something must be mended."""
    findings = list(_findings(operator))
    if as_json:
        show_json([{"subject": f.subject, "state": f.state, "message": f.message} for f in findings])
    else:
        show_table(("what", "state", "finding"), ((f.subject, f.state, f.message) for f in findings), empty="")
    if any(finding.state == "fault" for finding in findings):
        raise SystemExit(1)


def _findings(operator: Operator) -> Iterator[Finding]:
    try:
        settings = operator.settings
    except ConfigError as error:
        yield from (Finding(fault.key, "fault", fault.message) for fault in error.faults)
        return
    yield Finding("configuration", "ok", f"home is {settings.home.absolute()}, listening on {settings.bind}")
    yield _transport(settings)
    yield _control(settings)
    yield from _backend(operator)


def _transport(settings: Settings) -> Finding:
    url = urlsplit(settings.issuer)
    if url.scheme == "https":
        return Finding("public_url", "ok", f"{settings.issuer}; plain HTTP is refused except from this machine")
    if _is_loopback(url.hostname or ""):
        return Finding("public_url", "ok", f"{settings.issuer}: for this machine only")
    return Finding(
        "public_url",
        "warning",
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
                return Finding("control", "warning", "there is no signing key yet: the service makes one")
    except ControlUnavailable as error:
        message = f"{without_password(url)}: {reason(error)}; if it is new, run `landfall db upgrade`"
        return Finding("control", "fault", message)
    return Finding("control", "ok", without_password(url))


def _backend(operator: Operator) -> Iterator[Finding]:
    try:
        with operator.backend() as backend:
            backend.check()
    except ConfigError as error:
        yield from (Finding(fault.key, "fault", fault.message) for fault in error.faults)
    except StoreError as error:
        yield Finding("backend", "fault", reason(error))
    else:
        yield Finding("backend", "ok", operator.settings.backend)
