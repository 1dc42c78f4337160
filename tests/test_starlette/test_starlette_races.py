"""Requests side by side, and sessions that die while their request runs."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest
from starlette_kit import ask, bearer, cookies_set, send_token, serves, visit

from redisess_core import AsyncSessionManager, SessionDataTooLarge, SessionGone, SessionManager
from redisess_core.scripts import script
from redisess_core.tokens import session_id_of
from redisess_starlette import current_session, end_session, login, logout, logout_everywhere, logout_others

pytestmark = pytest.mark.anyio


class Gate:
    """Lets a test act while views wait: a view awaits `passed()`, the test `reached(number)`, then `open()`."""

    def __init__(self):
        self.waiting, self._open, self._changed = 0, asyncio.Event(), asyncio.Condition()

    async def passed(self):
        async with self._changed:
            self.waiting += 1
            self._changed.notify_all()
        await self._open.wait()

    async def reached(self, number=1):
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(lambda: self.waiting == number), 30)

    def open(self):
        self._open.set()


@pytest.fixture
def slow(app):
    """Visit a page that does *action* after *meanwhile* was done elsewhere: `await slow(action, meanwhile, token)`."""

    async def run(action, meanwhile, token, *, before=None, site=app, carry=send_token):
        gate = Gate()

        async def view(request):
            if before is not None:
                before(request)
            await gate.passed()
            result = action(request)
            if asyncio.iscoroutine(result):
                await result
            return "as the view made it"

        serves(site, view)
        answer = asyncio.ensure_future(ask(site, "/", carry(token)))
        await gate.reached()
        result = meanwhile()
        if asyncio.iscoroutine(result):
            await result
        gate.open()
        return await answer

    return run


@pytest.fixture
def token(sessions):
    """The token of a signed-in session."""
    return sessions.create("lovelace", data={"a": 1, "list": []}).token


# A session that dies while its request runs

CHANGES = {
    "nothing": lambda request: None,
    "read": lambda request: request.session["a"],
    "write": lambda request: request.session.update(late=1),
    "mutation": lambda request: request.session["list"].append(1),
    "deletion": lambda request: request.session.pop("a"),
    "sign-in": lambda request: login(request, "lovelace"),
    "another sign-in": lambda request: login(request, "bob"),
    "rotation": lambda request: request.session.rotate(),
    "sign-out": logout,
    "clear and write": lambda request: (request.session.clear(), request.session.update(late=1)),
}
ENDS = ["killed", "signed out", "expired", "rotated"]


@pytest.fixture
def elsewhere(app, sessions, clock):
    """End a token's session as another request, process or time itself does: `await elsewhere("killed", token)`."""

    async def end(how, token):
        match how:
            case "killed":
                sessions.kill_user("lovelace")
            case "signed out":
                await ask(app, "/logout", send_token(token), "POST")
            case "expired":
                clock.advance(1800)
            case _:
                await ask(app, "/login/lovelace", send_token(token), "POST")

    return end


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("end", ENDS)
async def test_what_a_request_changes_of_a_session_that_died_meanwhile_is_dropped(
    slow, elsewhere, sessions, token, end, change
):
    response = await slow(CHANGES[change], lambda: elsewhere(end, token), token)
    assert (response.status_code, response.text) == (200, "as the view made it")
    assert not cookies_set(response)
    assert "cache-control" not in response.headers
    assert sessions.authenticate(token) is None
    assert sessions.count() == (1 if end == "rotated" else 0)
    for alive in sessions.get_all_sessions():
        assert dict(sessions.get(alive).data) == {"a": 1, "list": []}


@pytest.mark.parametrize("end", ENDS)
async def test_a_death_meanwhile_is_warned_of_by_its_handle(slow, elsewhere, token, end, caplog):
    with caplog.at_level(logging.WARNING, "redisess"):
        await slow(CHANGES["write"], lambda: elsewhere(end, token), token)
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "redisess"]
    assert session_id_of(token) in warning
    assert "lovelace" not in warning
    assert token not in caplog.text


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("carry", [send_token, bearer])
async def test_a_rolling_cookie_does_not_replace_the_one_that_another_tab_was_given(
    slow, elsewhere, make_app, clock, token, end, carry
):
    rolling = make_app(clock=clock, rolling=True)
    response = await slow(CHANGES["nothing"], lambda: elsewhere(end, token), token, site=rolling, carry=carry)
    assert response.text == "as the view made it"
    assert not cookies_set(response)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("helper", ["logout_others", "logout_everywhere", "end_session", "save", "touch"])
