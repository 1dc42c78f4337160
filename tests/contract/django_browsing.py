"""The site of the story under Django."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from browsing import Answer

from support import django_project  # first: it configures what the next ones need

from django.contrib.auth import get_user_model, login, logout  # isort: skip
from django.http import HttpRequest, JsonResponse  # isort: skip
from django.test import Client  # isort: skip
from django.urls import path  # isort: skip

from redisess_django import end_session, logout_everywhere, logout_others, manager, session_required
from redisess_django.helpers import sessions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from redisess_core import SessionManager


def me(request: HttpRequest) -> JsonResponse:
    names = {str(user.pk): user.username for user in get_user_model().objects.all()}
    data = {key: value for key, value in request.session.items() if not key.startswith("_")}
    user_id = request.session.user_id
    return JsonResponse({"user": names.get(user_id), "id": request.session.session_id, "data": data})


def sign_in(request: HttpRequest, user: str) -> JsonResponse:
    login(request, get_user_model().objects.get_or_create(username=user)[0])
    return JsonResponse({})


def token(request: HttpRequest, user: str) -> JsonResponse:
    login(request, get_user_model().objects.get_or_create(username=user)[0])
    request.session.transport = "header"
    return JsonResponse({"token": request.session.session_key})


def sign_out(request: HttpRequest) -> JsonResponse:
    logout(request)
    return JsonResponse({})


def put(request: HttpRequest, key: str, value: str) -> JsonResponse:
    request.session[key] = value
    return JsonResponse({})


@session_required
def devices(request: HttpRequest) -> JsonResponse:
    found = [{"id": each.session_id, "browser": each.user_agent} for each in sessions(request.user)]
    return JsonResponse(found, safe=False)


def end(request: HttpRequest, session_id: str) -> JsonResponse:
    return JsonResponse({"ended": end_session(request, session_id)})


def end_others(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ended": logout_others(request)})


def end_all(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"ended": logout_everywhere(request)})


@session_required(fresh=60)
def secret(request: HttpRequest) -> JsonResponse:
    return JsonResponse({})


urlpatterns = [
    path("me", me),
    path("sign-in/<user>", sign_in),
    path("token/<user>", token),
    path("sign-out", sign_out),
    path("put/<key>/<value>", put),
    path("devices", devices),
    path("devices/end/<session_id>", end),
    path("devices/end-others", end_others),
    path("devices/end-all", end_all),
    path("secret", secret),
]


class DjangoBrowser:
    def __init__(self, user_agent: str, token: str | None = None) -> None:
        headers = {"User-Agent": user_agent, **({"Authorization": f"Bearer {token}"} if token else {})}
        self._client = Client(raise_request_exception=False, headers=headers)
        self._token = token

    @property
    def token(self) -> str | None:
        if self._token:
            return self._token
        cookie = self._client.cookies.get("sessionid")
        return cookie.value or None if cookie else None

    def _visit(self, method: str, path: str) -> Any:
        return self._client.generic(method, path)

    def _ask(self, method: str, path: str) -> Answer:
        response = self._visit(method, path)
        body = json.loads(response.content) if response.status_code == 200 else None
        sets_cookie = "sessionid" in response.cookies
        return Answer(response.status_code, body, sets_cookie, response.headers.get("Retry-After"))

    def me(self) -> Answer:
        return self._ask("GET", "/me")

    def sign_in(self, user: str) -> Answer:
        return self._ask("POST", f"/sign-in/{user}")

    def sign_out(self) -> Answer:
        return self._ask("POST", "/sign-out")

    def put(self, key: str, value: str) -> Answer:
        return self._ask("POST", f"/put/{key}/{value}")

    def devices(self) -> Answer:
        return self._ask("GET", "/devices")

    def end(self, session_id: str) -> Answer:
        return self._ask("POST", f"/devices/end/{session_id}")

    def end_others(self) -> Answer:
        return self._ask("POST", "/devices/end-others")

    def end_all(self) -> Answer:
        return self._ask("POST", "/devices/end-all")

    def secret(self) -> Answer:
        return self._ask("GET", "/secret")


class DjangoManager:
    """A manager that knows users by their names, as the story does."""

    def __init__(self, manager: SessionManager) -> None:
        self._manager = manager

    def get_all_users(self) -> list[str]:
        users = get_user_model().objects
        return [users.get(pk=user_id).username for user_id in self._manager.get_all_users()]

    def get_user_sessions(self, user: str) -> list[str]:
        return self._manager.get_user_sessions(get_user_model().objects.get(username=user).pk)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._manager, name)


class DjangoSite:
    def __init__(self) -> None:
        self.manager: Any = DjangoManager(manager())

    def browser(self, user_agent: str = "Firefox") -> DjangoBrowser:
        return DjangoBrowser(user_agent)

    def header_client(self, user: str) -> DjangoBrowser:
        return DjangoBrowser("curl", Client().post(f"/token/{user}").json()["token"])


@contextmanager
def open_site(url: str, **options: Any) -> Iterator[DjangoSite]:
    """Open the site over the Redis of *url*."""
    options.setdefault("ttl", 1800)
    with django_project.project(url, ROOT_URLCONF=__name__, **options), django_project.database():
        yield DjangoSite()
