"""The dependencies in `async def`: what each gives, whom it refuses, and what it costs."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi_kit import COOKIE, UNKNOWN_TOKEN, bearer, furnish, token_for
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware

from redisess_starlette import StarletteSession
from redisess_starlette.fastapi import CurrentSession, FreshSession, RequiredSession

GUARDED = ["/user", "/required", "/fresh", "/guarded"]


def test_the_current_session_may_be_anonymous_and_is_stored_when_written(client, sessions):
    assert client.get("/me").json() == {"user": None, "id": None, "data": {}}
    assert sessions.count() == 0
    client.post("/put/cart/tea")
    me = client.get("/me").json()
    assert (me["user"], me["data"]) == (None, {"cart": "tea"})
    assert sessions.exists(me["id"])


def test_a_sign_in_keeps_the_cart_and_gives_another_token(client):
    client.post("/put/cart/tea")
    before = client.cookies[COOKIE]
    signed_in = client.post("/login/ada").json()["id"]
    assert client.cookies[COOKIE] != before
    assert client.get("/me").json() == {"user": "ada", "id": signed_in, "data": {"cart": "tea"}}


@pytest.mark.parametrize("path", GUARDED)
def test_a_user_is_let_in(client, path):
    client.post("/login/ada")
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (200, "open" if path == "/guarded" else "ada")


@pytest.mark.parametrize("path", GUARDED)
def test_nobody_is_told_to_sign_in(client, path):
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Sign in to see this."})
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("path", GUARDED)
def test_an_anonymous_session_is_nobody(client, path):
    client.post("/put/cart/tea")
    assert client.get(path).status_code == 401


@pytest.mark.parametrize("path", GUARDED)
def test_a_killed_session_is_nobody(client, sessions, path):
    client.post("/login/ada")
    sessions.kill_user("ada")
    assert client.get(path).status_code == 401


@pytest.mark.parametrize(
    ("header", "challenge"), [("X-Token", "APIKey"), (None, "APIKey"), ("authorization", "Bearer")]
)
def test_the_challenge_names_how_a_token_is_sent(make_app, visit, header, challenge):
    answer = visit(furnish(make_app(header=header))).get("/required")
    assert answer.headers["WWW-Authenticate"] == challenge


@pytest.mark.parametrize("path", ["/fresh", "/guarded"])
def test_a_sign_in_is_fresh_for_as_long_as_the_endpoint_says(client, clock, path):
    client.post("/login/ada")
    clock.advance(300)
    assert client.get(path).status_code == 200
    clock.advance(1)
    answer = client.get(path)
    assert (answer.status_code, answer.json()) == (401, {"detail": "Sign in again to do this."})
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert client.get("/required").status_code == 200
    client.post("/login/ada")
    assert client.get(path).status_code == 200


def test_two_endpoints_ask_for_different_freshness(app, visit, clock):
    for seconds in (10, 100):

        @furnish(app).get(f"/within/{seconds}", dependencies=[FreshSession(seconds)])
        async def within():
            return "open"

    client = visit(app)
    client.post("/login/ada")
    clock.advance(50)
    assert [client.get(f"/within/{seconds}").status_code for seconds in (10, 100)] == [401, 200]


@pytest.mark.parametrize("seconds", [-1, "300", None, float("nan")])
def test_a_freshness_that_is_no_time_is_refused_where_it_is_written(seconds):
    with pytest.raises((TypeError, ValueError), match="seconds"):
        FreshSession(seconds)


def test_all_dependencies_of_a_request_share_one_session_at_one_command(client, wire):
    client.post("/login/ada")
    client.get("/all")
    with wire() as seen:
        answer = client.get("/all")
    assert answer.json() == {"one": True, "users": ["ada", "ada"]}
    assert seen.names == ["EVALSHA"]


@pytest.mark.parametrize(
    ("method", "path", "commands"),
    [
        ("GET", "/", 1),
        ("GET", "/me", 1),
        ("GET", "/blocking", 1),
        ("POST", "/put/a/{turn}", 2),
        ("POST", "/login/ada", 2),
        ("POST", "/logout", 2),
    ],
)
def test_what_a_request_of_a_user_costs(client, wire, method, path, commands):
    for turn in range(2):  # the first time, the server may have to learn the scripts
        client.post("/login/ada")
        with wire() as seen:
            assert client.request(method, path.format(turn=turn)).status_code == 200
    assert len(seen) == commands


@pytest.mark.parametrize("path", ["/", "/me", "/blocking", *GUARDED, "/all"])
def test_a_visitor_without_a_token_costs_nothing(client, wire, path):
    with wire() as seen:
        answer = client.get(path)
    assert seen.names == []
    assert "Set-Cookie" not in answer.headers


def test_a_visitor_who_signs_in_costs_one_command(client, wire):
    for _ in range(2):
        client.cookies.clear()
        with wire() as seen:
            client.post("/login/ada")
    assert len(seen) == 1


def test_an_unknown_token_is_nobody_and_gets_no_cookie(client):
    answer = client.get("/required", headers=bearer(UNKNOWN_TOKEN))
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (401, False)


def test_a_router_asks_for_all_its_endpoints(app, visit):
    router = APIRouter(prefix="/account", dependencies=[FreshSession(300)])

    @router.get("/name")
    async def name(session: CurrentSession):
        return session.user_id

    app.include_router(router)
    client = visit(furnish(app))
    assert client.get("/account/name").status_code == 401
    client.post("/login/ada")
    assert client.get("/account/name").json() == "ada"


def test_an_app_asks_for_all_its_endpoints(make_app, visit):
    app = make_app()
    app.router.dependencies.append(FreshSession(300))
    client = visit(furnish(app))
    assert client.get("/").status_code == 401


def test_def_dependencies_and_def_endpoints_take_the_request_session(app, visit):
    def count(request: Request) -> int:
        request.session["visits"] = request.session.get("visits", 0) + 1
        return request.session["visits"]

    @app.get("/count")
    def counted(visits: Annotated[int, Depends(count)], request: Request, session: CurrentSession):
        return [visits, request.session["visits"], session is request.session]

    client = visit(app)
    assert [client.get("/count").json() for _ in range(2)] == [[1, 1, True], [2, 2, True]]


@pytest.mark.parametrize("response_model", [dict, dict[str, list[int]], None])
def test_an_endpoint_returns_the_session_itself(app, visit, response_model):
    @app.get("/data", response_model=response_model)
    async def data(session: CurrentSession):
        session["numbers"] = [1]
        session["numbers"].append(2)
        return session

    @app.get("/emptied", response_model=response_model)
    async def emptied(session: CurrentSession):
        session.clear()
        return session

    client = visit(app)
    assert client.get("/data").json() == {"numbers": [1, 2]}
    assert client.get("/data").json() == {"numbers": [1, 2]}
    assert client.get("/emptied").json() == {}


def test_what_a_sign_out_dropped_is_in_no_dict_any_more(app, visit):
    @app.get("/leave/{how}")
    async def leave(session: CurrentSession, how: str):
        match how:
            case "logout":
                session.logout()
            case "clear":
                session.clear()
            case "login":
                session.login("eve")
        return list(dict.items(session))

    client = visit(furnish(app))
    for how in ("logout", "clear", "login"):
        client.post("/login/ada")
        client.post("/put/secret/ada's")
        assert client.get(f"/leave/{how}").json() == []


def test_an_app_without_the_middleware_says_what_is_missing(visit):
    app = furnish(FastAPI())
    client = visit(app)
    for path in ("/me", "/required", "/user", "/fresh", "/blocking"):
        with pytest.raises(TypeError, match="add RedisessMiddleware"):
            client.get(path)


def test_another_middleware_of_sessions_is_not_ours(visit):
    app = furnish(FastAPI(middleware=[Middleware(SessionMiddleware, "secret")]))
    with pytest.raises(TypeError, match="add RedisessMiddleware"):
        visit(app).get("/me")


def test_a_session_that_dies_in_the_request_takes_the_changes_along(app, visit, sessions, caplog):
    @app.post("/dying")
    async def dying(session: RequiredSession):
        sessions.kill(session.session_id)
        session["late"] = 1
        return "done"

    client = visit(furnish(app))
    client.post("/login/ada")
    answer = client.post("/dying")
    assert (answer.status_code, answer.json(), "Set-Cookie" in answer.headers) == (200, "done", False)
    assert "ended while its request ran" in caplog.text
    assert sessions.count() == 0
    assert client.get("/required").status_code == 401


def test_two_apps_in_one_process_keep_their_sessions_apart(make_app, visit):
    one, other = (visit(furnish(make_app(namespace=name, session_cookie=name))) for name in ("one", "other"))
    one.post("/login/ada")
    other.cookies.update(one.cookies)
    assert (one.get("/user").json(), other.get("/required").status_code) == ("ada", 401)


def test_a_session_is_what_type_checkers_are_told(app, visit):
    @app.get("/type")
    async def kind(session: CurrentSession, request: Request):
        return isinstance(session, StarletteSession) and isinstance(session, dict) and session is request.session

    assert visit(app).get("/type").json() is True


def test_a_bearer_of_a_token_is_let_in(client):
    token = token_for(client)
    assert client.get("/user", headers=bearer(token)).json() == "ada"
    assert client.get("/user").status_code == 401
