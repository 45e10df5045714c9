"""Text that operators give: callbacks of options."""

from __future__ import annotations

import click


def named(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """The text of an option that narrows what is looked for. Raises BadParameter for an empty one, as a variable of a
    script that was never set leaves: it would narrow nothing."""
    if value == "":
        raise click.BadParameter("it is empty: give a name or an id")
    return value
