"""`landfall adoption …`: accounts that were there before, and that a client has asked for."""

from __future__ import annotations

from typing import Any

import click

from app.cli.operator import Operator, pass_operator
from app.cli.output import json_option, moment, show_json, show_table, stamp
from app.control import Candidate


@click.group()
def adoption() -> None:
    """Say yes to the adoption of accounts that are not managed, where lifecycle.adoption is "approve"."""


@adoption.command("list")
@json_option
@pass_operator
def list_all(operator: Operator, as_json: bool) -> None:
    """List the accounts and groups that clients have asked for and that are not managed yet."""
    with operator.control() as control:
        found = control.managed.waiting()
        names = {integration.id: integration.name for integration in control.list_integrations()}
    if as_json:
        show_json([_described(candidate, names) for candidate in found])
        return
    show_table(
        ("kind", "name", "asked for by", "first asked", "state", "id"),
        (
            (c.kind, c.name, names.get(c.integration_id, c.integration_id), moment(c.asked), _state(c), c.resource_id)
            for c in found
        ),
        empty="No account waits for an approval.",
    )


@adoption.command()
@click.argument("id")
@pass_operator
def approve(operator: Operator, id: str) -> None:
    """Let the next request for the account with that ID adopt it."""
    with operator.control() as control:
        if not control.managed.approve(id):
            raise click.ClickException(f"no client has asked for {id}; see landfall adoption list")
    click.echo("Approved: the account is adopted when the client asks for it again.")


def _described(candidate: Candidate, names: dict[str, str]) -> dict[str, Any]:
    return {
        "kind": candidate.kind,
        "id": candidate.resource_id,
        "name": candidate.name,
        "integration": names.get(candidate.integration_id, candidate.integration_id),
        "asked": stamp(candidate.asked),
        "approved": candidate.approved,
    }


def _state(candidate: Candidate) -> str:
    return "approved" if candidate.approved else "waits"
