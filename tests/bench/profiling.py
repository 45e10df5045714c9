"""Where the time of a case goes, by layer: the case runs in this process under cProfile."""

from __future__ import annotations

import cProfile
import io
import json
import pstats
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.control import ControlStore
from app.factory import create_app
from config.loader import load
from tests.bench.cases import Case, Population, group_document, user_document
from tests.bench.load import make_request
from tests.bench.population import GROUPS, USERS
from tests.bench.storage import prepare, storage

# The first pattern that a file name or a built-in's description holds decides.
_LAYERS = (
    ("driver", ("sqlite3", "psycopg", "pymysql")),
    ("LDAP client library", ("/ldap3/", "/site-packages/ldap/", "_ldap", "LDAP", "/pyasn1/", "_ssl.", "_socket.")),
    ("sqlalchemy", ("sqlalchemy", "/sql/cyextension")),
    ("back end", ("/backends/",)),
    ("control store", ("/app/control/",)),
    ("auth", ("/app/auth/", "authlib", "joserfc", "cryptography", "/hashlib", "/ipaddress")),
    ("core", ("/app/scim/",)),
    ("services", ("/app/services/",)),
    ("marshmallow", ("marshmallow",)),
    ("log", ("structlog", "/app/logs")),
    ("api", ("/app/api/", "/app/factory")),
    ("json", ("orjson", "/json/", "_json")),
    ("flask, werkzeug", ("flask", "werkzeug", "/http/", "/urllib/")),
)


def profile(name: str, case: Case, requests: int) -> list[tuple[str, float]]:
    """CPU milliseconds of each layer for one request on the store of that name, the largest first.

    The whole is what requests take without the profiler; its shares are those that the profiler finds, which sees
    many small functions as dearer than they are.
    """
    with storage(name) as store:
        prepare(store.home)
        variables = {**store.variables, "LANDFALL_HOME": str(store.home), "LANDFALL_LOG_LEVEL": "error"}
        app = create_app(load(None, variables))
        known = _populate(app.wsgi_app, store.home)
        prepared = [_environ(raw) for raw in case.make(known, 3 * requests)]
        for environ in prepared[:requests]:
            _call(app.wsgi_app, environ, case.wanted)
        began = time.process_time()
        for environ in prepared[requests : 2 * requests]:
            _call(app.wsgi_app, environ, case.wanted)
        plain = time.process_time() - began
        profiler = cProfile.Profile(time.process_time)
        profiler.enable()
        for environ in prepared[2 * requests :]:
            _call(app.wsgi_app, environ, case.wanted)
        profiler.disable()
        app.extensions["landfall"].close()
    spent = _by_layer(pstats.Stats(profiler).stats)  # type: ignore[attr-defined]
    profiled = sum(spent.values())
    return [(layer, plain * seconds / profiled * 1000 / requests) for layer, seconds in spent.most_common()]


def _by_layer(stats: Mapping[Any, Any]) -> Counter[str]:
    """Seconds of each layer; a built-in that has no layer of its own counts for its callers."""
    spent: Counter[str] = Counter()
    for function, (_, _, seconds, _, callers) in stats.items():
        layer = _layer(function)
        if layer or not callers:
            spent[layer or "python"] += seconds
            continue
        for caller, (_, _, part, _) in callers.items():
            spent[_layer(caller) or "python"] += part
    return spent


def _layer(function: tuple[str, int, str]) -> str | None:
    where = function[0] if function[0] != "~" else function[2]
    return next((layer for layer, patterns in _LAYERS if any(p in where for p in patterns)), None)


def _populate(wsgi: Any, home: Path) -> Population:
    control = ControlStore(f"sqlite:///{home / 'control.db'}")
    token = control.add_bearer(control.find_integration("bench").id, None).value
    control.close()

    def created(endpoint: str, document: dict[str, Any]) -> dict[str, Any]:
        request = make_request("POST", f"/scim/v2{endpoint}", token, document)
        answer: dict[str, Any] = json.loads(_call(wsgi, _environ(request), 201))
        return answer

    users = [created("/Users", user_document(number)) for number in range(USERS)]
    groups = [created("/Groups", group_document(number)) for number in range(GROUPS)]
    return Population(token, [u["id"] for u in users], [u["userName"] for u in users], [g["id"] for g in groups])


def _environ(request: bytes) -> dict[str, Any]:
    """The WSGI environment that a server would make of the request (PEP 3333)."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, target, protocol = first.split(" ")
    path, _, query = target.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": protocol,
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for line in lines:
        name, _, value = line.partition(": ")
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return environ


def _call(wsgi: Any, environ: dict[str, Any], wanted: int) -> bytes:
    answered: list[str] = []
    chunks = wsgi(environ, lambda status, headers, exc_info=None: answered.append(status))
    body = b"".join(chunks)
    if hasattr(chunks, "close"):
        chunks.close()
    if int(answered[0][:3]) != wanted:
        raise RuntimeError(f"answered {answered[0]}: {body[:500]!r}")
    return body
