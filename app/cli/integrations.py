"""`landfall integration …`: who may use the service, and with what."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import click

from app.auth import Published
from app.cli.operator import Operator, pass_operator
from app.cli.output import json_option, moment, show_fields, show_json, show_table, stamp
from app.cli.remits import changed, described, remit_options, sentences
from app.control import (
    Access,
    ControlError,
    ControlStore,
    Credential,
    CredentialKind,
    Dialect,
    Integration,
    IssuedCredential,
    Remit,
    UnknownIntegration,
)
from app.scim.fold import fold
from config.settings import Settings

DEFAULT_BEARER_DAYS = 365
DEFAULT_OVERLAP_HOURS = 24 * 7

_ACCESS = click.Choice([level.value for level in Access])
_expires = click.option(
    "--expires-days",
    type=click.IntRange(0, 3650),
    help="Days until what is issued ends; 0 means never. Without it a secret has no end and a bearer token "
    f"{DEFAULT_BEARER_DAYS} days.",
)
_name = click.argument("name")


@click.group()
def integration() -> None:
    """Create, show and revoke the clients of this service."""


@integration.command()
@_name
@click.option("--access", type=_ACCESS, required=True, help="See users and groups, or change them as well.")
@click.option("--dialect", type=click.Choice([d.value for d in Dialect]), default="rfc", show_default=True)
@click.option("--bearer", is_flag=True, help="Issue a long-lived bearer token as well.")
@_expires
@remit_options
@json_option
@pass_operator
def create(
    operator: Operator,
    /,
    name: str,
    access: str,
    dialect: str,
    bearer: bool,
    expires_days: int | None,
    as_json: bool,
    **limits: Any,
) -> None:
    """Create an integration. Its secret is shown now and never again."""
    remit = changed(operator, Remit(), limits)
    with operator.control() as control:
        created = control.create_integration(name, Access(access), Dialect(dialect), remit)
        secret = control.add_secret(created.id, _lifetime(CredentialKind.SECRET, expires_days))
        token = control.add_bearer(created.id, _lifetime(CredentialKind.BEARER, expires_days)) if bearer else None
    if as_json:
        show_json(_created(operator.settings, created, secret, token))
        return
    click.echo(f"{created.name} may {_may(created.access)}. What follows is shown this once:")
    show_fields(paste_fields(operator.settings, created, secret, token))


@integration.command("list")
@json_option
@pass_operator
def list_all(operator: Operator, as_json: bool) -> None:
    """List all integrations, revoked ones included."""
    with operator.control() as control:
        found = control.list_integrations()
    if as_json:
        show_json([_described(item) for item in found])
        return
    show_table(
        ("name", "access", "dialect", "client id", "created", "state"),
        ((i.name, i.access, i.dialect, i.id, moment(i.created), _state(i.revoked_at)) for i in found),
        empty="There is no integration yet; make one with `landfall integration create`.",
    )


@integration.command()
@_name
@json_option
@pass_operator
def show(operator: Operator, name: str, as_json: bool) -> None:
    """Show an integration (by name or client id) and its credentials, without their values."""
    with operator.control() as control:
        found = _found(control, name)
        credentials = control.list_credentials(found.id)
    if as_json:
        described = {**_described(found), **_addresses(operator.settings)}
        show_json({**described, "credentials": [_credential(item) for item in credentials]})
        return
    show_fields(
        [
            ("Name", found.name),
            ("Access", found.access),
            ("Dialect", found.dialect),
            ("Created", moment(found.created)),
            ("State", _state(found.revoked_at)),
            *sentences(found.remit),
            *address_fields(operator.settings),
            ("Client ID", found.id),
        ]
    )
    click.echo()
    show_table(
        ("credential", "kind", "ends in", "created", "expires", "state"),
        (
            (c.id, c.kind, f"…{c.hint}", moment(c.created), moment(c.expires_at, "never"), _credential_state(c))
            for c in credentials
        ),
        empty="It has no credentials.",
    )


@integration.command()
@_name
@click.option("--bearer", is_flag=True, help="Replace the bearer token, not the secret.")
@click.option(
    "--overlap-hours",
    type=click.IntRange(0, 24 * 365),
    default=DEFAULT_OVERLAP_HOURS,
    show_default=True,
    help="How long the old one stays valid; with 0 it is revoked, and so are the access tokens that it got.",
)
@_expires
@json_option
@pass_operator
def rotate(
    operator: Operator, name: str, bearer: bool, overlap_hours: int, expires_days: int | None, as_json: bool
) -> None:
    """Issue a new secret; the old one ends after the overlap. It is shown now and never again."""
    kind = CredentialKind.BEARER if bearer else CredentialKind.SECRET
    overlap = timedelta(hours=overlap_hours)
    with operator.control() as control:
        found = _live(control, name)
        before = [c for c in control.list_credentials(found.id) if c.kind is kind and c.live(datetime.now(UTC))]
        issued = control.rotate(found.id, kind, overlap=overlap, lifetime=_lifetime(kind, expires_days))
    last = issued.credential.created + overlap
    # Some may have ended before anyway.
    ends = max((min(c.expires_at or last, last) for c in before), default=None)
    if as_json:
        named = {"client_id": found.id, "name": found.name}
        show_json({**named, **_issued(issued), "previous_valid_until": stamp(ends)})
        return
    said = "Nothing was valid before." if ends is None else f"What was valid before ends at {moment(ends)}."
    click.echo(f"{said} The new one is shown this once:")
    label = "Bearer token" if bearer else "Client secret"
    expires = moment(issued.credential.expires_at, "never")
    show_fields([("Client ID", found.id), (label, issued.value), ("Expires", expires)])


@integration.command()
@_name
@click.option("--credential", help="Revoke only this credential (its id is in `integration show`).")
@json_option
@pass_operator
def revoke(operator: Operator, name: str, credential: str | None, as_json: bool) -> None:
    """Revoke an integration, or one of its credentials, for ever. It holds for the next request, also with access
    tokens issued before."""
    with operator.control() as control:
        found = _live(control, name)
        if credential is None:
            found = control.revoke_integration(found.id)
        else:
            control.revoke_credential(found.id, credential)
    what = f"{found.name} is revoked" if credential is None else f"The credential of {found.name} is revoked"
    _report(as_json, found, f"{what}.")


@integration.command("set-access")
@_name
@click.argument("access", type=_ACCESS)
@json_option
@pass_operator
def set_access(operator: Operator, name: str, access: str, as_json: bool) -> None:
    """Change what an integration may do. It holds for the next request, also with tokens issued before; but these
    never allow more than when they were issued, so that what is new needs the next access token."""
    with operator.control() as control:
        before = _live(control, name)
        found = control.set_access(before.id, Access(access))
    raised = before.access is Access.READ_ONLY and found.access is Access.FULL
    hint = " An access token issued before does not allow it yet; the next one does." if raised else ""
    _report(as_json, found, f"{found.name} may {_may(found.access)} now.{hint}")


@integration.command("set")
@_name
@remit_options
@json_option
@pass_operator
def set_limits(operator: Operator, /, name: str, as_json: bool, **limits: Any) -> None:
    """Change what an integration has to do with. What is not named stays, an empty text takes a limit away. It holds
    for the next request, also with tokens issued before."""
    with operator.control() as control:
        before = _live(control, name)
        found = control.set_remit(before.id, changed(operator, before.remit, limits))
    if as_json:
        show_json(_described(found))
        return
    limited = sentences(found.remit)
    click.echo(f"{found.name} has to do with {'this only:' if limited else 'all users and groups.'}")
    if limited:
        show_fields(limited)


def address_fields(settings: Settings) -> list[tuple[str, str]]:
    """Where a client finds the service, in the words of Entra ID's form."""
    published = Published(settings.issuer, settings.scim_url)
    return [("Tenant URL", published.resource), ("Token endpoint", published.token_endpoint)]


