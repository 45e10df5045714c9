"""The command line as an operator has it: a program of its own, in a directory of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.commands import CommandLine

COMMAND = CommandLine(("-W", "error"))


class Landfall:
    """Runs `landfall`, as `command` does, with a home directory below `directory`."""

    def __init__(self, directory: Path, command: CommandLine = COMMAND) -> None:
        self.command = command
        self.directory = directory
        self.home = directory / "var"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LANDFALL_")}
        root = str(Path(__file__).parents[2])
        self.environ = {**kept, "PYTHONPATH": root, "LANDFALL_HOME": str(self.home)}

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """What became of a command."""
        return self._run(arguments, environ)

    def answering(self, answers: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """What became of a command that asks and is answered."""
        return self._run(arguments, {}, answers)

    def _run(
        self, arguments: tuple[str, ...], environ: Mapping[str, str], answers: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        return self.command.run(
            arguments, env={**self.environ, **environ}, cwd=self.directory, answers=answers, timeout=60
        )

    def output(self, *arguments: str) -> str:
        """What a command that succeeds prints; it says nothing on standard error."""
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """The JSON document that a command that succeeds prints."""
        return json.loads(self.output(*arguments, "--json"))

    def refusal(self, *arguments: str, status: int = 1, environ: Mapping[str, str] | None = None) -> str:
        """What a command that fails says; it is a message and nothing else."""
        done = self.run(*arguments, **(environ or {}))
        assert (done.returncode, done.stdout) == (status, "")
        assert "Traceback" not in done.stderr
        return done.stderr


@pytest.fixture
def landfall(tmp_path: Path) -> Landfall:
    return Landfall(tmp_path)
