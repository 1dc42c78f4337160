"""`dependency_overrides`: tests of applications put their own in the place of each dependency."""

from types import SimpleNamespace

import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi_kit import furnish

from redisess_starlette import StarletteSession
from redisess_starlette.fastapi import (
    FreshSession,
    get_blocking_session,
    get_current_session,
    get_current_user,
    get_required_session,
)


def fake(user):
    return SimpleNamespace(user_id=user, session_id="s", authenticated_within=lambda _: user == "fresh")


@pytest.fixture
def faked():
    """An app without the middleware: what is not overridden fails."""
    return furnish(FastAPI())


def ada():
    return "ada"


async def ada_awaited():
    return "ada"


@pytest.mark.parametrize("override", [ada, ada_awaited])
def test_another_user_id(faked, visit, override):
    faked.dependency_overrides[get_current_user] = override
    assert visit(faked).get("/user").json() == "ada"


def test_another_required_session(faked, visit):
    faked.dependency_overrides[get_required_session] = lambda: fake("ada")
    client = visit(faked)
    assert [client.get(path).json() for path in ("/required", "/user")] == ["ada", "ada"]
    assert client.get("/fresh").status_code == 401
    faked.dependency_overrides[get_required_session] = lambda: fake("fresh")
    assert [client.get(path).json() for path in ("/fresh", "/guarded")] == ["fresh", "open"]


def test_another_current_session_is_enough_for_all_that_ask_for_a_user(faked, visit):
    faked.dependency_overrides[get_current_session] = lambda: fake("fresh")
    client = visit(faked)
    assert [client.get(path).json() for path in ("/required", "/user", "/fresh", "/guarded")] == [
        *("fresh", "fresh", "fresh"),
        "open",
    ]


def test_a_current_session_of_nobody_is_refused_all_the_same(faked, visit):
    faked.dependency_overrides[get_current_session] = lambda: fake(None)
    client = visit(faked)
    for path in ("/required", "/user", "/fresh", "/guarded"):
        answer = client.get(path)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_a_real_session_with_a_user_who_never_signed_in(app, visit):
    def signed_in(request: Request) -> StarletteSession:
        if request.session.user_id is None:
            request.session.login("ada")
        return request.session

    client = visit(furnish(app))
    assert client.get("/all").status_code == 401
    app.dependency_overrides[get_current_session] = signed_in
    assert client.get("/all").json() == {"one": True, "users": ["ada", "ada"]}
    assert client.get("/blocking").json()["user"] == "ada"


def test_another_blocking_session(faked, visit):
    class Fake(dict):
        user_id = session_id = "ada"

    faked.dependency_overrides[get_blocking_session] = lambda: Fake(a=1)
    assert visit(faked).get("/blocking").json() == {"user": "ada", "id": "ada", "data": {"a": 1}}


def test_an_override_may_refuse(app, visit):
    def refuse():
        raise HTTPException(418)

    client = visit(furnish(app))
    client.post("/login/ada")
    app.dependency_overrides[get_required_session] = refuse
    assert [client.get(path).status_code for path in ("/user", "/fresh", "/me")] == [418, 418, 200]
    app.dependency_overrides.clear()
    assert client.get("/user").json() == "ada"


def test_a_freshness_that_was_kept_in_a_name_can_be_overridden(app, visit):
    recently = FreshSession(300)

    @app.get("/careful", dependencies=[recently])
    async def careful():
        return "open"

    client = visit(app)
    assert client.get("/careful").status_code == 401
    app.dependency_overrides[recently.dependency] = lambda: None
    assert client.get("/careful").json() == "open"
