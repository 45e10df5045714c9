"""The command group, and what becomes of errors: one sentence on standard error and an exit status."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from app.cli.adoption import adoption
from app.cli.audit import audit
from app.cli.brakes import brakes
from app.cli.check import check
from app.cli.demo import demo
from app.cli.integrations import integration
from app.cli.keys import keys
from app.cli.operator import Operator, reason
from app.cli.resources import groups, users
from app.cli.retired import retired
from app.cli.serve import serve
from app.cli.stores import db
from app.control import ControlError
from backends.errors import StoreError
from config.errors import ConfigError


class Commands(click.Group):
    """Turns the faults that an operator can mend into a message. Status 2: configuration or usage, 1: the
    rest.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            _fail(str(error), 2)
        except (ControlError, StoreError) as error:
            _fail(reason(error), 1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file; else the one that LANDFALL_CONFIG names.",
)
@click.version_option(package_name="landfall")
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """Landfall keeps the users and groups that an identity provider sends over SCIM 2.0.

    Start with `landfall serve`.
    """
    ctx.obj = Operator(config)


for command in (serve, integration, adoption, brakes, retired, keys, users, groups, audit, db, check, demo):
    main.add_command(command)


def _fail(message: str, status: int) -> None:
    click.echo(f"landfall: {message}", err=True)
    raise SystemExit(status)
