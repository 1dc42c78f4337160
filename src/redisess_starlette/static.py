"""Static files, which need no session: whether a request goes to one of the app's mounts of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard

from starlette.routing import Match, Mount
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.routing import BaseRoute
    from starlette.types import Scope


def is_static(app: object, scope: Scope) -> bool:
    """Whether the first route of *app* that takes this request is a mount of static files."""
    routes: Sequence[BaseRoute] = getattr(app, "routes", ())
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    if not any(path.startswith(f"{mount.path}/") for mount in routes if _is_of_files(mount)):
        return False
    return _is_of_files(next((route for route in routes if route.matches(scope)[0] is Match.FULL), None))


def _is_of_files(route: object) -> TypeGuard[Mount]:
    return isinstance(route, Mount) and isinstance(route.app, StaticFiles)
