"""The session of the request that runs in this context: the first that was made since it began, by the middleware."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from django.core.signals import request_finished
from django.urls import get_urlconf

if TYPE_CHECKING:
    from redisess_django.state import StoreState

_made: Final[ContextVar[weakref.ref[StoreState] | None]] = ContextVar("redisess_made", default=None)


def made(store: StoreState) -> None:
    """Note that *store* was made."""
    known = _made.get()
    if (known is None or known() is None) and _in_request():
        _made.set(weakref.ref(store))


def current_session() -> StoreState | None:
    """Return the session of the request that runs here; None: there is none."""
    known = _made.get() if _in_request() else None
    return None if known is None else known()


def _in_request() -> bool:
    """Whether a request is being answered: Django sets this for each, in threads and in tasks, until it is finished."""
    return get_urlconf() is not None


def _forget(**_: object) -> None:
    _made.set(None)


request_finished.connect(_forget)  # a thread goes on to the next request with what was set in it
