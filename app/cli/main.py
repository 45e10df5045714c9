"""The command group, and what becomes of errors: one sentence on standard error and an exit status."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from app.cli.operator import Operator, reason
from app.cli.output import spell_out
from app.control import ControlError
from backends.errors import StoreError
from config.errors import ConfigError

_MODULES = {
    "serve": "serve",
    "integration": "integrations",
    "adoption": "adoption",
    "brakes": "brakes",
    "retired": "retired",
    "keys": "keys",
    "users": "resources",
    "groups": "resources",
    "audit": "audit",
    "undo": "undo",
    "rehearsal": "rehearsal",
    "db": "stores",
    "check": "check",
    "demo": "demo",
}
"""The module that has each command, as an attribute of the same name. Loading all of them takes longer than most need
to run."""


class Commands(click.Group):
    """Turns the faults that an operator can mend into a message. Status 2: configuration or usage, 1: the
    rest.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _MODULES.get(cmd_name)
        if module is None:
            return None
        command: click.Command = getattr(import_module(f"app.cli.{module}"), cmd_name)
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        spell_out()
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Also refuses words that are no text; what comes before the command may be one, as the path of a file."""
        for word in args:
            if not _is_text(word):
                raise click.UsageError(f"{word!r} is not text in {sys.getfilesystemencoding()}", ctx)
        return super().resolve_command(ctx, args)

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


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        # Python passes octets that it can't decode as halves of surrogate pairs.
        return False
    return True


def _fail(message: str, status: int) -> None:
    click.echo(f"landfall: {message}", err=True)
    raise SystemExit(status)
