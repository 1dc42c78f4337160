"""What happens around an endpoint: `yield` dependencies, background tasks, faults of Redis, refused sign-ins."""

from typing import Annotated

import pytest
from fastapi import BackgroundTasks, Depends, Request
from fastapi.responses import JSONResponse
from fastapi_kit import COOKIE, bearer, furnish, token_for

from redisess_core import SessionGone, StoreUnavailable
from redisess_starlette.fastapi import BlockingSession, CurrentSession, RequiredSession


def test_a_yield_dependency_writes_before_the_endpoint_and_reads_after_it(app, visit):
    after = []

    async def counting(session: CurrentSession):
        session["visits"] = session.get("visits", 0) + 1
        yield session["visits"]
        after.append((session.user_id, session["visits"]))

    @app.post("/counted")
    async def counted(session: CurrentSession, visits: Annotated[int, Depends(counting)]):
        session.login("ada")
        return visits

    client = visit(app)
    assert [client.post("/counted").json() for _ in range(2)] == [1, 2]
    assert after == [("ada", 1), ("ada", 2)]


def test_a_yield_dependency_of_the_function_writes_after_the_endpoint(app, visit):
    async def marking(session: CurrentSession):
        yield
        session["after"] = session.user_id

    @app.post("/marked", dependencies=[Depends(marking, scope="function")])
    async def marked(session: CurrentSession):
        session.login("ada")

    client = visit(furnish(app))
    client.post("/marked")
    assert client.get("/me").json()["data"] == {"after": "ada"}


def test_a_write_after_the_response_is_an_error_that_names_save(app, visit):
    async def late(session: CurrentSession):
        yield
        session["late"] = 1

    @app.post("/late", dependencies=[Depends(late)])
    async def endpoint(): ...

    with pytest.raises(RuntimeError, match=r"save\(\)"):
        visit(app).post("/late")


def test_a_yield_dependency_sees_the_error_of_an_endpoint_and_a_sign_out_counts(app, visit, sessions):
    seen = []

    async def watching(session: CurrentSession):
        try:
            yield
        except ZeroDivisionError:
            seen.append(session.user_id)
            raise

    @app.post("/fails", dependencies=[Depends(watching)])
    async def fails(session: RequiredSession):
        session["lost"] = 1
        session.logout()
        return 1 / 0

    client = visit(furnish(app), raise_server_exceptions=False)
    client.post("/login/ada")
    assert client.post("/fails").status_code == 500
    assert seen == [None]
    assert sessions.count() == 0


def test_a_background_task_sees_what_was_stored(app, visit, sessions):
    seen = []

    async def look(session):
        seen.append((session.user_id, dict(session), sessions.exists(session.session_id)))
        seen.append([each.user_id for each in await session.sessions()])

    @app.post("/later")
    async def later(session: CurrentSession, tasks: BackgroundTasks):
        session.login("ada")
        session["cart"] = "tea"
        tasks.add_task(look, session)

    visit(app).post("/later")
    assert seen == [("ada", {"cart": "tea"}, True), ["ada"]]


def test_a_background_task_in_a_thread_has_the_blocking_session(app, visit):
    seen = []

    def look(session):
        seen.extend(each.user_id for each in session.sessions())
        with pytest.raises(RuntimeError, match=r"save\(\)"):
            session["late"] = 1
        with pytest.raises(RuntimeError, match=r"save\(\)"):
            session.logout()

    @app.post("/later")
    def later(session: BlockingSession, tasks: BackgroundTasks):
        session.login("ada")
        tasks.add_task(look, session)

    visit(app).post("/later")
    assert seen == ["ada"]


