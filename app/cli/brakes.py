"""`landfall brakes …`: integrations that were stopped because they did too much at once."""

from __future__ import annotations

import click

from app.cli.operator import Operator, pass_operator
from app.cli.output import json_option, moment, show_json, show_table, stamp

_EFFECTS = ("deactivations", "deletions", "member_removals")


@click.group()
def brakes() -> None:
    """Look at the brakes that are applied, and release them."""


@brakes.command()
@json_option
@pass_operator
def show(operator: Operator, as_json: bool) -> None:
    """Show which integrations are stopped, from what, and since when."""
    with operator.control() as control:
        found = control.brakes.applied()
        names = {integration.id: integration.name for integration in control.list_integrations()}
    if as_json:
        show_json(
            [
                {
                    "integration": names.get(brake.integration_id, brake.integration_id),
                    "effect": brake.effect,
                    "applied": stamp(brake.applied),
                    "limit": brake.limit,
                }
                for brake in found
            ]
        )
        return
    show_table(
        ("integration", "stopped from more", "since", "limit"),
        (
            (names.get(b.integration_id, b.integration_id), b.effect.replace("_", " "), moment(b.applied), str(b.limit))
            for b in found
        ),
        empty="No brake is applied.",
    )


@brakes.command()
@click.argument("integration")
@click.option("--effect", type=click.Choice(_EFFECTS), help="Release this brake only; else all of the integration.")
@pass_operator
def release(operator: Operator, integration: str, effect: str | None) -> None:
    """Let the INTEGRATION (name or id) go on; its count begins anew."""
    with operator.control() as control:
        found = control.find_integration(integration)
        released = control.brakes.release(found.id, effect)
    click.echo(
        f"Released: {released}." if released else f"No brake of {found.name} was applied; its count begins anew."
    )
