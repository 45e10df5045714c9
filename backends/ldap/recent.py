"""What was read a moment ago: a client's change follows a read of the same resource, which need not be made twice."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock

from app.scim.query import ResourceId, Version
from backends.ldap.entries import Content

_KEPT = 1000
_SECONDS = 2.0
_SECONDS_OF_A_NAME = 0.5


class Recent:
    """The contents that were read last, by id. Only a write that fails when the entry has changed since may rely on
    one."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._contents: OrderedDict[ResourceId, tuple[float, Content]] = OrderedDict()
        self._names: OrderedDict[ResourceId, tuple[float, str]] = OrderedDict()

    def remember(self, content: Content) -> None:
        """Keep the content of an entry that was read whole."""
        with self._lock:
            self._contents[content.id] = (self._clock(), content)
            self._contents.move_to_end(content.id)
            if len(self._contents) > _KEPT:
                self._contents.popitem(last=False)

    def name(self, contents: Iterable[Content]) -> None:
        """Keep the DNs of entries that were read."""
        with self._lock:
            for content in contents:
                self._name(content.id, content.dn)

    def names(self, ids: Iterable[ResourceId]) -> dict[ResourceId, str]:
        """The DNs of those of the entries that were read a moment ago, for what is read of them besides."""
        oldest = self._clock() - _SECONDS_OF_A_NAME
        with self._lock:
            found = ((id, self._names.get(id)) for id in ids)
            return {id: named[1] for id, named in found if named is not None and named[0] >= oldest}

    def forget(self, id: ResourceId) -> None:
        """The entry may have another DN from now on, or none."""
        with self._lock:
            self._names.pop(id, None)
            self._contents.pop(id, None)

    def move(self, id: ResourceId, name: str) -> None:
        """The entry was changed, and has this DN now."""
        with self._lock:
            self._contents.pop(id, None)
            self._name(id, name)

    def take(self, id: ResourceId, version: Version) -> Content | None:
        """The content in that version, if it was read a moment ago; it is given once."""
        with self._lock:
            at, content = self._contents.pop(id, (0.0, None))
        if content is None or content.stamp.version != version or self._clock() - at > _SECONDS:
            return None
        return content

    def _name(self, id: ResourceId, name: str) -> None:
        self._names[id] = (self._clock(), name)
        self._names.move_to_end(id)
        if len(self._names) > _KEPT:
            self._names.popitem(last=False)
