"""The types of the Django adapter as users write them: checked by mypy and pyright, never run."""

from typing import assert_type

from django.http import HttpRequest, HttpResponse, JsonResponse

from redisess_core import AsyncSession, AsyncSessionManager, Session, SessionManager
from redisess_django import (
    aend_session,
    akill_user,
    alogout_others,
    async_manager,
    end_session,
    kill_user,
    logout_others,
    manager,
    session_required,
)
from redisess_django.helpers import asessions, sessions
from redisess_django.middleware import SessionMiddleware
from redisess_django.sessions import SessionStore


@session_required
def devices(request: HttpRequest) -> JsonResponse:
    found = assert_type(sessions(request.user), list[Session])
    return JsonResponse({"devices": [assert_type(each.session_id, str) for each in found]})


@session_required(fresh=300)
async def end(request: HttpRequest, session_id: str) -> HttpResponse:
    assert_type(await asessions(1), list[AsyncSession])
    assert_type(await aend_session(request, session_id), bool)
    assert_type(await alogout_others(request), int)
    assert_type(await akill_user("ada", keep=[session_id]), int)
    assert_type(async_manager(), AsyncSessionManager)
    return HttpResponse()


def as_they_were(request: HttpRequest) -> None:
    assert_type(devices(request), JsonResponse)
    assert_type(end_session(request, "saa"), bool)
    assert_type(logout_others(request), int)
    assert_type(kill_user(request.user, keep="saa"), int)
    assert_type(manager(), SessionManager)


def stores(store: SessionStore) -> None:
    assert_type(store.session_key, str | None)
    assert_type(store.session_id, str | None)
    assert_type(store.user_id, str | None)
    assert_type(store.authenticated_within(60), bool)
    assert_type(store.exists("x"), bool)
    store.transport = "header"
    store.transport = "query"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    store.set_fields(role="admin")


class OfTheirOwn(SessionMiddleware):
    pass


class StoreOfTheirOwn(SessionStore):
    def get_session_cookie_age(self) -> int:
        return 60


session_required(1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
