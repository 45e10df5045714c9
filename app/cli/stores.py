"""`landfall db …`: the schemas of the databases."""

from __future__ import annotations

import click

from app.cli.operator import Operator, pass_operator
from app.control import upgrade as upgrade_control
from backends.sql.upgrade import upgrade as upgrade_sql
from config.settings import Settings


@click.group()
def db() -> None:
    """Look after the databases."""


@db.command()
@pass_operator
def upgrade(operator: Operator) -> None:
    """Bring both databases to this program's schema; making them where there are none."""
    upgrade_all(operator.settings)
    click.echo("Both databases are up to date.")


def upgrade_all(settings: Settings) -> None:
    """Bring the control store, and the back end where it keeps a schema, to this program's.

    Raises ControlUnavailable, StoreError.
    """
    upgrade_control(settings.control_url.reveal())
    if settings.backend == "sql":
        upgrade_sql(settings.sql_url.reveal())
