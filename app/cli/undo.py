"""`landfall undo …`: what clients wrote is taken back, as far as nothing has come over it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import click

from app.cli import periods, texts
from app.cli.audit import NUMBER, integration_id, shown
from app.cli.operator import Operator, pass_operator
from app.cli.output import json_option, show_json, show_table
from app.control import AuditRecord, ControlError, ControlStore, Wanted
from app.services.audit import open_audit
from app.services.linked import with_links
from app.services.protected import with_protection
from app.services.undo import Conflict, Made, Step, Undo, Undoing
from backends.errors import StoreError

_NUMBERS = 5
_WORDS = {"retire": ("there", "retired"), "restore": ("retired", "there"), "delete": ("there", "removed for good")}


@click.command()
@click.argument("numbers", type=NUMBER, nargs=-1, metavar="[NUMBER]...")
@click.option("--since", callback=periods.since, help="All from then on: 90m, 2h, 30d, or a date or time in UTC.")
@click.option("--until", callback=periods.since, help="None after that.")
@click.option("--integration", metavar="NAME_OR_ID", callback=texts.named, help="Those of this integration.")
@click.option(
    "--trust-client",
    is_flag=True,
    help="Where no record tells who was a member before: take whom it added for new, whom it removed for a member.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be changed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_operator
def undo(
    operator: Operator,
    numbers: tuple[int, ...],
    since: int | None,
    until: int | None,
    integration: str | None,
    trust_client: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Undo the writes with these NUMBERs of the audit, or those of an integration in a time.

    What is not as the write left it any more is never changed: it is listed. Status 1 when there is such. Every change
    that this makes is in the audit too, and can be undone.
    """
    if bool(numbers) == (since is not None and integration is not None):
        raise click.UsageError("give numbers of records, or --since and --integration")
    if numbers and (since is not None or until is not None or integration is not None):
        raise click.UsageError("numbers of records and --since, --until, --integration can't be given together")
    if as_json and not (yes or dry_run):
        raise click.UsageError("--json does not ask: give --dry-run or --yes too")
    with operator.control() as control:
        records = _numbered(control, numbers) if numbers else _of(control, integration or "", since or 0, until)
        with _opened(operator, control) as undoer:
            undoing = undoer.of(records, trusting=trust_client)
            if not as_json:
                _show(undoing)
            if undoing.steps and not dry_run:
                if not yes:
                    click.confirm(f"Make {_changes(undoing.steps)}?", abort=True)
                made = _make(undoer, undoing)
            else:
                made = Made()
    if as_json:
        show_json(_described(undoing, made))
    else:
        _show_outcome(undoing, made, dry_run=dry_run)
    if undoing.conflicts or made.conflicts:
        raise SystemExit(1)


@contextmanager
def _opened(operator: Operator, control: ControlStore) -> Iterator[Undo]:
    """What undoes; when the block ends its writes are in the audit."""
    settings = operator.settings
    with operator.backend() as inner:
        inner.check()
        backend = with_links(inner, control.links)
        guarded = with_protection(backend, settings)
        retires = settings.lifecycle.delete == "retire"
        with closing(open_audit(settings, control, backend)) as journal:
            yield Undo(control.audit, backend, journal, guarded=guarded, retires=retires)


def _numbered(control: ControlStore, numbers: tuple[int, ...]) -> list[AuditRecord]:
    records = []
    for number in dict.fromkeys(numbers):
        record = control.audit.get(number)
        if record is None:
            raise click.ClickException(f"there is no record {number}; it may have been pruned")
        records.append(record)
    return records


def _of(control: ControlStore, integration: str, since: int, until: int | None) -> list[AuditRecord]:
    wanted = Wanted(integration_id=integration_id(control, integration), since=since)
    records = control.audit.records(wanted)
    # What a damaged one has in place of its time is told when it is read.
    return [record for record in records if until is None or not _is_after(record.at, until)]


def _is_after(at: object, until: int) -> bool:
    return isinstance(at, int) and at > until


def _make(undoer: Undo, undoing: Undoing) -> Made:
    done: list[Step] = []
    try:
        return undoer.make(undoing, done.append)
    except (ControlError, StoreError):
        click.echo(f"{len(done)} of {_changes(undoing.steps)} were made. Run the command again for the rest.", err=True)
        raise


