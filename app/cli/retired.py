"""`landfall retired …`: the users whom clients have deleted, and who are kept aside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from app.cli import periods
from app.cli.operator import Operator, pass_operator
from app.cli.output import json_option, moment, show_json, show_table, stamp
from app.scim.query import Change, Resource, Slot, Window
from app.services.adoption import Adoption
from app.services.audit import open_audit
from app.services.journal import Actor, Journal, Recording, Write, recorded
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
    with _opened(operator) as store, _told(id), _recorded(store, "restore", id) as recording:
        store.users.require(id)
        found = store.users.find(id, _SHOWN)
        recording.intend({}, before=found.values if found else None)
        user = store.backend.restore(_KIND, id, Change({}))
        recording.done(user.stamp)
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
        removed = [user for user in gone if _purged(store, user)]
    click.echo(f"Removed: {len(removed)}.")
    if back := len(gone) - len(removed):
        click.echo(f"Left alone, because they have come back or gone since they were listed: {back}.")


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


def _purged(store: _Store, user: Resource) -> bool:
    """Whether the user is gone for ever: not one who has come back since it was listed, though it may have left again
    since. How long ago that was is not what was asked for and confirmed."""
    if not store.users.is_still(user):
        return False
    with suppress(NotFound), _recorded(store, "delete", user.id) as recording:
        recording.intend(dict.fromkeys(user.values), before=user.values, read=_kept(store.backend))
        store.backend.purge(_KIND, user.id)
        recording.done(None)
        return True
    return False


@contextmanager
def _recorded(store: _Store, operation: Any, id: str) -> Iterator[Recording]:
    """What is done in the block is in the audit."""
    write = Write(_OPERATOR, operation, _KIND, id)
    with recorded(store.journal, store.backend.registry.type(_KIND), write) as recording:
        yield recording


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
