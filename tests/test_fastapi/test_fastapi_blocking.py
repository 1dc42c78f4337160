"""`BlockingSession` in `def` endpoints: each of its methods, its errors, and where it runs."""

import threading

import pytest
from anyio import create_task_group, from_thread, to_thread
from fastapi import Request
from fastapi_kit import COOKIE, furnish

from redisess_core import RedisessError, Session, SessionDataTooLarge, SessionGone, SessionLimitReached
from redisess_core.store import AsyncStore
from redisess_starlette.fastapi import BlockingSession, CurrentSession


def test_what_is_written_is_stored_when_the_response_is_made(app, visit):
    @app.post("/write")
    def write(session: BlockingSession):
        session["list"] = [1]
        session["list"].append(2)
        session.update(a=1, b=2)
        del session["a"]
        return [session.pop("b"), session.setdefault("c", 3), len(session), "c" in session, list(session)]

    client = visit(furnish(app))
    assert client.post("/write").json() == [2, 3, 2, True, ["list", "c"]]
    assert client.get("/me").json()["data"] == {"list": [1, 2], "c": 3}


def test_signing_in_and_out(app, visit, sessions):
    @app.post("/in/{user}")
    def sign_in(session: BlockingSession, user: str):
        session.login(user, ttl=60)
        return [session.user_id, session.session_id]

    @app.post("/out")
    def sign_out(session: BlockingSession):
        session.logout()
        return session.user_id

    client = visit(furnish(app))
    client.post("/put/cart/tea")
    user, session_id = client.post("/in/ada").json()
    assert client.get("/me").json() == {"user": user, "id": session_id, "data": {"cart": "tea"}}
    assert sessions.get(session_id, touch=False).ttl == 60
    answer = client.post("/out")
    assert (answer.json(), sessions.count(), COOKIE in client.cookies) == (None, 0, False)


def test_a_new_token_for_the_same_user(app, visit):
    @app.post("/rotate")
    def rotate(session: BlockingSession):
        session.rotate()
        return session.session_id

    client = visit(furnish(app))
    before = client.post("/login/ada").json()["id"]
    assert client.get("/me").json()["id"] == before
    after = client.post("/rotate").json()
    assert before != after
    assert client.get("/me").json() == {"user": "ada", "id": after, "data": {}}


def test_save_stores_at_once(app, visit, sessions):
    @app.post("/save")
    def save(session: BlockingSession):
        session.login("ada")
        session["a"] = 1
        session.save()
        return dict(sessions.authenticate(session.token).data)

    assert visit(app).post("/save").json() == {"a": 1}


def test_touch_moves_the_last_access_at_once(app, visit, sessions, clock):
    @app.post("/touch")
    def touch(session: BlockingSession):
        clock.advance(0.5)  # less than the interval by which an ordinary request touches
        session.touch()
        return [session.last_access, sessions.get(session.session_id, touch=False).last_access]

    client = visit(furnish(app))
    client.post("/login/ada")
    assert client.post("/touch").json() == [clock(), clock()]


def test_the_devices_of_a_user_are_blocking_sessions(app, visit, sessions):
    @app.get("/devices")
    def devices(session: BlockingSession):
        listed = session.sessions()
        assert all(isinstance(each, Session) for each in listed)
        return [each.session_id for each in listed if each.read() and each.user_id == "ada"]

    @app.post("/end-last")
    def end_last(session: BlockingSession):
        return [session.sessions()[-1].kill(), session.sessions()[-1].set("a", 1)]

    laptop, phone, stranger = (visit(furnish(app)) for _ in range(3))
    assert laptop.get("/devices").json() == []
    stranger.post("/login/eve")
    phone.post("/login/ada")
    laptop.post("/login/ada")
    ids = [client.get("/me").json()["id"] for client in (laptop, phone)]
    assert sorted(laptop.get("/devices").json()) == sorted(ids)
    assert laptop.post("/end-last").json() == [True, 1]
    assert sessions.count_for_user("ada") == 1


def test_one_of_the_own_sessions_is_ended_and_no_other(app, visit):
    @app.post("/end/{session_id}")
    def end(session: BlockingSession, session_id: str):
        return session.end_session(session_id)

    laptop, phone, stranger = (visit(furnish(app)) for _ in range(3))
    ids = {}
    for client, user in ((laptop, "ada"), (phone, "ada"), (stranger, "eve")):
        ids[client] = client.post(f"/login/{user}").json()["id"]
    assert stranger.post(f"/end/{ids[phone]}").json() is False
    assert phone.get("/user").json() == "ada"
    assert laptop.post(f"/end/{ids[phone]}").json() is True
    assert phone.get("/user").status_code == 401
    assert laptop.get("/user").json() == "ada"


@pytest.mark.parametrize(("others", "left"), [(True, [200, 401]), (False, [401, 401])])
def test_the_other_sessions_are_ended_or_all(app, visit, others, left):
    @app.post("/end")
    def end(session: BlockingSession):
        return session.logout_others() if others else session.logout_everywhere()

    here, there = (visit(furnish(app)) for _ in range(2))
    for client in (here, there):
        client.post("/login/ada")
    assert here.post("/end").json() == (1 if others else 2)
    assert [client.get("/user").status_code for client in (here, there)] == left
    assert (COOKIE in here.cookies) is others


