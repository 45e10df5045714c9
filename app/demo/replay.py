"""One run of the replay: a temporary integration, the steps with their progress, the closing table."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from app.control import Access, ControlError, ControlStore, Dialect, Integration
from app.demo.ledger import Ledger
from app.demo.provider import Provider
from app.demo.story import Step, Story
from app.demo.wire import Wire
from config.settings import Settings

IN_FLIGHT = 5
"""How many requests the client has under way at once."""


class Refused(Exception):
    """The replay cannot begin; the message is the sentence for whoever started it."""


def run(settings: Settings, *, console: Console, keep: bool = False) -> int:
    """Replay an initial and incremental cycle, disabling, group changes in parallel and deletion over HTTP.

    The exit status: 0 when every answer was as the identity provider needs it and everything sent is stored, else
    1 with what was not. Afterwards the temporary integration is revoked, and the users and groups are removed
    unless `keep` is true.
    """
    with closing(Wire(settings)) as wire:
        try:
            return _replay(settings, wire, console, keep)
        except Refused as reason:
            console.print(f"The replay cannot begin: {reason}", highlight=False, markup=False)
        except ControlError:
            where = "the service's own database cannot be used; start the service once with `make run`"
            console.print(f"The replay cannot go on: {where}.", markup=False)
    return 1


def _replay(settings: Settings, wire: Wire, console: Console, keep: bool) -> int:
    if (answer := wire.request("GET", "/healthz", {})).status != 200:
        reason = answer.fault or f"it answers {answer.status}"
        raise Refused(f"no service at http://{wire.address} ({reason}). Start it with `make run` in another terminal.")
    ledger = Ledger()
    suffix = secrets.token_hex(2)
    with closing(ControlStore(settings.control_url.reveal())) as control:
        ledger.begin("token")
        with _integration(control, suffix) as integration:
            secret = control.add_secret(integration.id).value
            provider = Provider(wire, ledger, _authorization(wire, ledger, integration, secret, settings))
            story = Story(provider, ledger, suffix)
            _tell(story, ledger, console, keep)
        ledger.begin("revoked integration")
        provider.get("/Users", wanted=(401,))
    ledger.show(console)
    _conclude(ledger, console, story, keep)
    return 1 if ledger.failures else 0


@contextmanager
def _integration(control: ControlStore, suffix: str) -> Iterator[Integration]:
    """An integration for as long as the block takes; it is revoked however the block ends."""
    integration = control.create_integration(f"demo-{suffix}", Access.FULL, Dialect.ENTRA)
    try:
        yield integration
    finally:
        control.revoke_integration(integration.id)


def _authorization(wire: Wire, ledger: Ledger, integration: Integration, secret: str, settings: Settings) -> str:
    """The header made of a token from the token endpoint. Raises Refused when there is none."""
    answer = wire.token(integration.id, secret)
    ledger.answered("POST /oauth/token", answer, (200,))
    token = answer.document.get("access_token")
    if answer.status == 401:
        raise Refused(
            f"the service at http://{wire.address} does not know an integration made in {settings.home}. "
            "Is it another copy? LANDFALL_HOME, LANDFALL_BIND and LANDFALL_CONFIG must be what it was started with."
        )
    if answer.status != 200 or not isinstance(token, str):
        raise Refused(f"the token endpoint answered {answer.status or answer.fault}.")
    lifetime = answer.document.get("expires_in")
    ledger.check(isinstance(lifetime, int) and 3600 <= lifetime <= 21600, f"expires_in is {lifetime!r}")
    ledger.check(answer.headers.get("cache-control") == "no-store", "the token may be cached")
    return f"Bearer {token}"


def _tell(story: Story, ledger: Ledger, console: Console, keep: bool) -> None:
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(IN_FLIGHT) as pool:
        try:
            for step in story.steps():
                _take(step, ledger, progress, pool)
        finally:
            if not keep:
                _take(story.clean_up(), ledger, progress, pool)


def _take(step: Step, ledger: Ledger, progress: Progress, pool: ThreadPoolExecutor) -> None:
    ledger.begin(step.title)
    tasks = list(step.tasks())
    shown = progress.add_task(step.title, total=len(tasks))
    for _ in pool.map(lambda task: task(), tasks):
        progress.advance(shown)


def _conclude(ledger: Ledger, console: Console, story: Story, keep: bool) -> None:
    if ledger.failures:
        console.print(f"{len(ledger.failures)} things were not as the identity provider needs them.", style="red")
    else:
        console.print("Everything was answered as the identity provider needs it, and stored as it was sent:")
    console.print(f"{story.outcome} at the end of the last cycle.", highlight=False)
    if keep:
        console.print(f"They are kept: their names hold {story.suffix}.", highlight=False)
    else:
        console.print("They are removed again; with --keep they stay.", highlight=False)
    console.print("The integration of this replay is revoked.")
