"""A back end that none is: a command that opens it tells what its process is like, and is refused."""

from __future__ import annotations

import contextvars
import decimal
import functools
import gc
import json
import locale
import logging
import os
import random
import resource
import signal
import socket
import sqlite3
import sys
import tempfile
import threading
import time
import warnings
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import structlog
from sqlalchemy import Engine

OWN = ("app", "backends", "config")
_CACHED = type(functools.cache(len))
_COLLECTIONS = (dict, list, set, OrderedDict, defaultdict, deque, WeakKeyDictionary, WeakValueDictionary)


def told(_settings: object, _registry: object) -> None:
    """The factory that LANDFALL_BACKEND names. The file that LOADED names has the modules to be loaded first."""
    listed = os.environ.get("LOADED")
    for name in json.loads(Path(listed).read_text()) if listed else ():
        # Those that a library makes without a file are there when the library is.
        with suppress(ModuleNotFoundError):
            import_module(name)
    print(
        json.dumps(
            {"process": _process(), "held": dict(_held()), "chance": random.random(), "modules": sorted(sys.modules)}
        )
    )


def _process() -> dict[str, Any]:
    """What is the same in a fork and in a new process."""
    # What was there when a process was forked may be out of the collector's sight.
    gc.unfreeze()
    main, umask = sys.modules["__main__"], os.umask(0)
    os.umask(umask)
    config = {name: str(type(value)) for name, value in structlog.get_config().items()}
    return {
        "arguments": [sys.argv, sys.orig_argv, sys.path, sys.executable],
        "main": [main.__name__, main.__package__ or "", main.__file__, main.__spec__ and main.__spec__.name],
        "interpreter": [str(sys.flags), sys.getrecursionlimit(), sys.getswitchinterval(), sys.get_int_max_str_digits()],
        "hooks": [str(hook) for hook in (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.displayhook)],
        "warnings": [sys.warnoptions, [str(item) for item in warnings.filters]],
        "environment": [dict(os.environ), str(Path.cwd()), umask, os.nice(0), os.getpgrp(), os.getsid(0)],
        "limits": [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT")],
        "descriptors": sorted(number for number in map(int, _names("/proc/self/fd")) if _is_open(number)),
        "streams": [_stream(stream) for stream in (sys.stdin, sys.stdout, sys.stderr, sys.__stdout__)],
        "threads": [len(_names("/proc/self/task")), [thread.name for thread in threading.enumerate()]],
        "signals": [[str(signal.getsignal(n)) for n in signal.valid_signals()], *_blocked()],
        "places": [locale.setlocale(locale.LC_ALL), time.tzname, str(decimal.getcontext()), socket.getdefaulttimeout()],
        "collector": [gc.isenabled(), gc.get_threshold(), tempfile.tempdir],
        "logging": [structlog.is_configured(), config, dict(_loggers())],
        "context": sorted(variable.name for variable in contextvars.copy_context()),
        "open": sum(isinstance(item, Engine | socket.socket | sqlite3.Connection) for item in gc.get_objects()),
    }


def _held() -> Iterator[tuple[str, int]]:
    """How much is in each cache and each collection of the program's modules."""
    for module in _own():
        for name, value in vars(module).items():
            if isinstance(value, _CACHED):
                yield f"{module.__name__}.{name}", value.cache_info().currsize
            elif type(value) in _COLLECTIONS and not name.startswith("__"):
                yield f"{module.__name__}.{name}", len(value)


def _own() -> list[ModuleType]:
    return [module for name, module in sorted(sys.modules.items()) if name.partition(".")[0] in OWN]


def _loggers() -> Iterator[tuple[str, list[str]]]:
    for name, logger in [("", logging.root), *sorted(logging.root.manager.loggerDict.items())]:
        if isinstance(logger, logging.Logger) and (logger.handlers or logger.level or logger.disabled):
            yield name, [str(logger.level), str(logger.disabled), *(str(type(one)) for one in logger.handlers)]


def _names(directory: str) -> list[str]:
    return [path.name for path in Path(directory).iterdir()]


def _is_open(number: int) -> bool:
    """Whether a descriptor is still there when the listing of all, which takes one, is over."""
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _stream(stream: Any) -> list[object]:
    buffering = [stream.line_buffering, stream.write_through, stream.isatty()]
    return [stream.name, stream.mode, stream.encoding, stream.errors, stream.newlines, stream.closed, *buffering]


def _blocked() -> list[list[int]]:
    return [sorted(signal.pthread_sigmask(signal.SIG_BLOCK, []))]
