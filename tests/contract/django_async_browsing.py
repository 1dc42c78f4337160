"""The site of the story under Django's ASGI, of what it takes to sign in, read and write: with async views."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from anyio.from_thread import start_blocking_portal
from django_browsing import DjangoBrowser, DjangoSite

from support import django_project  # first: it configures what the next ones need

from django.contrib.auth import alogin, alogout, get_user_model  # isort: skip
from django.http import HttpRequest, JsonResponse  # isort: skip
from django.test import AsyncClient  # isort: skip
from django.urls import path  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.abc import BlockingPortal


async def me(request: HttpRequest) -> JsonResponse:
    data = {key: value for key, value in await request.session.aitems() if not key.startswith("_")}
    user = await request.auser()
    return JsonResponse({"user": user.get_username() or None, "id": request.session.session_id, "data": data})


async def sign_in(request: HttpRequest, user: str) -> JsonResponse:
    found, _ = await get_user_model().objects.aget_or_create(username=user)
    await alogin(request, found)
    return JsonResponse({})


async def sign_out(request: HttpRequest) -> JsonResponse:
    await alogout(request)
    return JsonResponse({})


async def put(request: HttpRequest, key: str, value: str) -> JsonResponse:
    await request.session.aset(key, value)
    return JsonResponse({})


urlpatterns = [
    path("me", me),
    path("sign-in/<user>", sign_in),
    path("sign-out", sign_out),
    path("put/<key>/<value>", put),
]


class AsyncDjangoBrowser(DjangoBrowser):
    def __init__(self, portal: BlockingPortal) -> None:
        super().__init__("Firefox")
        self._client = AsyncClient(raise_request_exception=False)
        self._portal = portal

    def _visit(self, method: str, path: str) -> Any:
        return self._portal.call(self._client.generic, method, path)


class AsyncDjangoSite(DjangoSite):
    def __init__(self, portal: BlockingPortal) -> None:
        super().__init__()
        self._portal = portal

    def browser(self, user_agent: str = "Firefox") -> AsyncDjangoBrowser:
        return AsyncDjangoBrowser(self._portal)


@contextmanager
def open_site(url: str, **options: Any) -> Iterator[AsyncDjangoSite]:
    """Open the site over the Redis of *url*; all its requests run in one event loop."""
    options.setdefault("ttl", 1800)
    with (
        django_project.project(url, ROOT_URLCONF=__name__, **options),
        django_project.database(),
        start_blocking_portal("asyncio") as portal,
    ):
        yield AsyncDjangoSite(portal)
