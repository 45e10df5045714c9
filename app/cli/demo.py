"""`landfall demo`: the proof that it works."""

from __future__ import annotations

import click
from rich.console import Console

from app.cli.operator import Operator, pass_operator
from app.demo import run


@click.command()
@click.option("--keep", is_flag=True, help="Leave the invented users and groups in the back end.")
@pass_operator
def demo(operator: Operator, keep: bool) -> None:
    """Replay what Entra ID sends, with invented people, against the running service."""
    raise SystemExit(run(operator.settings, console=Console(), keep=keep))
