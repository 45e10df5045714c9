"""`landfall audit …`: what was written, by whom, and whether the record of it is whole."""

from __future__ import annotations

import csv
import time
from codecs import StreamWriter
from collections.abc import Iterable
from typing import Any

import click
import orjson

from app.cli import periods, texts
from app.cli.aside import set_aside
from app.cli.operator import Operator, pass_operator
from app.cli.output import json_option, legible, show_fields, show_json, show_table, stamp, utf8_output
from app.control import AuditRecord, AuditTrail, ControlStore, UnknownIntegration, Wanted
from app.control.audit_models import Reading, moment, plain, read
from app.services.audit import CATCH_UP_SECONDS, Spools, described, open_spools, recovering
from app.services.linked import with_links
from app.services.undo import OPERATOR

_CELLS = ("seq", "time", "integration_id", "integration", "operation", "kind", "id", "name", "outcome", "version")
_DAMAGED = "damaged"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_since = click.option("--since", callback=periods.since, help="From then on: 90m, 2h, 30d, or a date or time in UTC.")

NUMBER = click.IntRange(1, 2**63 - 1)
"""The numbers that a record may have."""


@click.group()
def audit() -> None:
    """Look at the record of every write, and prove that it is whole."""


@audit.command("list")
@click.option(
    "--user", metavar="ID_OR_NAME", callback=texts.named, help="Writes to this user, whatever it was called then."
)
@click.option("--group", metavar="ID_OR_NAME", callback=texts.named, help="Writes to this group.")
@click.option("--integration", metavar="NAME_OR_ID", callback=texts.named, help="Writes of this integration.")
@_since
@click.option("--failed", is_flag=True, help="Only those that were refused or failed.")
@click.option("--count", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many at most.")
@json_option
@pass_operator
def list_records(
    operator: Operator,
    user: str | None,
    group: str | None,
    integration: str | None,
    since: int | None,
    failed: bool,
    count: int,
    as_json: bool,
) -> None:
    """List writes, the latest first."""
    if user is not None and group is not None:
        raise click.UsageError("--user and --group can't be given together")
    kind = "User" if user is not None else "Group" if group is not None else None
    with operator.control() as control:
        actor = None if integration is None else integration_id(control, integration)
        found = control.audit.latest(Wanted(kind, group if user is None else user, actor, since, failed), count)
    if as_json:
        show_json([described(record) for record in found])
        return
    show_table(
        ("number", "time", "integration", "what", "kind", "name", "id", "outcome"),
        map(_row, found),
        empty="There is no such record.",
    )


@audit.command()
@click.argument("number", type=NUMBER)
@json_option
@pass_operator
def show(operator: Operator, number: int, as_json: bool) -> None:
    """Show one record with the values before and after."""
    with operator.control() as control:
        found = control.audit.get(number)
    if found is None:
        raise click.ClickException(f"there is no record {number}; it may have been pruned")
    if as_json:
        show_json(described(found))
        return
    told = read(found)
    fields = [
        ("Number", plain(found.seq)),
        ("Time", _time(found, told)),
        ("Integration", f"{plain(found.actor)} ({plain(found.integration_id)})"),
        ("What", f"{plain(found.operation)} {plain(found.kind)}"),
        ("Name", plain(found.name)),
        ("ID", plain(found.resource_id)),
        ("Outcome", plain(found.outcome)),
        ("Version", plain(found.version)),
        ("Hash", plain(found.hash)),
    ]
    if told.damaged:
        fields.append(("Damaged", f"{', '.join(told.damaged)}: run `landfall audit verify`"))
    show_fields(fields)
    click.echo()
    if told.changes is None:
        click.echo(legible(plain(found.changes)))
    else:
        _show_changes(told.changes)


@audit.command()
@json_option
@pass_operator
def verify(operator: Operator, as_json: bool) -> None:
    """Prove that no record was changed, added or taken away, and that none waits for its outcome.

    Status 1 when that is not so. Records that only wait for the trail, and lines that were set aside, are told of and
    change nothing in that. Compare number and hash of the last record with those that you kept elsewhere: only then is
    it proven that the end was not cut off either.
    """
    with operator.control() as control:
        chain = control.audit.verify()
        spools = open_spools(operator.settings)
        state = spools.state()
        waiting = _waiting(spools, control.audit)
    since = moment(min(waiting)) if waiting else None
    aside, said_of_aside = set_aside(spools)
    sound = chain.wrong is None and not state.without_outcome
    if as_json:
        described_chain = {"records": chain.count, "pruned": chain.pruned, "last": chain.last, "hash": chain.hash}
        fault = {"first_wrong": chain.wrong, "fault": chain.fault}
        late = {"waiting": len(waiting), "waiting_since": stamp(since), "set_aside": aside}
        begun = {"under_way": state.under_way, "without_outcome": state.without_outcome}
        show_json({"sound": sound, **described_chain, **fault, **begun, **late})
    else:
        pruned = f" ({chain.pruned} before them were pruned)" if chain.pruned else ""
        click.echo(f"{chain.count} records are as they were written{pruned}.")
        if chain.wrong is None:
            click.echo(f"The last one is {chain.last} {chain.hash}")
        else:
            click.echo(f"Record {chain.wrong} is the first wrong one: {chain.fault}.")
        oldest = "" if since is None else f", the oldest of {since:%Y-%m-%d %H:%M} UTC"
        click.echo(f"{state.under_way} writes are under way, {len(waiting)} records wait for the trail{oldest}.")
        if said_of_aside:
            click.echo(f"{said_of_aside}.")
        if state.without_outcome:
            click.echo(
                f"{state.without_outcome} writes of processes that are no more have no outcome: "
                "run `landfall audit recover`."
            )
    if not sound:
        raise SystemExit(1)


@audit.command()
@json_option
@pass_operator
def recover(operator: Operator, as_json: bool) -> None:
    """Look after what processes left that were killed; a running service does so by itself."""
    with operator.control() as control, operator.backend() as backend:
        linked = with_links(backend, control.links)
        with recovering(operator.settings, control, linked) as recovery:
            done = recovery.run(lambda: time.sleep(CATCH_UP_SECONDS))
    if as_json:
        show_json({"moved": done.moved, "settled": done.settled, "waiting": done.waiting})
        return
    click.echo(f"{done.moved} records came into the trail; for {done.settled} of them the store was asked.")
    if done.waiting:
        click.echo(f"{done.waiting} are too young to judge; try again in a minute.")


@audit.command()
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@_since
@pass_operator
def export(operator: Operator, form: str, since: int | None) -> None:
    """Print all records, the oldest first: JSON, one on a line, or CSV for a spreadsheet; in UTF-8."""
    with operator.control() as control, utf8_output() as stream:
        records = control.audit.records(Wanted(since=since))
        if form == "csv":
            _write_csv(records, stream)
            return
        for record in records:
            stream.write(f"{orjson.dumps(described(record)).decode()}\n")


@audit.command()
@click.option("--older-than", callback=periods.age, required=True, help="An age, such as 365d.")
@json_option
@pass_operator
def prune(operator: Operator, older_than: int, as_json: bool) -> None:
    """Remove old records. The rest stays verifiable."""
    with operator.control() as control:
        removed = control.audit.prune(time.time_ns() // 1000 - older_than)
    if as_json:
        show_json({"removed": removed})
    else:
        click.echo(f"{removed} records are removed.")


def _waiting(spools: Spools, trail: AuditTrail) -> list[int]:
    """When the writes were made that have ended, and whose records are in spools of this machine and not in the
    trail."""
    told = {story.record: story.at for story in spools.waiting() if story.outcome is not None}
    return [told[record] for record in trail.missing(list(told))]


def integration_id(control: ControlStore, reference: str) -> str:
    """The id of an integration, live or revoked, or of the operator; the name of a revoked one may belong to several.
    Raises UnknownIntegration."""
    if reference == OPERATOR.integration_id:
        return reference
    try:
        return control.find_integration(reference).id
    except UnknownIntegration:
        revoked = [found.id for found in control.list_integrations() if found.name == reference]
        if len(revoked) != 1:
            raise
        return revoked[0]


def _show_changes(changes: dict[str, Any]) -> None:
    before, after = changes.get("before", {}), changes.get("after", {})
    if after:
        rows = [(slot, shown(before[slot]) if slot in before else "(not read)", shown(after[slot])) for slot in after]
        show_table(("attribute", "before", "after"), rows, empty="")
    for name, delta in changes.get("members", {}).items():
        relation = legible(name)
        if delta["clear"]:
            click.echo(f"{relation}: replaced by {len(delta['add'])}")
        for sign, ids in (("+", delta["add"]), ("-", delta["remove"])):
            for id in ids:
                click.echo(f"{relation} {sign} {legible(id)}")
    for note in changes.get("notes", ()):
        click.echo(f"note: {legible(note)}")
    if omitted := changes.get("omitted"):
        octets, digest = omitted["octets"], legible(omitted["sha256"])
        click.echo(f"{octets} octets of values were too many to keep; their SHA-256 is {digest}")


def shown(value: Any) -> str:
    """A value of a record in a cell of a table."""
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _row(record: AuditRecord) -> tuple[str, ...]:
    told = read(record)
    who = (record.actor, record.operation, record.kind, record.name, record.resource_id)
    outcome = f"{plain(record.outcome)} ({_DAMAGED}: {', '.join(told.damaged)})" if told.damaged else record.outcome
    return (plain(record.seq), _time(record, told), *(plain(value) for value in who), outcome)


def _time(record: AuditRecord, told: Reading) -> str:
    return plain(record.at) if told.time is None else f"{told.time:%Y-%m-%d %H:%M:%S} UTC"


def _write_csv(records: Iterable[AuditRecord], stream: StreamWriter) -> None:
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow((*_CELLS, "changes", "hash", _DAMAGED))
    for record in records:
        content = described(record)
        cells = (*(content[name] for name in _CELLS), plain(record.changes), content["hash"])
        writer.writerow([_cell(cell) for cell in (*cells, " ".join(content.get(_DAMAGED, ())))])


def _cell(value: Any) -> Any:
    """A spreadsheet would take some text for a formula, and clients choose it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