@pytest.mark.parametrize("error", [SessionLimitReached, SessionDataTooLarge, SessionGone])
def test_errors_can_be_caught_in_the_endpoint(make_app, visit, sessions, error):
    app = make_app(max_sessions_per_user=1, on_limit="refuse", max_data_bytes=100)

    @app.post("/refused")
    def refused(session: BlockingSession):
        if error is SessionLimitReached:
            session.login("ada")
        elif error is SessionDataTooLarge:
            session["big"] = "x" * 101
        else:
            sessions.kill(session.session_id)
            session["late"] = 1
        try:
            session.save()
        except RedisessError as raised:
            return type(raised).__name__
        return "stored"

    client = visit(furnish(app))
    visit(app).post("/login/ada")
    client.post("/login/eve")
    answer = client.post("/refused")
    assert (answer.status_code, answer.json()) == (200, error.__name__)
    assert client.get("/user").status_code == (401 if error is SessionGone else 200)


def test_it_has_one_state_with_the_async_session_of_the_request(app, visit):
    @app.post("/both")
    def both(request: Request, blocking: BlockingSession, session: CurrentSession):
        blocking["a"] = 1
        session["b"] = [2]
        blocking["b"].append(3)
        seen = [dict(session), dict(blocking), list(dict.items(session))]
        del blocking["a"]
        blocking.login("ada")
        seen.append([session.user_id, session.token == blocking.token, list(dict.items(session))])
        blocking.save()
        seen.append([session.new, session.modified, blocking.modified, session.session_id == blocking.session_id])
        blocking.logout()
        seen.append([session.user_id, dict(request.session), list(dict.items(session))])
        return seen

    data = {"a": 1, "b": [2, 3]}
    assert visit(app).post("/both").json() == [
        data,
        data,
        [["a", 1], ["b", [2, 3]]],
        ["ada", True, [["b", [2, 3]]]],
        [False, False, False, True],
        [None, {}, []],
    ]


@pytest.mark.parametrize("response_model", [dict, None])
def test_an_endpoint_returns_the_blocking_session_itself(app, visit, response_model):
    @app.get("/data", response_model=response_model)
    def data(session: BlockingSession):
        session["a"] = [1]
        return session

    assert visit(app).get("/data").json() == {"a": [1]}


def test_commands_run_in_the_event_loop_and_no_thread_is_added(app, visit, monkeypatch):
    loops, executed = set(), []
    execute = AsyncStore.execute

    async def watched(store, operation):
        executed.append(threading.get_ident())
        return await execute(store, operation)

    @app.get("/loop")
    async def loop():
        loops.add(threading.get_ident())

    @app.post("/work")
    def work(session: BlockingSession):
        before = set(threading.enumerate())
        session.login("ada")
        session.save()
        session.touch()
        session.sessions()
        session.logout_others()
        return [set(threading.enumerate()) == before, threading.get_ident() in loops]

    client = visit(app)
    client.get("/loop")
    monkeypatch.setattr(AsyncStore, "execute", watched)
    assert client.post("/work").json() == [True, False]
    assert len(executed) >= 4
    assert set(executed) == loops


def test_what_its_methods_cost(app, visit, wire):
    @app.post("/work")
    def work(session: BlockingSession):
        session["n"] = session.get("n", 0) + 1
        session.save()
        session.touch()
        session.sessions()

    client = visit(furnish(app))
    client.post("/login/ada")
    client.post("/work")
    with wire() as seen:
        client.post("/work")
    assert len(seen) == 4  # the request's own, and one each


def test_in_async_def_it_says_what_to_take(app, visit):
    @app.get("/wrong")
    async def wrong(session: BlockingSession):
        session.touch()

    @app.get("/harmless")
    async def harmless(session: BlockingSession):
        return session.user_id

    client = visit(furnish(app))
    client.post("/login/ada")
    with pytest.raises(RuntimeError, match="CurrentSession"):
        client.get("/wrong")
    assert client.get("/harmless").json() == "ada"


def test_many_threads_change_one_session_side_by_side(app, visit):
    here, arrived = threading.Barrier(3), []

    @app.post("/meet/{key}")
    def meet(session: BlockingSession, key: str):
        arrived.append(here.wait(30))
        session[key] = 1

    client = visit(furnish(app))
    client.post("/login/ada")
    threads = [threading.Thread(target=client.post, args=(f"/meet/{key}",)) for key in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.get("/me").json()["data"] == {"a": 1, "b": 1, "c": 1}
    assert sorted(arrived) == [0, 1, 2]


def test_threads_of_one_request_that_store_at_once_make_one_session(app, visit, sessions):
    @app.post("/threads")
    def store(session: BlockingSession):
        async def all_at_once():
            async with create_task_group() as group:
                for number in range(5):
                    group.start_soon(to_thread.run_sync, note_one, f"k{number}")

        def note_one(key):
            session[key] = 1
            session.save()

        from_thread.run(all_at_once)

    client = visit(app)
    assert client.post("/threads").status_code == 200
    assert sessions.count() == 1
    (session_id,) = sessions.get_all_sessions()
    assert sessions.get(session_id).data == {f"k{number}": 1 for number in range(5)}
