"""How long a session is to live: what `set_expiry` left in its data, as a ttl and a deadline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from redisess_core.config import check_seconds
from redisess_core.record import DATA

EXPIRY: Final = "_session_expiry"
EXPIRY_FIELD: Final = DATA + EXPIRY.encode()


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Seconds without an access, and seconds since the epoch, after which a session ends; None: as it was."""

    ttl: float | None = None
    deadline: float | None = None
    over: bool = False  # before it began


def lifetime_of(expiry: Any, *, age: float, latest: float, now: float) -> Lifetime:
    """Read *expiry*: seconds are an idle timeout, a date is a deadline that nothing moves; else it is *age*.

    None ends later than *latest*. An age of 0 or less is over: as a ttl, 0 would stand for none.
    """
    if isinstance(expiry, str):
        expiry = datetime.fromisoformat(expiry)
    if isinstance(expiry, datetime):
        deadline = expiry.timestamp()
        return Lifetime(0, min(deadline, latest), over=deadline <= now)
    seconds = expiry or age
    return Lifetime(over=True) if seconds <= 0 else Lifetime(check_seconds("set_expiry", seconds), latest)