async def test_a_session_that_died_meanwhile_ends_no_other_and_no_cookie(slow, elsewhere, sessions, token, end, helper):
    before = []

    async def meanwhile():
        await elsewhere(end, token)
        sessions.create("lovelace")
        before.extend(sessions.get_user_sessions("lovelace"))

    async def act(request):
        match helper:
            case "end_session":
                await end_session(request, before[0])
            case "save":
                request.session["late"] = 1
                await request.session.save()
            case "touch":
                await request.session.touch()
            case _:
                await {"logout_others": logout_others, "logout_everywhere": logout_everywhere}[helper](request)

    response = await slow(act, meanwhile, token)
    assert response.status_code == 401
    assert not cookies_set(response)
    assert sessions.get_user_sessions("lovelace") == before


async def test_a_view_may_catch_that_its_session_is_gone(slow, sessions, token):
    caught = []

    async def act(request):
        request.session["late"] = 1
        try:
            await request.session.save()
        except SessionGone as gone:
            caught.append(gone.session_id)

    response = await slow(act, lambda: sessions.kill_user("lovelace"), token)
    assert response.text == "as the view made it"
    assert not cookies_set(response)
    assert caught == [session_id_of(token)]


async def test_a_request_that_began_with_a_dead_token_and_writes_gets_a_fresh_session(app, sessions, token):
    sessions.kill_user("lovelace")
    (cookie,) = cookies_set(await ask(app, "/set/a/b", send_token(token), "POST"))
    assert cookie.value != token
    assert sessions.authenticate(cookie.value).user_id is None
    (cookie,) = cookies_set(await ask(app, "/login/ada", send_token(token), "POST"))
    assert sessions.authenticate(cookie.value).user_id == "ada"


async def test_a_late_request_after_logout_leaves_nothing_in_redis(slow, app, sessions, redis_client):
    for change in CHANGES.values():
        token = sessions.create("ada", data={"a": 1, "list": []}).token
        await slow(change, lambda token=token: ask(app, "/logout", send_token(token), "POST"), token)
        assert sessions.authenticate(token) is None
    assert sessions.count() == 0
    assert [key for key in redis_client.scan_iter() if redis_client.type(key) == b"hash"] == []


# Requests side by side


async def test_a_hundred_requests_that_change_different_keys_of_one_session_all_win(app, sessions):
    token = sessions.create("ada").token
    gate = Gate()

    async def view(request):
        key = request.query_params["key"]
        await gate.passed()  # all have loaded the session before the first stores it
        request.session[key] = key
        return "stored"

    serves(app, view)
    keys = [f"key{n}" for n in range(100)]
    answers = [asyncio.ensure_future(ask(app, f"/?key={key}", send_token(token))) for key in keys]
    await gate.reached(100)
    gate.open()
    assert {answer.status_code for answer in await asyncio.gather(*answers)} == {200}
    assert dict(sessions.authenticate(token).data) == {key: key for key in keys}


@pytest.mark.parametrize("how", ["killed", "signed out", "everybody"])
async def test_a_session_killed_while_a_hundred_requests_run_stays_dead(app, sessions, redis_client, how):
    token = sessions.create("ada", data={"list": []}).token
    gate = Gate()
    changes = [
        lambda session: session.update(late=1),
        lambda session: session["list"].append(1),
        lambda session: session.login("ada"),
        lambda session: session.rotate(),
        lambda session: session.pop("list"),
    ]

    async def view(request):
        await gate.passed()
        changes[int(request.query_params["n"]) % len(changes)](request.session)
        return "done"

    serves(app, view)
    answers = [asyncio.ensure_future(ask(app, f"/?n={n}", send_token(token))) for n in range(100)]
    await gate.reached(100)
    if how == "signed out":
        await ask(app, "/logout", send_token(token), "POST")
    else:
        assert (sessions.kill_user("ada") if how == "killed" else sessions.kill_all()) == 1
    gate.open()
    for answer in await asyncio.gather(*answers):
        assert answer.text == "done"
        assert not cookies_set(answer)
    assert sessions.authenticate(token) is None
    assert sessions.count() == 0
    assert [key for key in redis_client.scan_iter() if redis_client.type(key) == b"hash"] == []


async def test_a_request_that_deletes_and_one_that_writes_do_not_undo_each_other(slow, app, sessions):
    token = sessions.create("ada", data={"a": 1, "b": 1}).token
    await slow(lambda request: request.session.pop("a"), lambda: ask(app, "/set/b/2", send_token(token), "POST"), token)
    assert dict(sessions.authenticate(token).data) == {"b": "2"}


async def test_a_list_that_was_read_in_one_request_does_not_undo_what_another_made_of_it(slow, app, sessions):
    token = sessions.create("ada", data={"list": [1]}).token
    await slow(
        lambda request: request.session.update(other=1),
        lambda: ask(app, "/set/list/new", send_token(token), "POST"),
        token,
        before=lambda request: list(request.session["list"]),
    )
    assert dict(sessions.authenticate(token).data) == {"list": "new", "other": 1}


