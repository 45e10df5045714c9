"""`python -m app.cli` is `landfall`."""

from __future__ import annotations

from app.cli.main import main

main()
