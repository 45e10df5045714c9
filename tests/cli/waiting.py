"""Back ends that none are: a command that opens one does not come to its end."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def forever(_settings: object, _registry: object) -> None:
    """Tells its process id, makes the file `running`, and waits."""
    print(os.getpid(), flush=True)
    Path("running").touch()
    signal.pause()


def killed(_settings: object, _registry: object) -> None:
    """Ends as the kernel ends one that takes too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)