async def test_of_two_writes_to_one_key_the_later_response_wins(slow, app, sessions):
    token = sessions.create("ada").token
    await slow(
        lambda request: request.session.update(a="slow"),
        lambda: ask(app, "/set/a/quick", send_token(token), "POST"),
        token,
    )
    assert sessions.authenticate(token).data["a"] == "slow"


async def test_an_anonymous_session_that_another_request_filled_is_not_ended_by_emptying_it_here(slow, app, sessions):
    token = sessions.create(None, data={"a": 1}).token
    response = await slow(
        lambda request: request.session.pop("a"), lambda: ask(app, "/set/b/2", send_token(token), "POST"), token
    )
    assert not cookies_set(response)
    assert dict(sessions.authenticate(token).data) == {"b": "2"}


async def test_of_many_sign_ins_over_one_session_one_wins_and_the_others_are_dropped(app, sessions):
    token = sessions.create(None, data={"cart": "tea"}).token
    gate = Gate()

    async def view(request):
        await gate.passed()
        login(request, "ada")

    serves(app, view)
    answers = [asyncio.ensure_future(ask(app, "/", send_token(token))) for _ in range(20)]
    await gate.reached(20)
    gate.open()
    given = [cookie.value for answer in await asyncio.gather(*answers) for cookie in cookies_set(answer)]
    assert len(given) == 1
    assert sessions.count() == 1
    assert sessions.authenticate(given[0]).data == {"cart": "tea"}


