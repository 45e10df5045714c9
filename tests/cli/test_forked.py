"""The commands that tests fork differ in nothing from those that an operator starts, which are started here too."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import COMMAND, Landfall
from tests.support.commands import INSTALLED, CommandLine

ROOT = Path(__file__).parents[2]
PROBING = {"LANDFALL_BACKEND": "tests.cli.probing:told", "PYTHONPATH": str(ROOT)}

GROUPS = (
    ("adoption", "show", "nobody"),
    ("audit", "list"),
    ("brakes", "show"),
    ("check",),
    ("db", "upgrade"),
    ("demo",),
    ("groups", "list"),
    ("integration", "list"),
    ("keys", "list", "--json"),
    ("rehearsal", "show"),
    ("retired", "list"),
    ("undo", "1", "--yes"),
    ("users", "list", "--json"),
)


def started(landfall: Landfall, command: CommandLine, *arguments: str, **environ: str) -> Any:
    """What becomes of a process of its own."""
    return subprocess.run(
        [*command.words, *arguments],
        env={**landfall.environ, **environ},
        cwd=landfall.directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def forked(landfall: Landfall, command: CommandLine, *arguments: str, **environ: str) -> Any:
    return Landfall(landfall.directory, command).run(*arguments, **environ)


def probed(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What a command told of its process before it was refused."""
    assert "gave no backends.base.Backend" in done.stderr
    process: dict[str, Any] = json.loads(done.stdout)
    return process


@pytest.mark.parametrize("arguments", [*GROUPS, ("--help",), ("nonsense",)])
def test_the_installed_program_does_what_a_fork_does(landfall: Landfall, arguments: tuple[str, ...]) -> None:
    """A command of each group, which a process of its own loads alone: status and both streams are those of a fork."""
    landfall.output("db", "upgrade")
    new, fork = started(landfall, INSTALLED, *arguments), forked(landfall, INSTALLED, *arguments)
    assert "Traceback" not in new.stderr
    assert vars(new) == vars(fork)


@pytest.mark.parametrize("arguments", [("--help",), ("integration", "create", "x")])
def test_the_module_does_what_a_fork_does(landfall: Landfall, arguments: tuple[str, ...]) -> None:
    """The same of `python -m app.cli`, with the name that it has in usage messages, and warnings as errors."""
    landfall.output("db", "upgrade")
    assert vars(started(landfall, COMMAND, *arguments)) == vars(forked(landfall, COMMAND, *arguments))


def test_each_group_is_started(landfall: Landfall) -> None:
    """`serve` is started where services are tested; the rest here."""
    listed = landfall.output("--help").partition("Commands:\n")[2].splitlines()
    names = {line.split()[0] for line in listed if line[2:3].strip()}
    assert names == {"serve", *(group[0] for group in GROUPS)}


@pytest.mark.parametrize("command", [COMMAND, INSTALLED], ids=["module", "program"])
def test_the_process_is_the_same(landfall: Landfall, command: CommandLine) -> None:
    """Interpreter, streams, descriptors, signals, logging, and what modules hold, when a process of its own has loaded
    what a fork has from the start; chance is not the same."""
    directory = landfall.directory / "work"
    directory.mkdir()
    landfall = Landfall(directory, command)
    del landfall.environ["PATH"]
    loaded = directory / "loaded.json"
    loaded.write_text(json.dumps(probed(landfall.run("users", "list", **PROBING))["modules"]))
    environ = {**PROBING, "LOADED": str(loaded), "INVENTED": "Größe\udcff"}
    umask = os.umask(0o027)
    try:
        new = probed(started(landfall, command, "users", "list", **environ))
        forks = [probed(landfall.run("users", "list", **environ)) for _ in range(2)]
    finally:
        os.umask(umask)
    for fork in forks:
        assert fork["process"] == new["process"]
        assert fork["held"] == new["held"]
    assert new["process"]["environment"][2] == 0o027
    assert len({process["chance"] for process in (new, *forks)}) == 3


def test_a_variable_that_the_interpreter_reads_holds(landfall: Landfall) -> None:
    """A fork of a process that had another time zone would not have it."""
    process = probed(landfall.run("users", "list", **PROBING, TZ="Asia/Kathmandu"))["process"]
    assert process["places"][1] == ["+0545", "+0545"]


def test_what_modules_hold_does_not_grow(landfall: Landfall) -> None:
    """A command leaves nothing to those after it: the process that is forked runs none itself."""
    before = probed(landfall.run("users", "list", **PROBING))
    landfall.output("db", "upgrade")
    landfall.output("users", "list")
    after = probed(landfall.run("users", "list", **PROBING))
    assert (after["held"], after["modules"]) == (before["held"], before["modules"])


def test_a_command_that_takes_too_long_is_ended(landfall: Landfall) -> None:
    """As `subprocess.run` ends one. Another that is run beside it has nothing of it."""
    running = landfall.directory / "running"
    environ = {**landfall.environ, "PYTHONPATH": str(ROOT), "LANDFALL_BACKEND": "tests.cli.waiting:forever"}
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(COMMAND.run, ("users", "list"), env=environ, cwd=landfall.directory, timeout=4)
        while not running.exists():
            assert not long.done(), long.result()
            time.sleep(0.01)
        beside = probed(landfall.run("users", "list", **PROBING))["process"]
        assert beside["descriptors"] == [0, 1, 2]
        with pytest.raises(subprocess.TimeoutExpired) as expired:
            long.result()
    process = int(expired.value.output)
    deadline = time.monotonic() + 30
    while Path(f"/proc/{process}").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert landfall.output("db", "upgrade")


def test_a_command_that_a_signal_ends_has_its_number(landfall: Landfall) -> None:
    """The status is negative, as that of a process of its own."""
    environ = {"PYTHONPATH": str(ROOT), "LANDFALL_BACKEND": "tests.cli.waiting:killed"}
    assert landfall.run("users", "list", **environ).returncode == -signal.SIGKILL
