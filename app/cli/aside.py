"""What commands say of that which can't come into the audit trail."""

from __future__ import annotations

from app.services.audit import Spools

ASIDE_MEND = "keep that file with what you keep of the audit: take it away from there, or rename it"


def set_aside(spools: Spools) -> tuple[int | None, str]:
    """How many lines are set aside, None where that can't be read; and what there is to say of it, without a full stop:
    nothing where there are none."""
    path = spools.aside.path
    try:
        count = spools.aside.count()
    except OSError as error:
        return None, f"{path} can't be read ({error.strerror})"
    lines = f"{count} line{'' if count == 1 else 's'}"
    return count, f"{lines} in {path} could not come into the audit trail" if count else ""
