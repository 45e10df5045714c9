"""`landfall retired …`: the users whom clients have deleted, and who are kept aside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from app.cli import periods
from app.cli.operator import Operator, pass_operator
from app.cli.output import json_option, moment, show_json, show_table, stamp
from app.scim.query import Change, Resource, Slot, Value, Window
from app.services.adoption import Adoption
from app.services.audit import open_audit
from app.services.journal import Actor, Journal, Write, recorded
from app.services.linked import with_links
from app.services.retirement import RetiredHere
from backends.base import Backend, Capability
from backends.errors import NotFound

_KIND = "User"
_SHOWN = frozenset(("userName", "displayName", "emails"))
_OPERATOR = Actor("operator", "operator")


@dataclass(frozen=True, slots=True)
class _Store:
    """The store as far as its retired users are concerned, without those whom other programs have put there."""

    backend: Backend
    journal: Journal
    users: RetiredHere


@click.group()
def retired() -> None:
    """Look at deleted users who are kept aside, bring them back, or remove them for ever."""


@retired.command("list")
@click.option("--start", type=click.IntRange(1), default=1, show_default=True, help="The first one to show.")
@click.option("--count", type=click.IntRange(0, 10_000), default=100, show_default=True, help="How many.")
@json_option
@pass_operator
def list_all(operator: Operator, start: int, count: int, as_json: bool) -> None:
    """List them, the one first who left first."""
    with _opened(operator) as store:
        page = store.users.page(_SHOWN, Window(start, count))
    if as_json:
        show_json({"total": page.total, "items": [_described(user) for user in page.items]})
        return
    show_table(
        ("user name", "display name", "retired", "id"),
        (
            (str(u.values.get("userName", "")), str(u.values.get("displayName", "")), moment(u.stamp.modified), u.id)
            for u in page.items
        ),
        empty="Nobody is retired.",
    )
    if len(page.items) < page.total:
        click.echo(f"{len(page.items)} of {page.total}; see --start and --count.")


@retired.command()
@click.argument("id")
@pass_operator
def restore(operator: Operator, id: str) -> None:
    """Bring the user with that ID back, as it was, in none of its groups."""
    with _opened(operator) as store, _told(id), _recorded(store, "restore", id):
        store.users.require(id)
        user = store.backend.restore(_KIND, id, Change({}))
    click.echo(f"{user.values.get('userName', id)} is back.")


@retired.command()
@click.option(
    "--older-than", "age", required=True, callback=periods.age, help="Those who left longer ago: 90d, 52w (0d: all)."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_operator
def purge(operator: Operator, age: int, yes: bool) -> None:
    """Remove for ever those who left long ago."""
    limit = datetime.now(UTC) - timedelta(microseconds=age)
    with _opened(operator) as store:
        gone = [user for user in store.users.everyone(_kept(store.backend)) if user.stamp.modified <= limit]
        if not gone:
            click.echo("Nobody left so long ago.")
            return
        if not yes:
            click.confirm(f"Remove {len(gone)} users for ever?", abort=True)
        for user in gone:
            with _told(user.id), _recorded(store, "delete", user.id, user.values):
                store.backend.purge(_KIND, user.id)
    click.echo(f"Removed: {len(gone)}.")


@contextmanager
def _opened(operator: Operator) -> Iterator[_Store]:
    with operator.control() as control, operator.backend() as inner:
        inner.check()
        backend = with_links(inner, control.links)
        if Capability.RETIRE not in backend.capabilities:
            raise click.ClickException("the store is not set up to keep deleted users; see landfall check")
        with closing(open_audit(operator.settings, control, backend)) as journal:
            registry, lifecycle = backend.registry, operator.settings.lifecycle
            adoption = Adoption(control.managed, backend, registry, lifecycle)
            yield _Store(backend, journal, RetiredHere(backend, adoption))


@contextmanager
def _recorded(store: _Store, operation: Any, id: str, gone: Mapping[Slot, Value] | None = None) -> Iterator[None]:
    """What is done in the block is in the audit, with the values that are gone after it."""
    write = Write(_OPERATOR, operation, _KIND, id)
    with recorded(store.journal, store.backend.registry.type(_KIND), write) as recording:
        recording.intend(dict.fromkeys(gone or ()), before=gone, read=_kept(store.backend))
        yield
        recording.done(None)


@contextmanager
def _told(id: str) -> Iterator[None]:
    try:
        yield
    except NotFound:
        raise click.ClickException(f"nobody with the id {id} is retired; see landfall retired list") from None


def _kept(backend: Backend) -> frozenset[Slot]:
    """The slots that can be read and follow from nothing else."""
    resource_type = backend.registry.type(_KIND)
    return resource_type.readable.intersection(resource_type.slots)


def _described(user: Resource) -> dict[str, Any]:
    return {"id": user.id, "retired": stamp(user.stamp.modified), "created": stamp(user.created), **user.values}
