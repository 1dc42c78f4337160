"""Who is signed in, and views for them: 401, where Django's `login_required` sends a browser to a page."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, overload

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.auth import SESSION_KEY
from django.http import HttpResponse

from redisess_core.config import check_seconds
from redisess_django.conf import option

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest

View = TypeVar("View", bound="Callable[..., Any]")


@overload
def session_required(view: View) -> View: ...
@overload
def session_required(*, fresh: float | None = None) -> Callable[[View], View]: ...
def session_required(view: Any = None, *, fresh: float | None = None) -> Any:
    """Answer 401 unless a user is signed in; with *fresh*, within the last so many seconds.

    Use it bare or with arguments, on a view that is a function, blocking or async (`method_decorator` for a class's).
    Whom Django refuses (`request.user`: who is deactivated, or has another password by now) is not signed in.
    """
    if view is not None and not callable(view):
        raise TypeError(f"session_required: {type(view).__name__} given, a view or fresh=seconds wanted")
    if fresh is not None:
        check_seconds("fresh", fresh)

    def decorate(wrapped: Any) -> Any:
        if iscoroutinefunction(wrapped):  # pyright: ignore[reportDeprecated]  # Django's, which knows its own classes

            @wraps(wrapped)
            async def aguarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                return _refusal(request, await ahas_user(request), fresh) or await wrapped(request, *args, **kwargs)

            return aguarded

        @wraps(wrapped)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            return _refusal(request, has_user(request), fresh) or wrapped(request, *args, **kwargs)

        return guarded

    return decorate if view is None else decorate(view)


def has_user(request: HttpRequest) -> bool:
    """Whether a user is signed in, as Django sees it, too: not who is deactivated, or has another password by now."""
    user = getattr(request, "user", None)
    known = user is None or user.is_authenticated  # first: Django flushes the session of who is not
    return known and _session_of(request).user_id is not None


async def ahas_user(request: HttpRequest) -> bool:
    """Do what `has_user` does."""
    await _session_of(request).aget(SESSION_KEY)
    if not hasattr(request, "auser"):
        return await sync_to_async(has_user)(request)
    return (await request.auser()).is_authenticated and _session_of(request).user_id is not None


def _session_of(request: HttpRequest) -> Any:
    return request.session


def _refusal(request: HttpRequest, has_user: bool, fresh: float | None) -> HttpResponse | None:
    if not has_user:
        said = "Sign in to see this."
    elif fresh is not None and not _session_of(request).authenticated_within(fresh):
        said = "Sign in again to do this."
    else:
        return None
    scheme = "Bearer" if (option("HEADER") or "").lower() == "authorization" else "Session"
    return HttpResponse(said, status=401, content_type="text/plain", headers={"WWW-Authenticate": scheme})
