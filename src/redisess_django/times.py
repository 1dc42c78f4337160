"""Times as the pages and the admin show them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone
from django.utils.timesince import timesince
from django.utils.translation import gettext

if TYPE_CHECKING:
    from redisess_core import Session


def moment(seconds: float) -> datetime | None:
    """Return a time since the epoch as the project's templates take it; None for one that no calendar knows."""
    if not math.isfinite(seconds):
        return None
    try:
        found = datetime.fromtimestamp(seconds, UTC)
        return found if settings.USE_TZ else timezone.make_naive(found, timezone.get_default_timezone())
    except (OverflowError, OSError, ValueError):
        return None


def idle_text(session: Session) -> str:
    """Say how long ago a session was accessed; of the last minute nobody wants to know more."""
    accessed = moment(session.last_access)
    if accessed is None or session.idle < 60:
        return gettext("just now")
    now = accessed + timedelta(seconds=session.idle)  # by the clock that sessions go by
    return gettext("%(time)s ago") % {"time": timesince(accessed, now, depth=1)}
