"""What a store would be asked for by the net changes of a rehearsal, in its own language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from app.control import Rehearsal
from app.scim.query import Change, Delta, Resource
from app.scim.registry import ResourceType
from app.services.rehearsal.making import Changed, Making, Sent, without_missing
from app.services.rehearsal.net import Item, Values
from backends.base import Backend
from backends.errors import StoreError

_COMMENTS: Mapping[str, str] = {"sql": "--", "ldif": "#"}
_WORDS: Mapping[str, str] = {"sql": "a database", "ldif": "a directory"}


class NoSuchScript(Exception):
    """The store has another language, or none; the message is for an operator."""


def script(language: str, store: Backend, rehearsal: Rehearsal, items: Sequence[Item]) -> Iterator[str]:
    """The lines of the script: for each item a comment, and what the store itself would be asked for. The store makes
    the changes for that, one after the other, in a trial of which nothing stays. Raises NoSuchScript, StoreError."""
    try:
        trial = store.trial()
    except NotImplementedError:
        raise NoSuchScript(f"this store can't say in {language.upper()} what it would do") from None
    with trial as tried:
        if tried.language != language:
            raise NoSuchScript(
                f"{language.upper()} is for {_WORDS[language]}, and users and groups are in {_WORDS[tried.language]}: "
                f"see --format {tried.language}"
            )
        making, mark = Making(tried.backend, rehearsal), _COMMENTS[language]
        later: list[tuple[Item, Sent]] = []
        if language == "ldif":
            yield from ("version: 1", "")
        for item in items:
            yield f"{mark} {item.action} {item.copy.kind} {_on_one_line(item.name)}"
            yield from (f"{mark} {note}" for note in _made(making, tried.backend, item, later))
            yield from _spaced(tried.taken())
        for item, first in later:
            yield f"{mark} {item.copy.kind} {_on_one_line(item.name)}: what refers to resources that came later"
            yield from (f"{mark} {note}" for note in _completed(making, tried.backend, item, first))
            yield from _spaced(tried.taken())


def _made(making: Making, backend: Backend, item: Item, later: list[tuple[Item, Sent]]) -> Iterator[str]:
    """Make the change; what is to be said of it. What has to wait for another one is put to `later`."""
    resource_type = backend.registry.type(item.copy.kind)
    kept, elsewhere = _kept(resource_type, item)
    if elsewhere:
        yield f"kept in the control store: {', '.join(elsewhere)}"
    if item.secrets:
        yield f"not kept, and would have been set: {', '.join(item.secrets)}"
    yield from without_missing(item)
    sent = making.sent(resource_type, kept)
    try:
        made = making.make(resource_type, kept, sent, making.found(resource_type, kept))
    except (Changed, StoreError) as error:
        yield f"can't be done: {_said(error)}"
        return
    if item.action == "create" and isinstance(made, Resource):
        making.ids[item.key] = made.id
    if sent.left:
        later.append((kept, sent))


def _completed(making: Making, backend: Backend, item: Item, first: Sent) -> Iterator[str]:
    """Make the rest of a change, now that what it refers to is there."""
    now = making.sent(backend.registry.type(item.copy.kind), item)
    values = {slot: value for slot, value in now.values.items() if slot not in first.values}
    relations = {name: Delta(delta.add) for name, delta in now.relations.items() if name in first.left}
    try:
        backend.update(item.copy.kind, making.id_of(item), Change(values, relations))
    except StoreError as error:
        yield f"can't be done: {_said(error)}"


def _kept(resource_type: ResourceType, item: Item) -> tuple[Item, list[str]]:
    """The item without what the store has no place for, and the names of that."""
    elsewhere = sorted(slot for slot in item.after if slot not in resource_type.slots)

    def without(values: Values) -> Values:
        return {slot: value for slot, value in values.items() if slot not in elsewhere}

    return replace(item, before=without(item.before), after=without(item.after)), elsewhere


def _spaced(lines: list[str]) -> list[str]:
    """The lines, with an empty one at the end."""
    return lines if lines and not lines[-1] else [*lines, ""]


def _said(error: Exception) -> str:
    return _on_one_line(str(error)) or type(error).__name__


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
