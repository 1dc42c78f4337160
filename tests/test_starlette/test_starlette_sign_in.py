"""Signing in and out, and the helpers that end sessions."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect

import anyio
import pytest
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette_kit import (
    COOKIE,
    UNKNOWN_TOKEN,
    ask,
    cookies_set,
    no_more,
    scope_of,
    send_token,
    serves,
    token_of,
    visit,
)

from redisess_core import SessionGone
from redisess_starlette import (
    current_session,
    end_session,
    kill_user,
    login,
    logout,
    logout_everywhere,
    logout_others,
    manager,
    sessions,
)

stored = pytest.fixture(name="stored")(lambda sessions: sessions)
"""What `app` stores, where a test also uses the helper of that name."""


# Signing in


def test_a_sign_in_keeps_what_an_anonymous_visitor_had(client):
    client.post("/set/cart/tea")
    client.post("/login/ada")
    assert (client.get("/me").json()["user"], client.get("/me").json()["data"]) == ("ada", {"cart": "tea"})


def test_a_sign_in_gives_a_new_token_and_the_old_one_is_dead(client, stored):
    tokens = []
    for path in ("/set/a/b", "/login/ada", "/login/ada"):
        client.post(path)
        tokens.append(token_of(client))
    assert len(set(tokens)) == 3
    assert [stored.authenticate(token) is not None for token in tokens] == [False, False, True]
    assert stored.count() == 1


def test_a_planted_token_is_of_no_use_after_the_sign_in(app, client, stored):
    planted = stored.create(None, data={"by": "eve"}).token
    (cookie,) = cookies_set(client.post("/login/ada", headers=send_token(planted)))
    assert cookie.value not in (planted, UNKNOWN_TOKEN)
    assert visit(app, "/me", send_token(planted)).json()["user"] is None
    (cookie,) = cookies_set(client.post("/login/ada", headers=send_token(UNKNOWN_TOKEN)))
    assert stored.authenticate(cookie.value).user_id == "ada"


def test_a_sign_in_as_somebody_else_drops_what_the_first_user_had(client, stored):
    client.post("/login/ada")
    client.post("/set/secret/adas")
    first = token_of(client)
    client.post("/login/bob")
    assert (client.get("/me").json()["user"], client.get("/me").json()["data"]) == ("bob", {})
    assert stored.authenticate(first) is None
    assert stored.count() == 1


def test_after_a_sign_in_the_session_is_the_new_one_already(app, client, stored):
    def view(request):
        session = current_session(request)
        old = session.token
        login(request, "ada")
        assert session.token != old
        return {"user": session.user_id, "id": session.session_id, "token": session.token}

    serves(app, view)
    client.post("/set/a/b")
    announced = client.get("/").json()
    assert announced["token"] == token_of(client)
    assert stored.authenticate(announced["token"]).session_id == announced["id"]
    assert announced["user"] == "ada"


@pytest.mark.parametrize("user_id", [7, "ada"])
def test_a_user_id_is_a_text_or_a_number(app, client, user_id):
    serves(app, lambda request: login(request, user_id))
    client.get("/")
    assert client.get("/me").json()["user"] == str(user_id)


def test_a_sign_in_may_have_a_ttl_of_its_own(app, client, clock):
    serves(app, lambda request: login(request, "ada", ttl=60))
    client.get("/")
    clock.advance(59)
    assert client.get("/me").json()["user"] == "ada"
    clock.advance(60)
    assert client.get("/me").json()["user"] is None


def test_rotate_gives_a_new_token_and_keeps_user_data_and_the_time_of_the_sign_in(app, client, stored, clock):
    def rotate(request):
        request.session.rotate()
        return {"id": request.session.session_id}

    serves(app, rotate)
    assert client.get("/").json() == {"id": None}
    client.post("/login/ada")
    client.post("/set/a/b")
    first, signed_in = token_of(client), clock()
    clock.advance(60)
    announced = client.get("/").json()["id"]
    assert stored.authenticate(first) is None
    assert client.get("/me").json() == {"user": "ada", "id": announced, "data": {"a": "b"}}
    assert stored.get(announced).authenticated_at == signed_in


def test_a_saved_sign_in_is_stored_at_once_and_its_cookie_goes_out_with_the_response(app, client, stored):
    async def view(request):
        login(request, "ada")
        await current_session(request).save()
        assert stored.count_for_user("ada") == 1
        request.session["after"] = 1

    serves(app, view)
    (cookie,) = cookies_set(client.get("/"))
    assert dict(stored.authenticate(cookie.value).data) == {"after": 1}


# Signing out


def test_a_sign_out_kills_the_session_and_removes_its_cookie(client, stored):
    client.post("/login/ada")
    token = token_of(client)
    (cookie,) = cookies_set(client.post("/logout"))
    assert cookie.removes
    assert cookie.name == COOKIE
    assert token_of(client) is None
    assert stored.authenticate(token) is None
    assert stored.count() == 0


def test_after_a_sign_out_the_rest_of_the_request_sees_an_empty_session_of_nobody(app, client):
    def view(request):
        logout(request)
        session = current_session(request)
        return [session.user_id, session.session_id, session.token, session.new, dict(session)]

    serves(app, view)
    client.post("/login/ada")
    client.post("/set/a/b")
    assert client.get("/").json() == [None, None, None, True, {}]


def test_clear_and_then_a_user_in_the_data_as_many_tutorials_do_is_a_fresh_session(app, client, stored):
    def enter(request):
        request.session.clear()
        request.session["user_id"] = 5

    serves(app, enter)
    client.post("/set/cart/tea")
    first = token_of(client)
    client.get("/")
    assert token_of(client) != first
    assert stored.authenticate(first) is None
    assert client.get("/me").json()["data"] == {"user_id": 5}


def test_a_sign_in_and_then_a_sign_out_in_one_request_is_a_sign_out(app, client, stored):
    def change_of_mind(request):
        login(request, "ada")
        logout(request)

    serves(app, change_of_mind)
    assert not cookies_set(client.get("/"))
    client.post("/set/a/b")
    assert cookies_set(client.get("/"))[0].removes
    assert stored.count() == 0


# A view that fails


class ViewError(Exception):
    """What a view of these tests raises."""


def failing(*actions):
    def view(request):
        for action in actions:
            action(request)
        raise ViewError

    return view


def test_a_sign_out_holds_even_when_the_view_then_raises(app, browse, stored):
    client = browse(app, raise_server_exceptions=False)
    client.post("/login/ada")
    token = token_of(client)
    serves(app, failing(lambda request: request.session.update(lost=1), logout))
    assert client.get("/").status_code == 500
    assert stored.authenticate(token) is None
    assert stored.count() == 0


@pytest.mark.parametrize("status", [303, 403, 500])
def test_a_sign_out_holds_when_the_view_answers_by_an_exception(app, client, stored, status):
    def view(request):
        logout(request)
        raise HTTPException(status)

    serves(app, view)
    client.post("/login/ada")
    response = client.get("/")
    assert response.status_code == status
    assert cookies_set(response)[0].removes
    assert stored.count() == 0


def test_a_sign_out_holds_when_the_apps_handler_answers(make_app, browse, stored, clock):
    def handle(request, error):
        return PlainTextResponse(f"user {current_session(request).user_id}", 418)

    app = make_app(clock=clock, app={"exception_handlers": {ViewError: handle}})
    client = browse(app)
    client.post("/login/ada")
    serves(app, failing(logout))
    response = client.get("/")
    assert (response.status_code, response.text) == (418, "user None")
    assert cookies_set(response)[0].removes
    assert stored.count() == 0


def test_a_page_for_errors_of_the_program_reads_the_session_and_cannot_change_it(make_app, browse, stored, clock):
    def handle(request, error):
        with pytest.raises(RuntimeError, match=r"save\(\)"):
            request.session["b"] = 1
        return PlainTextResponse(request.session["a"], 500)

    app = make_app(clock=clock, app={"exception_handlers": {500: handle}})
    client = browse(app, raise_server_exceptions=False)
    client.post("/set/a/kept")
    serves(app, failing(lambda request: request.session.update(c=1)))
    response = client.get("/")
    assert (response.status_code, response.text) == (500, "kept")
    assert dict(stored.authenticate(token_of(client)).data) == {"a": "kept"}


@pytest.mark.parametrize(
    "action",
    [
        lambda request: login(request, "eve"),
        lambda request: request.session.update(x=1),
        lambda request: request.session.pop("a"),
        lambda request: request.session.rotate(),
    ],
)
def test_nothing_but_a_sign_out_is_carried_out_when_an_exception_is_passed_on(app, client, stored, action):
    client.post("/set/a/b")
    token = token_of(client)
    serves(app, failing(action))
    with pytest.raises(ViewError):
        client.get("/")
    assert dict(stored.authenticate(token).data) == {"a": "b"}
    assert stored.count() == 1


def test_a_sign_out_and_then_a_sign_in_that_raise_leave_nobody_signed_in(app, client, stored):
    client.post("/login/ada")
    serves(app, failing(logout, lambda request: login(request, "bob")))
    with pytest.raises(ViewError):
        client.get("/")
    assert stored.count() == 0


def test_what_was_saved_before_the_view_failed_stays_saved(app, client, stored):
    async def view(request):
        request.session["kept"] = 1
        await request.session.save()
        request.session["lost"] = 1
        raise ViewError

    serves(app, view)
    client.post("/set/a/b")
    with pytest.raises(ViewError):
        client.get("/")
    assert set(stored.authenticate(token_of(client)).data) == {"a", "kept"}


@pytest.mark.anyio
@pytest.mark.parametrize("by", ["task", "scope"])
async def test_a_sign_out_holds_even_when_the_request_is_cancelled(make_app, start_server, by):
    server = start_server()
    app = make_app(server.url)
    (cookie,) = cookies_set(await ask(app, "/login/ada", method="POST"))
    here, scope = asyncio.Event(), anyio.CancelScope()

    async def view(request):
        logout(request)
        server.client().script_flush()  # the sign-out takes two round trips: what broke it off would find it between
        here.set()
        await asyncio.Event().wait()

    async def serve():
        with scope:
            await app(scope_of(headers=send_token(cookie.value)), no_more, None)

    serves(app, view)
    request = asyncio.ensure_future(serve())
    await here.wait()
    (request if by == "task" else scope).cancel()
    await asyncio.wait([request])
    assert request.cancelled() is (by == "task")
    assert (await ask(app, "/me", send_token(cookie.value))).json()["user"] is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_sign_out_holds_even_when_the_worker_is_told_to_stop(app, stored, error):
    token = stored.create("ada").token

    async def view(request):
        logout(request)
        raise error

    serves(app, view)
    with pytest.raises(error):
        asyncio.run(ask(app, "/", send_token(token)))
    assert stored.authenticate(token) is None


def test_a_sign_out_that_cannot_be_carried_out_any_more_is_logged_and_hides_no_error(make_app, start_server, caplog):
    server = start_server()
    app = make_app(server.url)
    (cookie,) = cookies_set(visit(app, "/login/ada", method="POST"))
    serves(app, failing(logout, lambda request: server.stop()))
    with pytest.raises(ViewError):
        visit(app, "/", send_token(cookie.value))
    assert "a sign-out could not be carried out" in caplog.text
    assert cookie.value not in caplog.text


# Ending sessions


def test_a_user_lists_the_sessions_and_ends_any_of_them(app, client, stored, clock):
    async def view(request):
        listed = await sessions(request)
        ended = [await end_session(request, each.session_id) for each in listed[1:]]
        return [[each.session_id for each in listed], ended, len(await sessions(request))]

    serves(app, view)
    assert client.get("/").json() == [[], [], 0]
    others = []
    for _ in range(2):
        others.append(stored.create("ada"))
        clock.advance(1)
    bobs = stored.create("bob")
    client.post("/login/ada")
    this = client.get("/me").json()["id"]
    expected = [this, *(each.session_id for each in reversed(others))]
    assert client.get("/").json() == [expected, [True, True], 1]
    assert stored.exists(bobs.session_id)


def test_a_session_of_somebody_else_or_of_nobody_cannot_be_ended(app, client, stored):
    bobs = stored.create("bob").session_id

    async def view(request):
        return {"ended": [await end_session(request, each) for each in (bobs, "saa" + "0" * 25)]}

    serves(app, view)
    for path in ("/logout", "/set/a/b", "/login/ada"):
        client.post(path)
        assert client.get("/").json() == {"ended": [False, False]}
    assert stored.exists(bobs)


def test_ending_this_session_signs_out(app, client, stored):
    async def view(request):
        session = current_session(request)
        return {"ended": await end_session(request, session.session_id), "user": session.user_id}

    serves(app, view)
    client.post("/login/ada")
    response = client.get("/")
    assert response.json() == {"ended": True, "user": None}
    assert cookies_set(response)[0].removes
    assert stored.count() == 0


def test_logging_out_others_keeps_this_session(app, client, stored):
    async def view(request):
        return {"ended": await logout_others(request)}

    serves(app, view)
    assert client.get("/").json() == {"ended": 0}
    for user in ("ada", "ada", "bob"):
        stored.create(user)
    client.post("/login/ada")
    assert client.get("/").json() == {"ended": 2}
    assert client.get("/me").json()["user"] == "ada"
    assert stored.count() == 2


def test_logging_out_everywhere_ends_this_session_too(app, client, stored):
    async def view(request):
        return {"ended": await logout_everywhere(request)}

    serves(app, view)
    stored.create("ada")
    client.post("/login/ada")
    response = client.get("/")
    assert response.json() == {"ended": 2}
    assert cookies_set(response)[0].removes
    assert stored.count() == 0
    client.post("/set/cart/tea")
    assert client.get("/").json() == {"ended": 0}
    assert token_of(client) is None


def test_an_administrator_ends_all_sessions_of_a_user(app, client, stored):
    kept = stored.create("eve").session_id

    async def view(request):
        return [await kill_user(request, "eve", keep=kept), await kill_user(request, "nobody")]

    serves(app, view)
    stored.create("eve")
    client.post("/login/root")
    assert client.get("/").json() == [1, 0]
    assert client.get("/me").json()["user"] == "root"
    assert stored.exists(kept)


def test_the_manager_of_the_app_is_at_hand_for_everything_else(app, client, stored):
    async def view(request):
        return {"count": await manager(request).count(), "namespace": manager(request).namespace}

    serves(app, view)
    stored.create("ada")
    assert client.get("/").json() == {"count": 1, "namespace": stored.namespace}


def test_touch_moves_the_last_access_whatever_the_interval(app, client, stored, clock):
    async def view(request):
        clock.advance(0.25)
        await request.session.touch()
        return {"access": request.session.last_access}

    serves(app, view)
    client.post("/login/ada")
    assert client.get("/").json() == {"access": clock()}
    (session,) = stored.iter_sessions()
    assert session.last_access == clock()


@pytest.mark.parametrize(
    "helper", [logout_others, sessions, logout_everywhere, lambda request: request.session.touch()]
)
def test_a_helper_with_something_to_store_first_says_that_the_session_is_gone(app, client, stored, helper):
    async def view(request):
        stored.kill_user("ada")
        request.session["late"] = 1
        with pytest.raises(SessionGone):
            await helper(request)
        return "noticed"

    serves(app, view)
    client.post("/login/ada")
    response = client.get("/")
    assert response.text == "noticed"
    assert not cookies_set(response)
    assert stored.count() == 0


def test_who_asks_for_the_manager_alone_makes_no_response_depend_on_the_session(app, client, sessions):
    serves(app, lambda request: str(manager(request).namespace))
    response = client.get("/")
    assert response.text == sessions.namespace
    assert "vary" not in response.headers


def test_helpers_say_what_is_missing_where_the_session_is_not_ours():
    from starlette.requests import Request

    for scope in (scope_of(), {**scope_of(), "session": {}}):
        for helper in (current_session, logout, manager):
            with pytest.raises(TypeError, match="add RedisessMiddleware"):
                helper(Request(scope))


def of_a_failed_view(request):
    raise ZeroDivisionError


async def of_a_cancelled_view(request):
    raise asyncio.CancelledError


@pytest.mark.parametrize("fail", [of_a_failed_view, of_a_cancelled_view])
@pytest.mark.parametrize("begin", [True, False])
def test_a_session_whose_token_goes_out_with_no_response_is_ended(app, sessions, fail, begin):
    async def view(request):
        login(request, "ada")
        await current_session(request).save()
        assert sessions.count_for_user("ada") == 1
        result = fail(request)
        if inspect.isawaitable(result):
            await result

    serves(app, view)
    before = {} if begin else send_token(sessions.create("ada").token)
    with pytest.raises((ZeroDivisionError, asyncio.CancelledError, concurrent.futures.CancelledError)):
        visit(app, "/", before)
    assert sessions.count() == 0


def test_a_session_whose_token_goes_out_with_the_answer_to_an_error_lives(app, sessions):
    async def view(request):
        login(request, "ada")
        await current_session(request).save()
        raise HTTPException(418)

    serves(app, view)
    (cookie,) = cookies_set(visit(app, "/"))
    assert sessions.authenticate(cookie.value).user_id == "ada"


def test_a_session_of_a_header_client_lives_though_the_view_failed_later(app, sessions):
    shown = []

    async def view(request):
        login(request, "ada", transport="header")
        await current_session(request).save()
        shown.append(current_session(request).token)
        raise ZeroDivisionError

    serves(app, view)
    with pytest.raises(ZeroDivisionError):
        visit(app, "/")
    assert sessions.authenticate(shown[0]).user_id == "ada"


def test_a_rolling_cookie_signs_nobody_out_where_no_response_carries_it(make_app, sessions):
    app = make_app(clock=sessions.clock, rolling=True)
    session = sessions.create("ada")

    def view(request):
        request.session["a"] = 1
        raise ZeroDivisionError

    serves(app, view)
    assert visit(app, "/", send_token(session.token), raise_server_exceptions=False).status_code == 500
    assert sessions.exists(session.session_id)