def test_redis_away_is_json_of_fastapi_and_keeps_the_cookie(make_app, visit, start_server):
    server = start_server()
    client = visit(furnish(make_app(server.url)))
    client.post("/login/ada")
    held = client.cookies[COOKIE]
    server.pause()
    answer = client.get("/user")
    assert (answer.status_code, answer.json()) == (503, {"detail": "The session store cannot be reached."})
    assert int(answer.headers["Retry-After"]) > 0
    assert "Set-Cookie" not in answer.headers
    stranger = visit(client.app)
    assert stranger.get("/user").status_code == 401
    server.resume()
    assert client.cookies[COOKIE] == held
    assert client.get("/user").json() == "ada"


@pytest.mark.parametrize("colour", ["async", "blocking"])
def test_redis_away_in_an_endpoint_can_be_caught_and_answered_by_the_app(make_app, visit, start_server, colour):
    server = start_server()
    app = furnish(make_app(server.url))

    @app.exception_handler(StoreUnavailable)
    async def away(request: Request, error: StoreUnavailable):
        return JSONResponse({"sorry": True}, 503)

    if colour == "async":

        @app.post("/caught")
        async def caught(session: CurrentSession):
            session["a"] = 1
            server.stop()
            with pytest.raises(StoreUnavailable):
                await session.save()
    else:

        @app.post("/caught")
        def caught_blocking(session: BlockingSession):
            session["a"] = 1
            server.stop()
            with pytest.raises(StoreUnavailable):
                session.save()

    answer = visit(app).post("/caught")  # its end tries again
    assert (answer.status_code, answer.json(), "Set-Cookie" in answer.headers) == (503, {"sorry": True}, False)


def test_a_sign_in_beyond_the_limit_is_403_in_json(make_app, visit):
    app = furnish(make_app(max_sessions_per_user=1, on_limit="refuse"))
    first, second = visit(app), visit(app)
    assert first.post("/login/ada").status_code == 200
    answer = second.post("/login/ada")
    assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)
    assert "sessions" in answer.json()["detail"]
    assert first.get("/user").json() == "ada"


@pytest.mark.parametrize("colour", ["async", "blocking"])
def test_a_session_that_is_gone_is_401_with_a_challenge_where_nobody_caught_it(app, visit, sessions, colour):
    if colour == "async":

        @app.post("/gone")
        async def gone(session: RequiredSession):
            sessions.kill(session.session_id)
            await session.touch()
    else:

        @app.post("/gone")
        def gone_blocking(session: BlockingSession):
            sessions.kill(session.session_id)
            session.touch()

    client = visit(furnish(app))
    client.post("/login/ada")
    answer = client.post("/gone")
    assert (answer.status_code, answer.json()) == (401, {"detail": "This session has ended."})
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_an_app_may_answer_for_a_session_that_is_gone(app, visit, sessions):
    @app.exception_handler(SessionGone)
    async def handle(request: Request, error: SessionGone):
        return JSONResponse({"gone": error.session_id}, 410)

    @app.post("/gone")
    async def gone(session: RequiredSession):
        sessions.kill(session.session_id)
        await session.touch()

    client = visit(furnish(app))
    session_id = client.post("/login/ada").json()["id"]
    answer = client.post("/gone")
    assert (answer.status_code, answer.json()) == (410, {"gone": session_id})


def test_a_client_that_signs_in_for_a_token_gets_no_cookie_ever(client, sessions):
    answer = client.post("/token/ada")
    token = answer.json()["token"]
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    answers = [
        client.get("/user", headers=bearer(token)),
        client.post("/put/a/b", headers=bearer(token)),
        client.post("/login/ada", headers=bearer(token)),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert not any("Set-Cookie" in answer.headers for answer in answers)
    assert not client.cookies
    assert client.get("/user", headers=bearer(token)).status_code == 401  # another came with the second sign-in
    assert sessions.count() == 1


def test_a_token_in_the_header_counts_before_the_one_in_the_cookie(client, visit):
    client.post("/login/ada")
    other = token_for(visit(client.app), "eve")
    assert client.get("/user", headers=bearer(other)).json() == "eve"
    assert client.get("/user").json() == "ada"
