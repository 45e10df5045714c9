"""`landfall keys …`: the keys that sign access tokens."""

from __future__ import annotations

from typing import Any

import click

from app.auth import key_ring
from app.cli.operator import Operator, pass_operator
from app.cli.output import json_option, moment, show_json, show_table, stamp
from app.control import SigningKey


@click.group()
def keys() -> None:
    """Show and replace the keys that sign access tokens."""


@keys.command("list")
@json_option
@pass_operator
def list_all(operator: Operator, as_json: bool) -> None:
    """List the keys whose tokens are accepted; the first one signs."""
    with operator.control() as control:
        found = control.signing_keys()
    if as_json:
        show_json([_described(key) for key in found])
        return
    show_table(
        ("key id", "algorithm", "created", "state"),
        ((key.kid, key.algorithm, moment(key.created), _state(key)) for key in found),
        empty="There is no key yet; the service makes one when it starts.",
    )


@keys.command()
@json_option
@pass_operator
def rotate(operator: Operator, as_json: bool) -> None:
    """Sign with a new key from now on. Tokens signed with the old one stay valid until they end."""
    with operator.control() as control:
        kid = key_ring(operator.settings, control).rotate()
        found = control.signing_keys()
    if as_json:
        show_json([_described(key) for key in found])
    else:
        click.echo(f"Tokens are signed with the new key {kid} from now on.")


def _described(key: SigningKey) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "algorithm": key.algorithm,
        "created": stamp(key.created),
        "retired_at": stamp(key.retired_at),
        "expires_at": stamp(key.expires_at),
        "signing": key.retired_at is None,
    }


def _state(key: SigningKey) -> str:
    return "signs" if key.expires_at is None else f"retired, verifies until {moment(key.expires_at)}"
