"""What of the store an integration has to do with, as options of commands and as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any, TypeVar

import click

from app.cli.operator import Operator
from app.control import Only, Outside, Remit
from app.scim.registry import load as load_registry
from app.services.remit import check_remit
from backends.base import Capability

F = TypeVar("F", bound=Callable[..., Any])

_BOTH = "both"
_OPTIONS = (
    click.option(
        "--only", type=click.Choice([*(o.value for o in Only), _BOTH]), help="The kind that it sees and changes."
    ),
    click.option("--filter-users", metavar="FILTER", help="A SCIM filter: it sees and changes only these users."),
    click.option("--filter-groups", metavar="FILTER", help="A SCIM filter: it sees and changes only these groups."),
    click.option(
        "--base",
        "bases",
        metavar="DN",
        multiple=True,
        help="The top of a subtree of the directory: it sees and changes only what is in there. May be given several "
        "times.",
    ),
    click.option("--attributes", metavar="NAME,…", help="It changes only these attributes, and sees all."),
    click.option(
        "--outside",
        type=click.Choice([o.value for o in Outside]),
        help="What becomes of a change of another attribute: the request is refused, or the attribute is kept.",
    ),
)


def remit_options(command: F) -> F:
    """The command with the options of which `changed` makes a remit."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def changed(operator: Operator, before: Remit, given: Mapping[str, Any]) -> Remit:
    """The remit after the options that were given; an empty text stands for no limit. Raises click.UsageError for what
    no store could use, and for subtrees where the configured store has none; ConfigError."""
    after = before
    only, attributes, outside = (given[name] for name in ("only", "attributes", "outside"))
    if only is not None:
        after = replace(after, only=None if only == _BOTH else Only(only))
    if given["filter_users"] is not None:
        after = replace(after, users=given["filter_users"].strip() or None)
    if given["filter_groups"] is not None:
        after = replace(after, groups=given["filter_groups"].strip() or None)
    if given["bases"]:
        after = replace(after, bases=tuple(dn for base in given["bases"] if (dn := base.strip())))
    if attributes is not None:
        after = replace(after, attributes=tuple(name for part in attributes.split(",") if (name := part.strip())))
    if outside is not None:
        after = replace(after, outside=Outside(outside))
    faults = check_remit(after, load_registry())
    if faults:
        raise click.UsageError("; ".join(faults))
    if given["bases"] and after.bases:
        _require_subtrees(operator, after.bases[0])
    return after


def _require_subtrees(operator: Operator, base: str) -> None:
    with operator.backend() as backend:
        if Capability.SUBTREES not in backend.capabilities:
            raise click.UsageError(f"--base can't be used: {backend.subtree_fault(base)}")


def described(remit: Remit) -> dict[str, Any] | None:
    """The remit for scripts, None for everything."""
    if remit == Remit():
        return None
    found = asdict(remit)
    return {**found, "bases": list(remit.bases), "attributes": list(remit.attributes)}


def sentences(remit: Remit) -> list[tuple[str, str]]:
    """What limits an integration, for people."""
    found = [("Only", str(remit.only or "")), ("Users", remit.users or ""), ("Groups", remit.groups or "")]
    found += [("Below", base) for base in remit.bases]
    if remit.attributes:
        others = "others are refused" if remit.outside is Outside.REFUSE else "others stay as they are"
        found.append(("Writes", f"{', '.join(remit.attributes)}; {others}"))
    return [(label, text) for label, text in found if text]