def _show(undoing: Undoing) -> None:
    if undoing.steps:
        rows = [row for step in undoing.steps for row in _rows(step)]
        show_table(("undoes", "kind", "name", "attribute", "now", "then"), rows, empty="")
        click.echo()
    _show_conflicts("What stays as it is:", undoing.conflicts)
    reasons: dict[str, list[int]] = {}
    for idle in undoing.idle:
        reasons.setdefault(idle.reason, []).append(idle.record)
    for reason, numbers in reasons.items():
        click.echo(f"{_records(numbers)}: {reason}.")


def _rows(step: Step) -> Iterator[tuple[str, ...]]:
    who = (_numbers(step.records), step.kind, step.name or step.id)
    notes = "; ".join(step.notes)
    if step.operation in _WORDS:
        now, then = _WORDS[step.operation]
        yield (*who, "", now, f"{then} ({notes})" if notes else then)
    elif notes:
        yield (*who, "", "", notes)
    for change in _described_changes(step):
        slot, member = change["attribute"], change["member"]
        yield (*who, _attribute(slot, member), _cell(member, change["now"]), _cell(member, change["then"]))


def _show_conflicts(title: str, conflicts: tuple[Conflict, ...]) -> None:
    if not conflicts:
        return
    click.echo(title)
    show_table(
        ("record", "kind", "name", "attribute", "recorded", "now", "why"),
        (
            (
                _numbers(c.records),
                c.kind,
                c.name or c.id or "",
                _attribute(c.slot, c.member),
                _cell(c.member, c.recorded),
                _cell(c.member, c.present),
                c.reason,
            )
            for c in conflicts
        ),
        empty="",
    )
    click.echo()


def _show_outcome(undoing: Undoing, made: Made, *, dry_run: bool) -> None:
    _show_conflicts("What turned out to be otherwise, and stays as it is:", made.conflicts)
    if dry_run and undoing.steps:
        click.echo(f"Nothing is changed: {_changes(undoing.steps)} would be made.")
    elif made.steps:
        click.echo(f"Made: {_changes(made.steps)}. To take them back: landfall audit list --integration operator.")
    elif not undoing.conflicts and not made.conflicts:
        click.echo("There is nothing to undo.")
    if undoing.conflicts or made.conflicts:
        click.echo(
            "See what came over it (landfall audit show NUMBER): undo that first if it is wrong too, or else put the "
            "value right in the identity provider."
        )


def _described(undoing: Undoing, made: Made) -> dict[str, Any]:
    return {
        "steps": [
            {
                "operation": step.operation,
                "kind": step.kind,
                "id": step.id,
                "name": step.name,
                "records": list(step.records),
                "changes": list(_described_changes(step)),
                "notes": list(step.notes),
            }
            for step in undoing.steps
        ],
        "made": len(made.steps),
        "conflicts": [_described_conflict(conflict) for conflict in (*undoing.conflicts, *made.conflicts)],
        "nothing_to_do": [{"record": idle.record, "reason": idle.reason} for idle in undoing.idle],
    }


def _described_changes(step: Step) -> Iterator[dict[str, Any]]:
    for slot, value in step.values.items():
        yield {"attribute": slot, "member": None, "now": step.before[slot], "then": value}
    for relation, delta in step.relations.items():
        for then, ids in ((True, delta.add), (False, delta.remove)):
            yield from ({"attribute": relation, "member": id, "now": not then, "then": then} for id in ids)


def _described_conflict(conflict: Conflict) -> dict[str, Any]:
    return {
        "records": list(conflict.records),
        "kind": conflict.kind,
        "id": conflict.id,
        "name": conflict.name,
        "attribute": conflict.slot or None,
        "member": conflict.member,
        "recorded": conflict.recorded,
        "present": conflict.present,
        "reason": conflict.reason,
    }


def _attribute(slot: str, member: str | None) -> str:
    return slot if member is None else f"{slot} {member}"


def _cell(member: str | None, value: Any) -> str:
    if member is None or value is None:
        return shown(value)
    return "in it" if value else "not in it"


def _changes(steps: tuple[Step, ...]) -> str:
    return f"{len(steps)} changes" if len(steps) != 1 else "1 change"


def _records(numbers: list[int]) -> str:
    return f"Record {numbers[0]}" if len(numbers) == 1 else f"Records {_numbers(tuple(numbers))}"


def _numbers(numbers: tuple[int, ...]) -> str:
    some = ", ".join(map(str, numbers[:_NUMBERS]))
    return some if len(numbers) <= _NUMBERS else f"{some} and {len(numbers) - _NUMBERS} more"
