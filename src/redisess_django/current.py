"""The session of the request that runs in this context: the first that was loaded since it began."""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from django.core.signals import request_finished, request_started

if TYPE_CHECKING:
    from redisess_django.state import StoreState

_loaded: Final[ContextVar[weakref.ref[StoreState] | None]] = ContextVar("redisess_loaded", default=None)
_serving: Final[ContextVar[bool]] = ContextVar("redisess_serving", default=False)


def loaded(store: StoreState) -> None:
    """Note that *store* was loaded."""
    if _serving.get() and current_session() is None:
        _loaded.set(weakref.ref(store))


def current_session() -> StoreState | None:
    """Return the session of the request that runs here; None: there is no request, or it has loaded none."""
    known = _loaded.get()
    return None if known is None else known()


def _begin(**_: object) -> None:
    _serving.set(True)
    _loaded.set(None)


def _end(**_: object) -> None:
    _serving.set(False)
    _loaded.set(None)


request_started.connect(_begin)
request_finished.connect(_end)
