"""`landfall rehearsal …`: what clients have rehearsed, and doing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import click

from app.cli.operator import Operator, pass_operator
from app.cli.output import json_option, show_json, show_table, utf8_output
from app.control import ControlStore
from app.scim.query import Value
from app.services.audit import open_audit
from app.services.linked import with_links
from app.services.protected import with_protection
from app.services.rehearsal.applying import Applying, Outcome, Result
from app.services.rehearsal.beneath import Beneath
from app.services.rehearsal.net import Item, Net
from app.services.rehearsal.scripts import NoSuchScript, script
from backends.base import Backend

_LONGEST = 60
_NOTHING = "Nothing was rehearsed that would change anything."


@click.group()
def rehearsal() -> None:
    """Look at what clients have rehearsed (mode = "rehearse"), do it, or forget it."""


@rehearsal.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(("table", "sql", "ldif")),
    default="table",
    show_default=True,
    help="A table, or what the store would be asked: statements of a database, changes of a directory (RFC 2849).",
)
@json_option
@pass_operator
def show(operator: Operator, form: str, as_json: bool) -> None:
    """Show what would have been done, in an order in which it can be done."""
    with _opened(operator) as (control, store, whole):
        items = Net(control.rehearsal, Beneath(whole)).items()
        if as_json:
            show_json([_described(item) for item in items])
        elif form == "table":
            rows = ((i.action, i.copy.kind, i.name, _summary(i), i.copy.who.name) for i in items)
            show_table(("action", "kind", "name", "what", "rehearsed by"), rows, empty=_NOTHING)
        else:
            try:
                # Who reads them may take their time, and the store is locked until the last one is made.
                lines = list(script(form, store, control.rehearsal, items))
            except NoSuchScript as error:
                raise click.ClickException(str(error)) from None
            with utf8_output() as stream:
                stream.writelines(f"{line}\n" for line in lines)


@rehearsal.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_operator
def apply(operator: Operator, yes: bool, as_json: bool) -> None:
    """Do what was rehearsed, one change after the other, each with its record in the audit.

    What was done leaves the rehearsal. What can't be done is listed and stays: where the store was changed meanwhile,
    or does not take it. Status 1 when there is such. When the store or the control store can't be reached any more it
    stops, and lists how far it came.
    """
    if as_json and not yes:
        raise click.UsageError("--json does not ask: give --yes too")
    with _opened(operator) as (control, _, whole):
        count = len(Net(control.rehearsal, Beneath(whole)).items())
        if count and not yes:
            click.confirm(f"Make {count} change{'' if count == 1 else 's'} in the store?", abort=True)
        backend = with_protection(whole, operator.settings)
        with closing(open_audit(operator.settings, control, whole)) as journal:
            failed = _tell(Applying(backend, control.rehearsal, control.managed, journal).run(), as_json)
    if failed:
        raise SystemExit(1)


def _tell(made: Iterator[Outcome], as_json: bool) -> bool:
    """Tell what becomes of each change, also when the rest can't be made; whether there is one that was not."""
    outcomes: list[Outcome] = []
    try:
        for outcome in made:
            outcomes.append(outcome)  # noqa: PERF402 - those told before stay when it raises
    finally:
        _show(outcomes, as_json)
    return any(outcome.result is not Result.APPLIED for outcome in outcomes)


def _show(outcomes: list[Outcome], as_json: bool) -> None:
    if as_json:
        show_json([_told(outcome) for outcome in outcomes])
        return
    done = sum(outcome.result is Result.APPLIED for outcome in outcomes)
    click.echo(f"Done: {done}. Not done: {len(outcomes) - done}.")
    told = [outcome for outcome in outcomes if outcome.text]
    if told:
        rows = ((o.result, o.item.action, o.item.copy.kind, o.item.name, o.text) for o in told)
        show_table(("result", "action", "kind", "name", "why"), rows, empty="")


@rehearsal.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_operator
def discard(operator: Operator, yes: bool) -> None:
    """Forget all that was rehearsed; clients see the store as it is."""
    with operator.control() as control:
        count = sum(control.rehearsal.counts().values())
        if not yes:
            click.confirm(f"Forget what was rehearsed on {count} users and groups?", abort=True)
        with control.rehearsal.writing() as writing:
            writing.discard()
    click.echo(f"Forgotten: {count}.")


@contextmanager
def _opened(operator: Operator) -> Iterator[tuple[ControlStore, Backend, Backend]]:
    """The control store, the store itself, and that with what the control store keeps for it."""
    with operator.control() as control, operator.backend() as store:
        store.check()
        yield control, store, with_links(store, control.links)


def _summary(item: Item) -> str:
    """What changes, in a line."""
    if item.action in ("retire", "delete", "purge"):
        return ""
    parts = [f"{slot}: {_change(item, slot)}" for slot in item.after]
    parts += [f"{slot}: set" for slot in item.secrets]
    for name, delta in item.relations.items():
        counts = (f"+{len(delta.add)}" if delta.add else "", f"-{len(delta.remove)}" if delta.remove else "")
        parts.append(f"{name}: {' '.join(filter(None, counts))}")
    return "; ".join(parts)


def _change(item: Item, slot: str) -> str:
    before, after = (_short(values.get(slot)) for values in (item.before, item.after))
    return f"{before} → {after}" if slot in item.before else after


def _short(value: Value | None) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_short(part.get("value", part) if isinstance(part, Mapping) else part) for part in value)
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _described(item: Item) -> dict[str, Any]:
    relations = {name: {"add": list(d.add), "remove": list(d.remove)} for name, d in item.relations.items()}
    return {
        "action": item.action,
        "kind": item.copy.kind,
        "id": item.copy.id,
        "name": item.name,
        "before": dict(item.before),
        "after": dict(item.after),
        "relations": relations,
        "secrets": list(item.secrets),
        "integration": item.copy.who.name,
    }


def _told(outcome: Outcome) -> dict[str, Any]:
    item = outcome.item
    return {
        "result": outcome.result.value,
        "action": item.action,
        "kind": item.copy.kind,
        "name": item.name,
        "id": outcome.id,
        "message": outcome.text,
    }
