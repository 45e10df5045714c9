"""The settings of `/metrics`."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.loader import load
from config.secret import Secret

TOKEN = "c2VjcmV0LW9mLXRoZS10ZXN0cw=="


def test_the_token_is_a_secret_that_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    settings = load(None, {"LANDFALL_METRICS_ENABLED": "true", "LANDFALL_METRICS_TOKEN_FILE": str(file)})
    assert settings.metrics.enabled
    assert settings.metrics.token == Secret(TOKEN)
    assert TOKEN not in repr(settings)


@pytest.mark.parametrize("token", ["", "short", "a" * 15, "blank in the midst of it", "ünbelievably-long-token"])
def test_a_token_that_no_header_could_hold_or_that_is_soon_guessed(token: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {"LANDFALL_METRICS_TOKEN": token})
    (fault,) = caught.value.faults
    assert (fault.key, "at least 16" in fault.message) == ("metrics.token", True)
    assert len(token) < 6 or token not in str(caught.value)
