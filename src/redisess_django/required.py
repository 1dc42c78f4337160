"""Views for those who are signed in: 401, where Django's `login_required` sends a browser to a page."""

from __future__ import annotations

from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

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
    """
    if view is not None and not callable(view):
        raise TypeError(f"session_required: {type(view).__name__} given, a view or fresh=seconds wanted")
    if fresh is not None:
        check_seconds("fresh", fresh)

    def decorate(wrapped: Any) -> Any:
        if iscoroutinefunction(wrapped):

            @wraps(wrapped)
            async def aguarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                await request.session.aget(SESSION_KEY)
                return _refusal(request, fresh) or await wrapped(request, *args, **kwargs)

            return aguarded

        @wraps(wrapped)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            request.session.get(SESSION_KEY)
            return _refusal(request, fresh) or wrapped(request, *args, **kwargs)

        return guarded

    return decorate if view is None else decorate(view)


def _refusal(request: HttpRequest, fresh: float | None) -> HttpResponse | None:
    session = cast("Any", request.session)
    if session.user_id is None:
        said = "Sign in to see this."
    elif fresh is not None and not session.authenticated_within(fresh):
        said = "Sign in again to do this."
    else:
        return None
    scheme = "Bearer" if (option("HEADER") or "").lower() == "authorization" else "Session"
    return HttpResponse(said, status=401, content_type="text/plain", headers={"WWW-Authenticate": scheme})
