"""Tables for people, JSON for scripts."""

from __future__ import annotations

import codecs
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

_Function = TypeVar("_Function", bound=Callable[..., Any])
_WIDTH_OF_A_PIPE = 200


def spell_out() -> None:
    """From now on what the encoding of standard output or standard error has no place for is written as an escape:
    clients choose names, and no name may cut off what is printed."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def json_option(function: _Function) -> _Function:
    """The option that every command has that shows something."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def show_json(content: Any) -> None:
    """Print one JSON document, in the encoding of standard output; what that may not have is written as JSON escapes it
    (RFC 8259 section 7)."""
    click.echo(json.dumps(content, indent=2, ensure_ascii=not _is_utf8()))


@contextmanager
def utf8_output() -> Iterator[codecs.StreamWriter]:
    """Standard output for what a program reads: in UTF-8 whatever the encoding is that people have, and with the ends
    of lines that it is given. When the block ends all is written."""
    sys.stdout.flush()
    stream = codecs.getwriter("utf-8")(sys.stdout.buffer)
    yield stream
    stream.flush()


def show_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """Print a table; without rows print the sentence `empty`."""
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text(legible(cell)) for cell in row))
    if table.row_count:
        make_console().print(table)
    else:
        click.echo(empty)


def show_fields(fields: Iterable[tuple[str, str]], console: Console | None = None) -> None:
    """Print names and values, one pair on a line that is never broken, so that a value can be copied."""
    console = console or make_console()
    pairs = list(fields)
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        line = Text.assemble("  ", (f"{name:<{width}}", "bold"), "  ", legible(value))
        console.print(line, soft_wrap=True)


def _is_utf8() -> bool:
    encoding = getattr(sys.stdout, "encoding", None)
    return encoding is not None and codecs.lookup(encoding).name == "utf-8"


def legible(text: str) -> str:
    """The text with an escape in place of each character that can't be seen, or that would steer a terminal: clients
    choose much of what is shown."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def make_console() -> Console:
    """A console as wide as the terminal, or wide enough for a table in a pipe."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=_WIDTH_OF_A_PIPE)


def moment(time: datetime | None, never: str = "") -> str:
    """A time for people, in UTC."""
    return never if time is None else f"{time:%Y-%m-%d %H:%M} UTC"


def stamp(time: datetime | None) -> str | None:
    """A time for scripts (RFC 3339)."""
    return None if time is None else time.isoformat().replace("+00:00", "Z")
