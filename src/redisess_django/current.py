"""The session of the request that runs in this context: the first that was loaded since it began."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from django.core.signals import request_finished
from django.urls import get_urlconf

if TYPE_CHECKING:
    from redisess_django.state import StoreState

_loaded: Final[ContextVar[weakref.ref[StoreState] | None]] = ContextVar("redisess_loaded", default=None)


def loaded(store: StoreState) -> None:
    """Note that *store* was loaded."""
    known = _loaded.get()
    if (known is None or known() is None) and _in_request():
        _loaded.set(weakref.ref(store))


def current_session() -> StoreState | None:
    """Return the session of the request that runs here; None: there is no request, or it has loaded none."""
    known = _loaded.get() if _in_request() else None
    return None if known is None else known()


def _in_request() -> bool:
    """Whether a request is being answered: Django sets this for each, in threads and in tasks, until it is finished."""
    return get_urlconf() is not None


def _forget(**_: object) -> None:
    _loaded.set(None)


request_finished.connect(_forget)  # a thread goes on to the next request with what was set in it
