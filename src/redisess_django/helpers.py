"""What views call: a user's sessions, and their end. Each has a twin for async code, with an `a` before its name."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.contrib.sessions.backends.base import UpdateError

from redisess_core import SessionGone
from redisess_core.config import check_handle
from redisess_core.operation import as_steps
from redisess_django.conf import async_manager, manager
from redisess_django.required import ahas_user, has_user
from redisess_django.sessions import SessionStore
from redisess_django.signals import session_killed
from redisess_django.users import user_id_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from django.http import HttpRequest

    from redisess_core import AsyncSession, Session
    from redisess_core.operation import Steps
    from redisess_core.session_state import SessionState


def sessions(user: Any) -> list[Session]:
    """List a user's live sessions, most recently accessed first. *user*: a user, or the id of one."""
    return manager().list_user_sessions(user_id_of(user))


async def asessions(user: Any) -> list[AsyncSession]:
    """Do what `sessions` does."""
    return await async_manager().list_user_sessions(user_id_of(user))


def kill_user(user: Any, *, keep: str | Iterable[str] | None = None) -> int:
    """End all of a user's sessions but those kept, by their session ids, at once; return how many."""
    return manager().kill_user(user_id_of(user), keep=keep)


async def akill_user(user: Any, *, keep: str | Iterable[str] | None = None) -> int:
    """Do what `kill_user` does."""
    return await async_manager().kill_user(user_id_of(user), keep=keep)


def end_session(request: HttpRequest, session_id: str) -> bool:
    """End one of the current user's own sessions, at once; return whether there was one. The id may come from a form.

    The signal `session_killed` tells of it. What the request changed is saved first. Raises `SessionGone` if its
    session is no longer there: it may be somebody's who was signed out.
    """
    ended = manager().run(_ending(_saved(request), session_id))
    if ended is None:
        return False
    session_killed.send(type(request.session), session_id=session_id, user_id=ended)
    return True


async def aend_session(request: HttpRequest, session_id: str) -> bool:
    """Do what `end_session` does."""
    ended = await async_manager().run(_ending(await _asaved(request), session_id))
    if ended is None:
        return False
    await session_killed.asend(type(request.session), session_id=session_id, user_id=ended)
    return True


def logout_others(request: HttpRequest) -> int:
    """End all other sessions of the current user, at once; return how many. `manager().events()` tells of each.

    What the request changed is saved first. Raises `SessionGone` as `end_session` does.
    """
    return manager().run(_ending_others(_saved(request)))


async def alogout_others(request: HttpRequest) -> int:
    """Do what `logout_others` does."""
    return await async_manager().run(_ending_others(await _asaved(request)))


def logout_everywhere(request: HttpRequest) -> int:
    """End all sessions of the current user, this one too, at once; return how many. Raises `SessionGone` as above.

    The request goes on with an empty session, as after a sign-out: of this one `session_killed` tells.
    """
    ended, own = manager().run(_ending_all(_saved(request)))
    if own is not None:
        session_killed.send(type(request.session), session_id=own.session_id, user_id=own.user_id)
    return ended


async def alogout_everywhere(request: HttpRequest) -> int:
    """Do what `logout_everywhere` does."""
    ended, own = await async_manager().run(_ending_all(await _asaved(request)))
    if own is not None:
        await session_killed.asend(type(request.session), session_id=own.session_id, user_id=own.user_id)
    return ended


def _saved(request: HttpRequest) -> SessionStore | None:
    """Save the request's session, and return it; None: nobody is signed in."""
    store, signed_in = _store_of(request), has_user(request)
    if store.modified and not store.is_empty():
        with _told_as_gone(store):
            store.save()
    return store if signed_in else None


async def _asaved(request: HttpRequest) -> SessionStore | None:
    store, signed_in = _store_of(request), await ahas_user(request)
    if store.modified and not store.is_empty():
        with _told_as_gone(store):
            await store.asave()
    return store if signed_in else None


@contextmanager
def _told_as_gone(store: SessionStore) -> Generator[None]:
    before = store.session_id
    try:
        yield
    except UpdateError:
        store.modified = False  # there is nothing to save to
        raise SessionGone(before or "") from None


def _store_of(request: HttpRequest) -> SessionStore:
    store: object = request.session
    if not isinstance(store, SessionStore):
        raise TypeError(
            f"request.session: {type(store).__name__} given, one of the engine redisess_django.sessions wanted"
        )
    return store


def _ending(store: SessionStore | None, session_id: str) -> Steps[str | None]:
    """Plan the end of one of the user's own; what comes of it is the user, or None: there was no such session."""
    check_handle("session_id", session_id, of_a_form=True)
    current = None if store is None else store.current
    if store is None or current is None or current.user_id is None:
        return None
    ended: bool = yield from as_steps(manager().plan_kill_own(session_id, current))
    if ended and session_id == current.session_id:
        store.forget()
    return current.user_id if ended else None


def _ending_others(store: SessionStore | None) -> Steps[int]:
    current = None if store is None else store.current
    if current is None or current.user_id is None:
        return 0
    this = current.session_id
    return (yield from manager().plan_kill_user(current.user_id, keep=[this], acting=this))


def _ending_all(store: SessionStore | None) -> Steps[tuple[int, SessionState | None]]:
    """Plan the end of all of the user's; what comes of it is how many those were, and the request's own."""
    current = None if store is None else store.current
    if store is None or current is None or current.user_id is None:
        return 0, None
    ended: int = yield from manager().plan_kill_user(current.user_id, acting=current.session_id)
    store.forget()
    return ended, current