async def test_a_limit_holds_under_many_sign_ins_at_once(make_app, look):
    limit = {"max_sessions_per_user": 3, "on_limit": "refuse"}
    app = make_app(**limit)
    answers = await asyncio.gather(*(ask(app, "/login/ada", method="POST") for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [403] * 17
    assert look(**limit).count_for_user("ada") == 3


async def test_a_sign_out_everywhere_and_a_request_of_another_device_at_once(slow, app, sessions, redis_url):
    here, there = (sessions.create("ada").token for _ in range(2))

    def everywhere():
        with SessionManager(redis_url, namespace=sessions.namespace, clock=sessions.clock) as elsewhere:
            assert elsewhere.kill_user("ada") == 2

    assert not cookies_set(await slow(CHANGES["write"], everywhere, there))
    assert (await ask(app, "/me", send_token(here))).json()["user"] is None
    assert sessions.count() == 0


async def test_tasks_of_one_request_share_its_session(app, sessions, token):
    async def view(request):
        async def put(n):
            request.session[f"key{n}"] = n
            await request.session.save()

        await asyncio.gather(*(put(n) for n in range(10)))
        return {"user": current_session(request).user_id}

    serves(app, view)
    assert (await ask(app, "/", send_token(token))).json() == {"user": "lovelace"}
    assert set(sessions.authenticate(token).data) == {"a", "list", *(f"key{n}" for n in range(10))}


def test_the_first_requests_of_a_process_may_come_all_at_once(make_app, token):
    async def visits():
        app = make_app()
        return await asyncio.gather(*(ask(app, "/me", send_token(token)) for _ in range(20)))

    assert [answer.json()["user"] for answer in asyncio.run(visits())] == ["lovelace"] * 20
    assert visit(make_app(), "/me", send_token(token)).json()["user"] == "lovelace"


# What tasks of one request do at once

WHILE_SAVING = {
    "logout": (lambda session: session.logout(), None),
    "clear": (lambda session: session.clear(), None),
    "another user": (lambda session: session.login("bob"), "bob"),
    "the same user": (lambda session: session.login("lovelace"), "lovelace"),
    "rotation": (lambda session: session.rotate(), "lovelace"),
}
BEFORE = {
    "a write": lambda session: session.update(early=1),
    "a rotation": lambda session: session.rotate(),
    "a sign-in": lambda session: session.login("eve"),
    "a sign-out": lambda session: session.logout(),
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("asked", WHILE_SAVING)
async def test_what_is_asked_for_while_a_save_is_under_way_is_not_lost(app, sessions, token, before, asked):
    act, user = WHILE_SAVING[asked]
    if before == "a sign-in" and asked == "rotation":
        user = "eve"
    if before == "a sign-out" and asked == "rotation":
        user = None
    seen = []

    async def view(request):
        session = current_session(request)
        BEFORE[before](session)
        saving = asyncio.ensure_future(session.save())
        await asyncio.sleep(0)
        act(session)
        seen.append((session.user_id, session.token))
        await saving
        assert (session.user_id, session.token) == seen[0]
        return "done"

    serves(app, view)
    response = await ask(app, "/", send_token(token))
    (cookie,) = cookies_set(response)
    assert seen[0][0] == user
    assert sessions.authenticate(token) is None
    if user is None:
        assert cookie.removes
        assert sessions.count() == 0
    else:
        assert cookie.value == seen[0][1]
        assert sessions.authenticate(cookie.value).user_id == user
        assert sessions.count() == 1


@pytest.mark.parametrize("awaited", [True, False])
async def test_tasks_that_save_a_new_session_at_once_make_one(app, sessions, awaited):
    tasks = []

    async def note(session, key):
        session[key] = 1
        await session.save()

    async def view(request):
        tasks.extend(asyncio.ensure_future(note(request.session, f"k{number}")) for number in range(8))
        await (asyncio.gather(*tasks) if awaited else asyncio.sleep(0))
        return "done"

    serves(app, view)
    response = await ask(app, "/")
    await asyncio.gather(*tasks, return_exceptions=True)
    (cookie,) = cookies_set(response)
    assert sessions.count() == 1
    assert sessions.authenticate(cookie.value).data == {f"k{number}": 1 for number in range(8)}


LATE = {
    "logout": lambda session: session.logout(),
    "login": lambda session: session.login("bob"),
    "rotation": lambda session: session.rotate(),
    "write": lambda session: session.update(late=1),
    "deletion": lambda session: session.pop("a"),
}


@pytest.mark.parametrize("late", LATE)
async def test_what_comes_while_the_end_is_being_stored_is_refused_and_not_lost_in_silence(
    redis_url, namespace, make_app, sessions, token, late
):
    async with AsyncSessionManager(redis_url, namespace=namespace, clock=sessions.clock) as manager:
        execute, storing, refused = manager.store.execute, asyncio.Event(), asyncio.Event()

        async def waiting(operation):
            if operation.script.sha == script("store").sha:
                storing.set()
                await refused.wait()
            return await execute(operation)

        async def come(session):
            await storing.wait()
            try:
                with pytest.raises(RuntimeError, match=r"save\(\)"):
                    LATE[late](session)
            finally:
                refused.set()

        tasks = []

        async def view(request):
            request.session["in time"] = 1
            tasks.append(asyncio.create_task(come(current_session(request))))
            return "done"

        manager.store.execute = waiting
        app = make_app(manager)
        serves(app, view)
        response = await ask(app, "/", send_token(token))
        await asyncio.gather(*tasks)
    assert not cookies_set(response)
    assert sessions.authenticate(token).data == {"a": 1, "list": [], "in time": 1}


def empty(session):
    for key in [*session]:
        del session[key]


async def saving_beside(redis_url, namespace, make_app, sessions, token, change):
    """Visit a page that saves *change*, and in another task sets `b` while that is stored; returns what it sees."""
    async with AsyncSessionManager(redis_url, namespace=namespace, clock=sessions.clock) as manager:
        execute, storing, noted = manager.store.execute, asyncio.Event(), asyncio.Event()

        async def waiting(operation):
            if operation.script.sha == script("store").sha and not storing.is_set():
                storing.set()
                await noted.wait()
            return await execute(operation)

        async def note(session):
            await storing.wait()
            session["b"] = 2
            noted.set()

        async def view(request):
            session = current_session(request)
            noting = asyncio.create_task(note(session))
            change(session)
            with contextlib.suppress(SessionDataTooLarge):
                await session.save()
            await noting
            return {"data": dict(session)}

        manager.store.execute = waiting
        app = make_app(manager)
        serves(app, view)
        return await ask(app, "/", send_token(token))


@pytest.mark.parametrize("key", ["a", "b"])
async def test_a_write_beside_the_end_of_an_emptied_session_begins_one(redis_url, namespace, make_app, sessions, key):
    token = sessions.create(None, data={key: 2, "c": 3}).token
    response = await saving_beside(redis_url, namespace, make_app, sessions, token, empty)
    assert response.json() == {"data": {"b": 2}}
    (cookie,) = cookies_set(response)
    assert sessions.authenticate(token) is None
    assert sessions.authenticate(cookie.value).data == {"b": 2}


async def test_a_write_beside_one_that_is_refused_is_kept(redis_url, namespace, make_app, sessions, token):
    def grow(session):
        session["big"] = "x" * sessions.max_data_bytes
        session["a"] = 3
        session["list"].append(1)
        del session["a"]

    response = await saving_beside(redis_url, namespace, make_app, sessions, token, grow)
    assert response.json() == {"data": {"a": 1, "list": [], "b": 2}}
    assert sessions.authenticate(token).data == {"a": 1, "list": [], "b": 2}


async def test_a_session_is_not_to_be_awaited_in_another_event_loop(make_app, sessions, token):
    app = make_app(clock=sessions.clock)

    def elsewhere(session):
        return asyncio.run(session.save())

    async def view(request):
        request.session["a"] = 2
        with pytest.raises(RuntimeError, match="another event loop"):
            await asyncio.to_thread(elsewhere, current_session(request))
        return "done"

    serves(app, view)
    await ask(app, "/", send_token(token))
    assert sessions.authenticate(token).data["a"] == 2
