"""What a request came to: for its cookie, for its headers, for the framework's signals."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from redisess_core.events import EventKind


_CLEARED: Final = '"cache", "cookies", "storage"'
_CLEARED_BESIDE_COOKIE: Final = '"cache", "storage"'  # of the session that follows


class CookieChange(Enum):
    """What becomes of the client's cookie."""

    KEEP = "keep"
    SET = "set"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Happening:
    """What became of a session in this request, for the framework's signals.

    `kind` is None where the session was ended by others while its request ran.
    """

    kind: EventKind | None
    session_id: str
    user_id: str | None
    successor: str | None = None


@dataclass(slots=True)
class Outcome:
    """What the response has to say of the session."""

    cookie: CookieChange = CookieChange.KEEP
    token_shown: bool = False  # a new token goes out, in a cookie or by the view's own hand: keep it out of caches
    signed_out: bool = False
    accessed: bool = False
    happened: list[Happening] = field(default_factory=list[Happening])

    @property
    def clear_site_data(self) -> str | None:
        """The value of `Clear-Site-Data`, if the client was signed out."""
        if not self.signed_out:
            return None
        return _CLEARED_BESIDE_COOKIE if self.cookie is CookieChange.SET else _CLEARED
