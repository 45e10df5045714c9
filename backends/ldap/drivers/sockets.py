"""What the operating system knows about a connection."""

from __future__ import annotations

import os
import select
import socket

from backends.ldap.drivers.base import Address


def has_news(descriptor: int) -> bool:
    """Whether octets or an end wait on an idle connection: either way the server has finished with it."""
    poll = select.poll()
    try:
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(0))
    except (OSError, ValueError):
        return True


def sever(descriptor: int) -> None:
    """Ends the connection at once and leaves the descriptor open, for who owns it. Raises OSError."""
    with socket.socket(fileno=os.dup(descriptor)) as same:
        same.shutdown(socket.SHUT_RDWR)


def listens(address: Address, timeout: float) -> bool:
    """Whether something accepts connections there within that many seconds."""
    try:
        socket.create_connection((address.host, address.port), timeout).close()
    except OSError:
        return False
    return True
