"""What every command works with: the settings, the control store and the back end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path

import click

from app import logs
from app.control import ControlStore, upgrade_if_new
from app.scim.registry import load as load_registry
from backends import open_backend
from backends.base import Backend
from config.loader import load
from config.settings import Settings


class Operator:
    """Opens things when a command asks for them. `config` None means the file that LANDFALL_CONFIG names."""

    def __init__(self, config: Path | None) -> None:
        self.config = config

    @cached_property
    def settings(self) -> Settings:
        """What is logged from now on goes to standard error, in the form and from the level on that the settings name:
        standard output has what the command prints. Raises ConfigError."""
        settings = load(self.config, os.environ)
        logs.configure(settings.log)
        return settings

    @contextmanager
    def control(self) -> Iterator[ControlStore]:
        """The control store, made first where there is none. Raises ConfigError, ControlUnavailable."""
        url = self.settings.control_url.reveal()
        upgrade_if_new(url)
        with closing(ControlStore(url)) as store:
            store.check()
            yield store

    @contextmanager
    def backend(self) -> Iterator[Backend]:
        """The configured back end. Raises ConfigError."""
        with closing(open_backend(self.settings, load_registry())) as backend:
            yield backend


pass_operator = click.make_pass_decorator(Operator)


def reason(error: BaseException) -> str:
    """The error in one sentence, with what the library below said about it: this is read by the operator
    alone.
    """
    cause = error.__cause__
    said = str(getattr(cause, "orig", cause) or "").strip().partition("\n")[0]
    return f"{error} ({said})" if said else str(error)
