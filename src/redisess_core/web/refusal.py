"""What a client is answered where an error of its session reached no view and no handler of the application's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from redisess_core.errors import SessionGone, SessionLimitReached, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from redisess_core.errors import RedisessError


@dataclass(frozen=True, slots=True)
class Refusal:
    """The status of a response, a sentence for who reads it, and in how many seconds to come again, if so."""

    status: int
    detail: str
    retry_after: int | None = None


REFUSALS: Final[Mapping[type[RedisessError], Refusal]] = {
    StoreUnavailable: Refusal(503, "The session store cannot be reached.", retry_after=5),
    SessionLimitReached: Refusal(403, "There are as many sessions of this user as are allowed."),
    SessionGone: Refusal(401, "This session has ended."),
}
"""Of each error that is not the program's own."""


def refusal_of(error: Exception) -> Refusal | None:
    """Return what answers *error*; None: it is the program's own."""
    return next((refusal for kind, refusal in REFUSALS.items() if isinstance(error, kind)), None)