def paste_fields(
    settings: Settings, created: Integration, secret: IssuedCredential, token: IssuedCredential | None = None
) -> list[tuple[str, str]]:
    """What an administrator copies into Entra ID."""
    fields = [*address_fields(settings), ("Client ID", created.id), ("Client secret", secret.value)]
    return fields if token is None else [*fields, ("Bearer token", token.value)]


def _found(control: ControlStore, name: str) -> Integration:
    """The integration with that name or client id. Raises ControlError, which tells where only revoked ones have the
    name: it may be that of several."""
    try:
        return control.find_integration(name)
    except UnknownIntegration:
        revoked = [one.id for one in control.list_integrations() if fold(one.name) == fold(name)]
        if not revoked:
            raise
    raise ControlError(f"{name!r} is revoked; name it by its client id to see it: {', '.join(revoked)}")


def _live(control: ControlStore, name: str) -> Integration:
    """The same, if it is not revoked. Raises ControlError."""
    found = _found(control, name)
    if found.revoked_at is not None:
        raise ControlError(f"{found.name!r} is revoked, which is for ever")
    return found


def _report(as_json: bool, found: Integration, sentence: str) -> None:
    if as_json:
        show_json(_described(found))
    else:
        click.echo(sentence)


def _created(
    settings: Settings, created: Integration, secret: IssuedCredential, token: IssuedCredential | None
) -> dict[str, Any]:
    described = {**_described(created), **_addresses(settings), **_issued(secret)}
    return described if token is None else {**described, **_issued(token)}


def _addresses(settings: Settings) -> dict[str, str]:
    published = Published(settings.issuer, settings.scim_url)
    return {"token_endpoint": published.token_endpoint, "tenant_url": published.resource}


def _described(found: Integration) -> dict[str, Any]:
    return {
        "client_id": found.id,
        "name": found.name,
        "access": found.access.value,
        "dialect": found.dialect.value,
        "created": stamp(found.created),
        "revoked_at": stamp(found.revoked_at),
        "limits": described(found.remit),
    }


def _issued(issued: IssuedCredential) -> dict[str, Any]:
    name = "client_secret" if issued.credential.kind is CredentialKind.SECRET else "bearer_token"
    return {name: issued.value, f"{name}_expires_at": stamp(issued.credential.expires_at)}


def _credential(credential: Credential) -> dict[str, Any]:
    return {
        "id": credential.id,
        "kind": credential.kind.value,
        "hint": credential.hint,
        "created": stamp(credential.created),
        "expires_at": stamp(credential.expires_at),
        "revoked_at": stamp(credential.revoked_at),
        "live": credential.live(datetime.now(UTC)),
    }


def _lifetime(kind: CredentialKind, days: int | None) -> timedelta | None:
    """A bearer token without end is only for those who say so."""
    if days is None:
        return timedelta(days=DEFAULT_BEARER_DAYS) if kind is CredentialKind.BEARER else None
    return timedelta(days=days) if days else None


def _state(revoked_at: datetime | None) -> str:
    return "live" if revoked_at is None else f"revoked {moment(revoked_at)}"


def _credential_state(credential: Credential) -> str:
    if credential.revoked_at is not None:
        return "revoked"
    return "live" if credential.live(datetime.now(UTC)) else "expired"


def _may(access: Access) -> str:
    return "see and change users and groups" if access is Access.FULL else "see users and groups"
