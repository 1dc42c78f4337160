"""The overview's lists, a page at a time, so that no number of sessions is too many."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from redisess_core import Session, SessionManager

T = TypeVar("T")

PAGE: Final = 50
SORTABLE: Final = 20_000  # of more than these not even the ids are read; the first pages come, in Redis's order


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """One page of a list: *number* of *pages*, of *total* entries, latest access first where *sorted*."""

    rows: Sequence[T]
    total: int
    number: int
    pages: int
    sorted: bool

    @property
    def first(self) -> int:
        """The place of the page's first entry, from 1."""
        return (self.number - 1) * PAGE + 1 if self.rows else 0

    @property
    def last(self) -> int:
        """The place of the page's last entry."""
        return (self.number - 1) * PAGE + len(self.rows)


@dataclass(frozen=True, slots=True)
class User:
    """A user with live sessions."""

    user_id: str
    sessions: int


def list_sessions(manager: SessionManager, secs: float, number: int) -> Listed[Session]:
    """Read page *number* of the live sessions, or of those accessed in the last so many seconds."""
    total = manager.count(secs)
    number, pages, here = _page(total, number)
    if total > SORTABLE:
        return Listed(list(islice(manager.iter_sessions(secs), here.start, here.stop)), total, number, pages, False)
    found = (manager.get(session_id, touch=False) for session_id in manager.get_all_sessions(secs)[here])
    return Listed([session for session in found if session is not None], total, number, pages, True)


def list_users(manager: SessionManager, secs: float, number: int) -> Listed[User]:
    """Read page *number* of the users with live sessions, or of those active in the last so many seconds."""
    total = manager.count_users(secs)
    number, pages, here = _page(total, number)
    if total > SORTABLE:
        names = list(islice(manager.iter_users(secs), here.start, here.stop))
    else:
        names = manager.get_all_users(secs)[here]
    found = (User(name, manager.count_for_user(name)) for name in names)
    return Listed([user for user in found if user.sessions], total, number, pages, total <= SORTABLE)


def _page(total: int, number: int) -> tuple[int, int, slice]:
    pages = max(1, -(-min(total, SORTABLE) // PAGE))
    number = min(max(1, number), pages)
    return number, pages, slice((number - 1) * PAGE, number * PAGE)
