"""`landfall serve`: everything from nothing to a running service."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

import app
from app.auth import key_ring
from app.cli.integrations import address_fields, paste_fields
from app.cli.operator import Operator, pass_operator
from app.cli.output import make_console, show_fields
from app.cli.stores import upgrade_all
from app.control import Access, Dialect
from app.services.linked import with_links
from app.services.protected import with_protection
from config.loader import FILE_VARIABLE

FIRST_INTEGRATION = "entra-id"


@click.command()
@pass_operator
def serve(operator: Operator) -> None:
    """Start the service; the first time, make its databases, its key and a first integration as well."""
    settings = operator.settings
    configuration = _gunicorn_configuration()
    _make_home(settings.home)
    upgrade_all(settings)
    with operator.backend() as backend, operator.control() as control:
        # What can't be opened or used is told here, before the secret of the first integration is shown.
        with_protection(with_links(backend, control.links), settings)
    _introduce(operator)
    if operator.config is not None:
        os.environ[FILE_VARIABLE] = str(operator.config)
    command = [sys.executable, "-m", "gunicorn", "--config", str(configuration)]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(sys.executable, [*command, "--pythonpath", str(configuration.parent)])  # noqa: S606


def _introduce(operator: Operator) -> None:
    """Make what the first start makes, and say what an administrator needs: the secret once, the rest always."""
    settings = operator.settings
    console = make_console()
    with operator.control() as control:
        key_ring(settings, control).signer()
        first = control.create_first_integration(FIRST_INTEGRATION, Access.FULL, Dialect.ENTRA)
        secret = None if first is None else control.add_secret(first.id)
    if first is None or secret is None:
        show_fields(address_fields(settings), console)
        console.print("  `landfall integration list` shows who may use it; `rotate` gives a new secret.\n")
        return
    console.print("\n[bold]Paste this into Entra ID.[/bold] The secret is shown this once.\n")
    show_fields(paste_fields(settings, first, secret), console)
    if settings.backend == "sql" and settings.sql.url is None:
        path = settings.home.absolute() / "landfall.db"
        console.print(f"\nNo database is configured: users and groups go to SQLite, {path}", soft_wrap=True)
    console.print()


def _make_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise click.ClickException(f"{home} cannot be made: {error.strerror}") from None


def _gunicorn_configuration() -> Path:
    root = Path(app.__path__[0]).parent
    path = root / "gunicorn.conf.py"
    if not path.is_file():
        raise click.ClickException(f"{path} is missing: start the service from a complete copy of the project")
    return path
