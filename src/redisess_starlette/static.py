"""Static files, which need no session: whether a request goes to one of the app's mounts of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeGuard

from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.httpsredirect import HTTPSRedirectMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Match, Mount
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import BaseRoute
    from starlette.types import Scope

_LOOK_AT_NO_SESSION: Final = (CORSMiddleware, GZipMiddleware, HTTPSRedirectMiddleware, TrustedHostMiddleware)


def is_static(app: Any, scope: Scope) -> bool:
    """Whether *app* answers this request with a static file, and nothing between may look at the session.

    The first of its routes that takes the request decides. A `StaticFiles` of the application's own making may ask who
    it is for, and so may any middleware, and any handler of a missing file, that is not known here.
    """
    if "app_root_path" in scope:  # below a mount, whose routes are not the app's
        return False
    routes: Sequence[BaseRoute] = getattr(app, "routes", ())
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    if not any(path.startswith(f"{mount.path}/") for mount in routes if _is_of_files(mount)):
        return False
    if not all(_looks_at_no_session(each) for each in getattr(app, "user_middleware", ())):
        return False
    if not all(_is_stock(handler) for handler in getattr(app, "exception_handlers", {}).values()):
        return False
    return _is_of_files(next((route for route in routes if route.matches(scope)[0] is Match.FULL), None))


def _is_of_files(route: object) -> TypeGuard[Mount]:
    return isinstance(route, Mount) and type(route.app) is StaticFiles


def _is_stock(handler: object) -> bool:
    return getattr(handler, "__module__", "").partition(".")[0] in ("fastapi", "starlette")


def _looks_at_no_session(middleware: Any) -> bool:
    from redisess_starlette import RedisessMiddleware, SessionAuthBackend  # noqa: PLC0415  they ask this module

    if middleware.cls is AuthenticationMiddleware:
        backend: object = middleware.kwargs.get("backend")
        return getattr(type(backend), "authenticate", None) is SessionAuthBackend.authenticate
    return middleware.cls in (*_LOOK_AT_NO_SESSION, RedisessMiddleware)
