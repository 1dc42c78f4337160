"""The move from a former engine: `REDISESS = {"MIGRATE_FROM": "django.contrib.sessions.backends.db"}`.

The one way that a session takes:

1. A request brings its old key. What the former engine holds of it is stored under a token of ours, which follows from
   the key by `SECRET_KEY` and is created once: requests side by side, and those that come late, find what has become of
   it. When its user signed in nobody knows, so it was not of late.
2. The session is saved, for the response that sends the token. A mark takes the place of the data in the former engine
   for a minute: where they went, for requests under way with the old key. Where an answer fails, it begins at 1 again.
3. Who ends it in between, in either engine, ends it in both.

An anonymous session that is held in a signed cookie gets a random token: two visitors of the same second may have
the same cookie.
"""

from __future__ import annotations

import logging
import math
from datetime import timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import UpdateError
from django.contrib.sessions.backends.signed_cookies import SessionStore as InCookies
from django.utils.crypto import salted_hmac

from redisess_core import SessionDataTooLarge, SessionGone, SessionLimitReached, tokens
from redisess_core.config import check_user_id
from redisess_core.events import EventReason
from redisess_django.conf import async_manager, manager, option
from redisess_django.data import SessionCache
from redisess_django.state import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.contrib.sessions.backends.base import SessionBase

    from redisess_core.operation import Steps
    from redisess_django.sessions import SessionStore

_MOVED: Final = "_redisess_shard"
_UNDER_WAY: Final = timedelta(minutes=1)
_log: Final = logging.getLogger("redisess")


class Former:
    """A session of the former engine; raises what that engine raises."""

    def __init__(self, key: str) -> None:
        engine: Any = import_module(option("MIGRATE_FROM"))
        self.stored = cast("SessionBase", engine.SessionStore(Key(key)))
        self.became: Key | None = None  # the token that it was taken over by


def is_former(key: str) -> bool:
    """Whether *key* may name a session of the former engine: none that has the form of a token does."""
    return bool(option("MIGRATE_FROM")) and tokens.token_shard(key, manager().shards) is None


def take_over(store: SessionStore, key: str) -> SessionCache:
    """Make *store* the session that the one of *key* has become, and return its data.

    Where there is none, or it has ended, *store* is without a session; likewise where it cannot be taken over, being
    too large or refused by the limit: it stays where it is, and a warning says so. Raises `StoreUnavailable`, and what
    the former engine raises.
    """
    former = store.former = Former(key)
    return manager().run(_taking(store, former, former.stored.load()))


async def atake_over(store: SessionStore, key: str) -> SessionCache:
    """Do what `take_over` does."""
    former = store.former = Former(key)
    return await async_manager().run(_taking(store, former, await former.stored.aload()))


def tell_former(store: SessionStore) -> None:
    """Leave only the mark in the former engine; `UpdateError`: the session has ended there, and so it has here."""
    mark, store.former = _mark(store.former), None
    if mark is None:
        return
    try:
        mark.save()
    except UpdateError:
        if not mark.exists(mark.session_key or ""):  # else it could not be written: another request will
            manager().run(_ending_too(store))
            raise


async def atell_former(store: SessionStore) -> None:
    """Do what `tell_former` does."""
    mark, store.former = _mark(store.former), None
    if mark is None:
        return
    try:
        await mark.asave()
    except UpdateError:
        if not await mark.aexists(mark.session_key or ""):
            await async_manager().run(_ending_too(store))
            raise


def end(store: SessionStore, former: Former | None) -> None:
    """End *former*, and what it has become, for good; raises as `take_over` does."""
    if former is not None:
        manager().run(_ending(store, former, former.stored.load()))
        former.stored.delete()


async def aend(store: SessionStore, former: Former | None) -> None:
    """Do what `end` does."""
    if former is not None:
        await async_manager().run(_ending(store, former, await former.stored.aload()))
        await former.stored.adelete()


def _taking(store: SessionStore, former: Former, data: Mapping[str, Any]) -> Steps[SessionCache]:
    if not data:
        store.former = None
        return (yield from store.loading())
    token, once = _token(former.stored, data), _once(former.stored, data)
    if _MOVED in data:
        store.former = None
    else:
        former.became = token
        try:
            return (yield from store.taking_over(token, _storable(data), once=once))
        except SessionGone:
            pass  # another request was first
        except (SessionDataTooLarge, SessionLimitReached) as error:
            _log.warning("a session was not taken over, and stays in the former engine: %s", error)
            former.became = None
            return (yield from store.loading())
    store.continue_as(token)
    found = yield from store.loading()
    store.modified = store.state is not None  # its cookie has yet to be sent
    return found


def _ending(store: SessionStore, former: Former, data: Mapping[str, Any]) -> Steps[None]:
    if former is store.former:
        store.former = None
    once = _once(former.stored, data)
    if not data or once is None:
        return
    token = _token(former.stored, data)
    try:  # to take its place, so that no other request can
        taken = yield from manager().plan_create(token, None, {}, once=once)
    except SessionGone:
        yield from store.deleting(token)
    else:
        yield manager().plan_kill(taken.session_id, reason=EventReason.LOGOUT)


def _ending_too(store: SessionStore) -> Steps[None]:
    yield from store.deleting(Key(store.session_key or ""))
    store.forget()


def _mark(former: Former | None) -> SessionBase | None:
    """Put the mark in the place of the data, yet to be saved; None: there is nothing to mark."""
    if former is None or former.became is None:
        return None
    former.stored.clear()
    former.stored[_MOVED] = tokens.token_shard(former.became, manager().shards)
    former.stored.set_expiry(_UNDER_WAY)
    return former.stored


def _token(stored: SessionBase, data: Mapping[str, Any]) -> Key:
    """Choose the token that takes the place of the key, in the shard of the session's user."""
    if _once(stored, data) is None:
        return Key(manager().new_token(None))
    key = stored.session_key or ""
    user_id = check_user_id(data[SESSION_KEY]) if SESSION_KEY in data else key
    shard = data[_MOVED] if _MOVED in data else tokens.user_shard(user_id.encode(), manager().shards)
    return Key(tokens.token_of(shard, salted_hmac("redisess_django.migrate", key, algorithm="sha256").digest()))


def _once(stored: SessionBase, data: Mapping[str, Any]) -> int | None:
    """Say for how many seconds no other may take its place: while the key is good; None: visitors may share the key."""
    if isinstance(stored, InCookies) and SESSION_KEY not in data:
        return None
    age: float = settings.SESSION_COOKIE_AGE
    return max(math.ceil(age), 60)


def _storable(data: Mapping[str, Any]) -> SessionCache:
    """Take what can be stored; a pickled value that cannot is left behind, and its key logged."""
    stored = SessionCache({})
    for key, value in data.items():
        try:
            stored[key] = value
        except (TypeError, ValueError) as error:
            _log.warning("a session was taken over without one of its values: %s", error)
    return stored
