"""The service's own signing keys: made, replaced when they are old, and published (RFC 7517)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

from joserfc.jwk import RSAKey

from app.control import ControlStore, ControlUnavailable, NewKey, SigningKey

ALGORITHM = "RS256"
_KEY_BITS = 2048


def new_key() -> NewKey:
    """A fresh RSA key whose kid is its thumbprint (RFC 7638)."""
    key = RSAKey.generate_key(_KEY_BITS, private=True)
    return NewKey(kid=key.thumbprint(), private_pem=key.as_pem(private=True).decode("ascii"))


@dataclass(frozen=True, slots=True)
class _Loaded:
    generation: int
    stored: tuple[SigningKey, ...]
    keys: Mapping[str, RSAKey]


class KeyRing:
    """The keys of the control store, read once for each generation.

    Raises ControlUnavailable where the store does.
    """

    def __init__(self, control: ControlStore, max_age: timedelta, *, clock: Callable[[], float] = time.time) -> None:
        self._control = control
        self._max_age = max_age
        self._clock = clock
        self._loaded: _Loaded | None = None
        self._replacing = threading.Lock()

    def signer(self) -> RSAKey:
        """The private key to sign with. It is made when there is none, and replaced past its age."""
        for _ in range(3):
            loaded = self._load()
            current = loaded.stored[0] if loaded.stored and loaded.stored[0].retired_at is None else None
            if current is not None and not self._is_old(current):
                return loaded.keys[current.kid]
            with self._replacing:
                self._control.replace_signing_key(new_key(), previous=current.kid if current else None)
        raise ControlUnavailable("the signing key could not be replaced")

    def rotate(self) -> str:
        """The kid of a new signing key; the old one verifies until its last token has ended."""
        loaded = self._load()
        current = next((key.kid for key in loaded.stored if key.retired_at is None), None)
        key = new_key()
        if not self._control.replace_signing_key(key, previous=current):
            raise ControlUnavailable("another process replaced the signing key at the same moment")
        return key.kid

    def verifier(self, kid: str) -> RSAKey | None:
        """The key with exactly this kid, if it is one of ours and may still verify."""
        loaded = self._load()
        known = any(key.kid == kid and self._verifies(key) for key in loaded.stored)
        return loaded.keys[kid] if known else None

    def public(self) -> list[dict[str, Any]]:
        """The public keys as JWKs, the signing one first; it is made when there is none."""
        self.signer()
        loaded = self._load()
        return [dict(loaded.keys[key.kid].as_dict(private=False)) for key in loaded.stored if self._verifies(key)]

    def _verifies(self, key: SigningKey) -> bool:
        return key.expires_at is None or key.expires_at.timestamp() > self._clock()

    def _is_old(self, key: SigningKey) -> bool:
        return key.created.timestamp() + self._max_age.total_seconds() <= self._clock()

    def _load(self) -> _Loaded:
        generation = self._control.generation()
        loaded = self._loaded
        if loaded is None or loaded.generation != generation:
            stored = tuple(self._control.signing_keys())
            loaded = _Loaded(generation, stored, {key.kid: parse_key(key) for key in stored})
            self._loaded = loaded
        return loaded


@lru_cache(maxsize=8)
def parse_key(key: SigningKey) -> RSAKey:
    """The key pair of a stored key. Checking an RSA key takes a tenth of a second, so it is done once."""
    return RSAKey.import_key(key.private_pem, {"kid": key.kid, "use": "sig", "alg": key.algorithm})
