"""`landfall users list` and `landfall groups list`: what the back end holds, as it holds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from app.cli.operator import Operator, pass_operator
from app.cli.output import json_option, moment, show_json, show_table, stamp
from app.scim.query import Page, Query, Resource, Window

_USER = ("userName", "displayName", "active", "emails", "externalId")
_GROUP = ("displayName", "externalId")

_start = click.option("--start", type=click.IntRange(1), default=1, show_default=True, help="The first one to show.")
_count = click.option("--count", type=click.IntRange(0, 10_000), default=100, show_default=True, help="How many.")


@click.group()
def users() -> None:
    """Look at the users in the back end."""


@click.group()
def groups() -> None:
    """Look at the groups in the back end."""


@users.command("list")
@_start
@_count
@json_option
@pass_operator
def list_users(operator: Operator, start: int, count: int, as_json: bool) -> None:
    """List users."""
    page = _search(operator, "User", _USER, start, count)
    _show(page, as_json, ("user name", "display name", "active", "e-mail"), _user_row)


@groups.command("list")
@_start
@_count
@json_option
@pass_operator
def list_groups(operator: Operator, start: int, count: int, as_json: bool) -> None:
    """List groups, without their members."""
    page = _search(operator, "Group", _GROUP, start, count)
    _show(page, as_json, ("display name",), lambda values: (str(values.get("displayName", "")),))


def _search(operator: Operator, kind: str, slots: tuple[str, ...], start: int, count: int) -> Page:
    with operator.backend() as backend:
        backend.check()
        return backend.search(kind, Query(frozenset(slots), window=Window(start, count)))


def _show(
    page: Page, as_json: bool, columns: tuple[str, ...], row: Callable[[dict[str, Any]], tuple[str, ...]]
) -> None:
    if as_json:
        show_json({"total": page.total, "items": [_described(item) for item in page.items]})
        return
    show_table(
        (*columns, "id", "last change"),
        ((*row(dict(item.values)), item.id, moment(item.stamp.modified)) for item in page.items),
        empty="There is nothing to show.",
    )
    if len(page.items) < page.total:
        click.echo(f"{len(page.items)} of {page.total}; see --start and --count.")


def _described(resource: Resource) -> dict[str, Any]:
    times = {"created": stamp(resource.created), "modified": stamp(resource.stamp.modified)}
    return {"id": resource.id, **times, **resource.values}


def _user_row(values: dict[str, Any]) -> tuple[str, ...]:
    emails = values.get("emails", [])
    primary = next((email for email in emails if email.get("primary")), emails[0] if emails else {})
    active = {True: "yes", False: "no"}.get(values.get("active", ""), "")
    return (
        str(values.get("userName", "")),
        str(values.get("displayName", "")),
        active,
        str(primary.get("value", "")),
    )
