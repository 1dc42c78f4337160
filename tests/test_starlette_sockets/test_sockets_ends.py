"""The end of a session closes its WebSockets with 4401, a rotation by its own user is followed."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress

import pytest
from anyio import CancelScope, create_task_group, fail_after
from sockets_kit import (
    SECONDS,
    Line,
    act,
    answering,
    by_cookie,
    by_header,
    follower_of,
    followers,
    listeners,
    settled,
    until,
)
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocketDisconnect, WebSocketState

from redisess_core import EventKind, SessionEvent, SessionGone, SessionManager
from redisess_core.scripts import script
from redisess_starlette import SESSION_ENDED, RedisessMiddleware
from redisess_starlette import follower as follower_module

pytestmark = pytest.mark.anyio


@pytest.fixture
def others(redis_client, namespace):
    """The manager of another process."""
    with SessionManager(redis_client, namespace=namespace) as manager:
        yield manager


# Ends

ENDS = {
    "killed": lambda others, session: others.kill(session.session_id),
    "of its user": lambda others, session: others.kill_user("ada"),
    "of all": lambda others, session: others.kill_all(),
    "evicted by the limit": lambda others, session: others.create("ada"),
    "signed out": lambda others, session: others.kill(session.session_id, user_id="ada"),
    "of another sign-in": lambda others, session: others.rotate(session, user_id="bob"),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("listening", [True, False])
async def test_a_socket_is_closed_where_another_process_ends_its_session(site, others, end, listening):
    session = others.create("ada")
    if end == "evicted by the limit":
        others = SessionManager(others.client, namespace=others.namespace, max_sessions_per_user=1)
    line = await site.talk(session)
    if listening:
        await settled(site, line)
    ENDS[end](others, session)
    assert await line.closed() == SESSION_ENDED
    await line.ended()


@pytest.mark.parametrize("do", ["logout", "login bob", "login ada"])
async def test_a_socket_is_closed_where_its_session_ends_in_another_socket(site, do):
    session = await site.manager.create("ada")

    async def view(websocket):
        verb, *words = do.split()
        await act(websocket, verb, words)
        await websocket.accept()
        await websocket.receive_text()

    lines = [await site.talk(session) for _ in range(2)]
    for line in lines:
        await settled(site, line)
    other = site.connect(view, by_cookie(session.token))
    await other.accepted()
    if do == "login ada":
        assert await lines[0].ask("user") == "ada"
        await site.manager.kill_user("ada")
    assert [await line.closed() for line in lines] == [SESSION_ENDED] * 2


async def test_an_anonymous_socket_is_closed_where_its_session_is_signed_in_elsewhere(site, others):
    session = others.create(None, data={"cart": 1})
    line = await site.talk(session)
    await settled(site, line)
    others.rotate(session, user_id="ada")
    assert await line.closed() == SESSION_ENDED


async def test_a_socket_of_a_session_that_idles_out_is_closed_by_its_own_timer(make_site):
    site = make_site(manager_options={"ttl": 0.3, "touch_interval": 0})
    line = await site.talk(await site.manager.create("ada"))
    assert await line.closed() == SESSION_ENDED


async def test_a_socket_of_a_session_that_is_over_is_closed_by_its_own_timer_though_it_is_touched(make_site):
    site = make_site(manager_options={"ttl": 100, "max_lifetime": 0.3})
    line = await site.talk(await site.manager.create("ada"))
    await line.ask("touch")
    assert await line.closed() == SESSION_ENDED


async def test_a_socket_that_was_touched_stays_open_past_its_first_expiry(make_site, clock):
    site = make_site(manager_options={"ttl": 100, "clock": clock})
    session = await site.manager.create("ada")
    line = await site.talk(session)
    await settled(site, line)
    follower = follower_of(site)
    clock.advance(99.9)
    await line.ask("touch")
    clock.advance(1)
    follower._told(None)  # as its timer does, which goes by the loop's clock
    await looked(follower)
    assert await line.ask("user") == "ada"
    clock.advance(100)
    follower._told(None)
    assert await line.closed() == SESSION_ENDED


async def looked(follower):
    """Wait until a look that was asked for is over."""
    over = asyncio.Event()
    look = follower._look

    async def and_say():
        delay = await look()
        over.set()
        return delay

    follower._look = and_say
    follower._look_now.set()
    with fail_after(SECONDS):
        await over.wait()
    follower._look = look


async def test_an_immortal_session_has_no_timer_to_trip_over(make_site):
    site = make_site(manager_options={"ttl": 0})
    session = await site.manager.create("ada")
    assert session.expires_in == math.inf
    line = await site.talk(session)
    await settled(site, line)
    await site.manager.kill(session.session_id)
    assert await line.closed() == SESSION_ENDED


async def test_a_session_that_ends_between_the_connection_and_the_accept_closes_the_socket_after_it(site, others):
    session = others.create("ada")
    here, on = asyncio.Event(), asyncio.Event()

    async def view(websocket):
        here.set()
        await on.wait()
        await answering(websocket)

    line = site.connect(view, by_cookie(session.token))
    await here.wait()
    others.kill(session.session_id)
    on.set()
    assert "set-cookie" not in await line.accepted()
    assert await line.closed() == SESSION_ENDED


async def test_a_change_before_the_accept_of_a_session_that_ended_meanwhile_closes_the_socket_too(site, others):
    session = others.create("ada")

    async def view(websocket):
        assert websocket.session.user_id == "ada"
        others.kill(session.session_id)
        websocket.session["a"] = 1
        await answering(websocket)

    line = site.connect(view, by_cookie(session.token))
    assert "set-cookie" not in await line.accepted()
    assert await line.closed() == SESSION_ENDED
    assert not others.exists(session.session_id)


async def test_a_sign_in_that_waits_for_the_accept_of_a_session_that_ended_meanwhile_comes_to_nothing(site, others):
    session = others.create("ada")

    async def view(websocket):
        websocket.session.login("bob")
        others.kill(session.session_id)
        await answering(websocket)

    line = site.connect(view, by_cookie(session.token))
    assert "set-cookie" not in await line.accepted()
    assert await line.closed() == SESSION_ENDED
    assert others.count() == 0


async def test_a_sign_in_that_waits_in_a_socket_whose_session_ends_does_not_keep_it_open(site, others):
    session = others.create("ada")
    line = site.connect(answering, by_header(session.token))
    await line.accepted()
    await settled(site, line)
    await line.ask("login bob")
    others.kill(session.session_id)
    assert await line.closed() == SESSION_ENDED


async def test_an_app_that_only_sends_learns_of_the_end(site, others):
    session = others.create("ada")
    states = []

    async def view(websocket):
        await websocket.accept()
        try:
            while True:
                await websocket.send_text("tick")
        finally:
            states.append(websocket.application_state)

    line = await site.talk(session, view)
    await line.text()
    others.kill(session.session_id)
    assert await line.closed() == SESSION_ENDED
    await line.ended()
    assert states == [WebSocketState.DISCONNECTED]


async def test_an_app_without_starlette_that_only_sends_learns_of_the_end_and_its_changes_come_to_nothing(site, others):
    session = others.create("ada")

    async def app(scope, receive, send):
        await send({"type": "websocket.accept"})
        while True:
            await send({"type": "websocket.send", "text": "tick"})

    line = site.connect_to(RedisessMiddleware(app, site.manager, https_only=False), by_cookie(session.token))
    await line.accepted()
    others.kill(session.session_id)
    assert await line.closed() == SESSION_ENDED
    await line.task


async def test_what_a_client_says_after_the_end_does_not_reach_the_app(site, others):
    session = others.create("ada")
    reached, on = [], asyncio.Event()

    async def view(websocket):
        await websocket.accept()
        await on.wait()
        reached.extend([text async for text in websocket.iter_text()])

    line = await site.talk(session, view)
    line.say("before the end, but not taken yet")
    others.kill(session.session_id)
    assert await line.closed() == SESSION_ENDED
    line.say("after it")
    on.set()
    await line.ended()
    assert not reached


async def test_a_reader_who_is_slow_gets_the_end_after_what_was_sent_before(site, others):
    session = others.create("ada")

    async def view(websocket):
        await websocket.accept()
        while True:
            await websocket.send_text("tick")

    line = await site.talk(session, view)
    line.writable.clear()
    others.kill(session.session_id)
    await until(lambda: len(line.writable._waiters) == 2)  # the app's word, and the close
    line.writable.set()
    assert await line.closed() == SESSION_ENDED
    await line.ended()


async def test_a_client_that_leaves_as_its_session_ends_leaves_nothing_behind(site, others):
    lines = []
    for _ in range(10):
        session = others.create("ada")
        line = await site.talk(session)
        others.kill(session.session_id)
        line.leave()
        lines.append(line)
    for line in lines:
        await line.ended()


async def test_a_server_that_fails_to_close_harms_nobody(site, others):
    session = others.create("ada")

    class Failing(Line):
        async def _take(self, message):
            if message["type"] == "websocket.close":
                self.leave()
                raise RuntimeError("Unexpected ASGI message 'websocket.close'")
            await super()._take(message)

    line = Failing(site.app(answering), by_cookie(session.token))
    site.lines.append(line)
    await line.accepted()
    others.kill(session.session_id)
    await line.ended()


async def test_a_socket_that_is_cancelled_leaves_nothing_behind_and_carries_out_a_sign_out_only(site, others):
    session, other = others.create("ada"), others.create("ada")
    for these, verb in ((session, "set a 1"), (other, "logout")):
        line = await site.talk(these)
        await line.ask(verb)
        line.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await line.task
    assert others.get(session.session_id).data == {}
    assert not others.exists(other.session_id)


async def test_a_cancellation_that_comes_while_the_end_is_stored_does_not_undo_it(site, others):
    """Starlette's test client cancels the app as soon as the client has left."""
    session = others.create("ada")
    to_app = asyncio.Queue()
    for message in (
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "1"},
        {"type": "websocket.disconnect", "code": 1000},
    ):
        to_app.put_nowait(message)

    async def view(websocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            websocket.session["a"] = text
        group.cancel_scope.cancel()

    async def send(message):
        pass

    async with create_task_group() as group:
        group.start_soon(site.app(view), Line(never, by_cookie(session.token)).scope, to_app.get, send)
    assert others.get(session.session_id).data == {"a": "1"}


async def never(scope, receive, send):
    pass


# Rotations


async def test_a_rotation_by_the_same_user_is_followed(site, others):
    session = others.create("ada", data={"a": 1})
    line = await site.talk(session)
    await settled(site, line)
    rotated = others.rotate(session)
    await moved(line, rotated)
    assert await line.ask("token") == "None"
    await line.ask("set b 2")
    await line.ask("save")
    assert others.get(rotated.session_id).data == {"a": 1, "b": "2"}
    others.kill(rotated.session_id)
    assert await line.closed() == SESSION_ENDED


async def moved(line, session):
    """Wait until the socket has heard that its session goes by this id."""
    with fail_after(SECONDS):
        while await line.ask("id") != session.session_id:
            pass


async def test_what_waits_as_a_session_is_rotated_lands_in_the_successor(site, others):
    session = others.create("ada")
    line = await site.talk(session)
    await settled(site, line)
    await line.ask("set a 1")
    rotated = others.rotate(session)
    await moved(line, rotated)
    line.say("close 3000")
    assert await line.closed() == 3000
    assert others.get(rotated.session_id).data == {"a": "1"}


async def test_two_quick_rotations_are_followed(site, others):
    session = others.create("ada")
    lines = [await site.talk(session) for _ in range(2)]
    for line in lines:
        await settled(site, line)
    rotated = others.rotate(others.rotate(session), user_id="ada")
    for line in lines:
        await moved(line, rotated)
    others.kill(rotated.session_id)
    assert [await line.closed() for line in lines] == [SESSION_ENDED] * 2


async def test_a_successor_that_is_killed_at_once_closes_the_socket(site, others):
    session = others.create("ada")
    line = await site.talk(session)
    await settled(site, line)
    others.kill(others.rotate(others.rotate(session)).session_id)
    assert await line.closed() == SESSION_ENDED


async def test_an_anonymous_session_is_followed_through_a_rotation(site, others):
    session = others.create(None, data={"cart": 1})
    line = await site.talk(session)
    await settled(site, line)
    rotated = others.rotate(session)
    await moved(line, rotated)
    others.kill(rotated.session_id)
    assert await line.closed() == SESSION_ENDED


async def test_a_sign_out_that_waits_ends_the_session_under_the_id_that_it_has_by_then(site, others):
    session = others.create("ada")
    line = await site.talk(session)
    await settled(site, line)
    follower = follower_of(site)
    rotated = others.rotate(session)
    await line.ask("logout")
    await until(lambda: follower._followed == rotated.session_id)
    line.say("close 3000")
    assert await line.closed() == 3000
    assert others.count() == 0


async def test_a_sign_in_that_changes_the_shard_is_followed_where_the_user_stays(make_site, redis_client, namespace):
    site = make_site(manager_options={"shards": 8})
    with SessionManager(redis_client, namespace=namespace, shards=8) as others:
        for user in ("ada", "bob", "cyd"):
            session = others.create(user)
            line = await site.talk(session)
            await settled(site, line)
            rotated = others.rotate(session, user_id=user)
            await moved(line, rotated)
            others.kill(rotated.session_id)
            assert await line.closed() == SESSION_ENDED
        for user in ("dot", "eve", "fay"):  # to that user's shard, most likely another
            session = others.create(None)
            line = await site.talk(session)
            await settled(site, line)
            others.rotate(session, user_id=user)
            assert await line.closed() == SESSION_ENDED


async def test_a_socket_that_signs_in_to_another_shard_follows_its_new_session(make_site):
    site = make_site(manager_options={"shards": 8})
    for user in ("ada", "bob", "cyd", "dot"):
        line = site.connect(answering, by_header((await site.manager.create(None, data={"cart": 1})).token))
        await line.accepted()
        await settled(site, line)
        await line.ask(f"login {user}")
        await line.ask("save")
        session = await site.manager.authenticate(await line.ask("token"))
        assert (session.user_id, dict(session.data)) == (user, {"cart": 1})
        await site.manager.kill(session.session_id)
        assert await line.closed() == SESSION_ENDED


# Races between what the socket stores and what it hears


def held_replies(site):
    """Give what holds back the next reply of Redis to the manager, once it is there: an event, and one to let go."""
    store, there, go = site.manager.store, asyncio.Event(), asyncio.Event()
    call = store._call

    async def hold(operation):
        store._call = call
        reply = await call(operation)
        there.set()
        await go.wait()
        return reply

    store._call = hold
    return there, go


async def test_a_rotation_that_is_heard_of_before_the_answer_to_a_save_does_not_end_the_socket(site, others):
    session = others.create("ada")
    line = await site.talk(session)
    await settled(site, line)
    follower = follower_of(site)
    await looked(follower)
    await line.ask("set a 1")
    there, go = held_replies(site)
    line.say("save")
    await there.wait()
    rotated = others.rotate(session)
    await until(lambda: follower._followed == rotated.session_id)
    go.set()
    assert await line.text() == "done"
    await looked(follower)
    assert await line.ask("id") == rotated.session_id
    assert others.get(rotated.session_id).data == {"a": "1"}


async def test_a_rotation_that_is_heard_of_before_the_answer_to_the_load_is_followed(site, others):
    await settled(site, await site.talk(others.create("bob")))
    session = others.create("ada")
    there, go = held_replies(site)
    line = site.connect(answering, by_cookie(session.token))
    await there.wait()
    rotated = others.rotate(session)
    await until(lambda: any(event.successor == rotated.session_id for it in followers(site) for event in it._early))
    go.set()
    await line.accepted()
    assert await line.ask("id") == rotated.session_id
    others.kill(rotated.session_id)
    assert await line.closed() == SESSION_ENDED


@pytest.mark.parametrize("do", ["login ada", "login bob"])
async def test_the_word_of_what_the_socket_itself_does_comes_before_the_answer_and_ends_nothing(site, others, do):
    other = await site.talk(others.create("cyd"))
    await settled(site, other)
    session = others.create("ada")
    line = site.connect(answering, by_header(session.token))
    await line.accepted()
    await line.ask(do)
    there, go = held_replies(site)
    line.say("save")
    await there.wait()
    others.create("eve")  # whose word comes last
    mine = next(it for it in followers(site) if it._followed == session.session_id)
    await looked(mine)
    go.set()
    assert await line.text() == "done"
    await looked(mine)
    assert await line.ask("user") == do.split()[1]
    assert not line.task.done()


async def test_the_word_of_a_sign_out_comes_before_its_answer_and_does_not_overtake_the_apps_own_close(site, others):
    session = others.create("ada")
    line, other = await site.talk(session), await site.talk(session)
    await settled(site, line)
    await line.ask("logout")
    there, go = held_replies(site)
    line.say("close 3000")
    await there.wait()
    assert await other.closed() == SESSION_ENDED
    go.set()
    assert await line.closed() == 3000


async def test_the_word_of_a_session_that_the_socket_began_does_not_end_it(site, others):
    await settled(site, await site.talk(others.create("bob")))

    async def view(websocket):
        websocket.session["cart"] = 1
        await answering(websocket)

    line = site.connect(view)
    await line.accepted()
    session_id = await line.ask("id")
    mine = next(it for it in followers(site) if it._followed == session_id)
    mine._watch._pass_on(SessionEvent(EventKind.CREATED, session_id, None, 0.0))  # it may come after the answer
    await looked(mine)
    assert await line.ask("id") == session_id
    assert not mine._ended


async def test_a_save_in_a_session_that_was_killed_says_so(site, others, monkeypatch):
    monkeypatch.setattr("redisess_starlette.watch.Watch._pass_on", lambda *_: None)
    monkeypatch.setattr("redisess_starlette.watch.Watch._tell_all", lambda *_: None)
    session = others.create("ada")
    said = []

    async def view(websocket):
        await websocket.accept()
        websocket.session["a"] = await websocket.receive_text()
        try:
            await websocket.session.save()
        except SessionGone as gone:
            said.append(gone.session_id)
            raise

    line = await site.talk(session, view)
    others.kill(session.session_id)
    line.say("late")
    assert await line.closed() == SESSION_ENDED
    assert said == [session.session_id]
    assert not others.exists(session.session_id)


@pytest.mark.parametrize("do", ["touch", "save", "sessions"])
async def test_a_socket_that_asks_redis_before_it_has_heard_of_a_rotation_goes_on(site, others, do):
    session = others.create("ada")

    async def view(websocket):
        await websocket.accept()
        await websocket.receive_text()
        others.rotate(others.get(session.session_id))  # as another tab does
        websocket.session["a"] = 1
        await getattr(websocket.session, do)()
        await websocket.send_text("still here")
        await websocket.receive_text()

    line = site.connect(view, by_cookie(session.token))
    await line.accepted()
    await until(lambda: listeners(site))
    assert await line.ask("go") == "still here"
    (rotated,) = others.list_user_sessions("ada")
    assert rotated.session_id != session.session_id
    assert others.get(rotated.session_id).data == {"a": 1}
    others.kill_user("ada")
    assert await line.closed() == SESSION_ENDED


async def test_a_denial_is_whole_though_the_session_has_ended(site, others):
    session = others.create("ada")

    async def view(websocket):
        others.kill(session.session_id)
        await until(lambda: follower_of(site)._ended)
        await websocket.send_denial_response(PlainTextResponse("no", 403))

    line = site.connect(view, by_cookie(session.token))
    message = await line.heard()
    assert (message["type"], message["status"]) == ("websocket.http.response.start", 403)
    message = await line.heard()
    assert (message["type"], message["body"]) == ("websocket.http.response.body", b"no")
    await line.ended()


async def test_an_end_is_noticed_after_a_look_that_failed_as_nobody_foresaw(site, others, monkeypatch, caplog):
    monkeypatch.setattr(follower_module, "_AGAIN", 0.01)
    session = others.create("ada")
    get, failed = site.manager.get, []

    async def failing(*args, **kwargs):
        if not failed:
            failed.append(args)
            raise AttributeError("of some client's own")
        return await get(*args, **kwargs)

    monkeypatch.setattr(site.manager, "get", failing)
    line = await site.talk(session)
    await settled(site, line)
    await until(lambda: failed)
    assert await line.ask("user") == "ada"
    others.kill_all()
    assert await line.closed() == SESSION_ENDED
    assert "of some client's own" in caplog.text


@pytest.mark.parametrize("group", ["asyncio", "nested"])
async def test_a_client_that_leaves_an_app_of_several_tasks_loses_nothing(site, others, group):
    session = others.create("ada")

    async def read(websocket):
        async for text in websocket.iter_text():
            websocket.session["said"] = text
            await websocket.send_text(text)
        raise WebSocketDisconnect(1001)

    async def view(websocket):
        await websocket.accept()
        async with asyncio.TaskGroup() as tasks:
            if group == "nested":
                async with asyncio.TaskGroup() as inner:
                    inner.create_task(read(websocket))
            else:
                tasks.create_task(read(websocket))

    line = site.connect(view, by_cookie(session.token))
    await line.accepted()
    await line.ask("hello")
    line.leave()
    with suppress(ExceptionGroup):  # of nothing but the leaving: since Python 3.12 `ended` passes over that itself
        await line.ended()
    assert others.get(session.session_id).data == {"said": "hello"}


async def test_what_else_an_app_of_several_tasks_raises_drops_its_changes(site, others):
    session = others.create("ada")

    async def fail(websocket):
        websocket.session["a"] = 1
        raise ValueError("the app's own")

    async def leave():
        raise WebSocketDisconnect(1001)

    async def view(websocket):
        await websocket.accept()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail(websocket))
            tasks.create_task(leave())

    line = site.connect(view, by_cookie(session.token))
    await line.accepted()
    with pytest.raises(ExceptionGroup):
        await line.ended()
    assert others.get(session.session_id).data == {}


async def note(session):
    session["last"] = 1


async def leave(session):
    session.logout()


@pytest.mark.parametrize("last", [note, leave])
@pytest.mark.parametrize("way", ["returns", "closes", "denies"])
async def test_the_last_that_a_socket_asks_for_is_done_though_its_session_was_rotated_a_moment_ago(
    site, others, last, way
):
    session = others.create("ada")
    followed = []

    async def view(websocket):
        if way != "denies":
            await websocket.accept()
        await until(lambda: listeners(site))
        followed.append(others.rotate(others.get(session.session_id)).session_id)  # as another tab does
        await last(websocket.session)
        match way:
            case "closes":
                await websocket.close(4000)
            case "denies":
                await websocket.send_denial_response(PlainTextResponse("no", 403))

    line = site.connect(view, by_cookie(session.token))
    await line.ended()
    found = others.get(followed[0])
    assert found is None if last is leave else found.data == {"last": 1}


async def test_the_last_that_a_socket_asks_for_of_a_session_that_ended_is_dropped(site, others, caplog):
    session = others.create("ada")

    async def view(websocket):
        await websocket.accept()
        others.kill(session.session_id)
        websocket.session["last"] = 1

    line = site.connect(view, by_cookie(session.token))
    await line.accepted()
    await line.ended()
    assert others.count() == 0
    assert f"session {session.session_id} ended" in caplog.text


async def test_a_sign_in_during_the_accept_is_refused_for_its_cookie_would_come_too_late(site, others, monkeypatch):
    session = others.create(None, data={"a": 1})
    execute, storing, refused = site.manager.store.execute, asyncio.Event(), asyncio.Event()

    async def waiting(operation):
        if operation.script.sha == script("store").sha:
            storing.set()
            await refused.wait()
        return await execute(operation)

    monkeypatch.setattr(site.manager.store, "execute", waiting)

    async def sign_in(websocket):
        await storing.wait()
        with pytest.raises(RuntimeError, match="no cookie can be sent"):
            websocket.session.login("ada")
        refused.set()

    async def view(websocket):
        websocket.session["b"] = 2
        signing_in = asyncio.create_task(sign_in(websocket))
        await websocket.accept()
        await signing_in

    line = site.connect(view, by_cookie(session.token))
    await line.accepted()
    await line.ended()
    assert others.get(session.session_id).data == {"a": 1, "b": 2}


@pytest.mark.parametrize("before", [None, "ada"])
async def test_a_session_that_was_stored_before_an_accept_that_never_came_is_ended(site, others, before):
    async def view(websocket):
        websocket.session.login("ada")
        await websocket.session.save()
        assert others.count_for_user("ada") == 1
        await websocket.close()

    line = site.connect(view, by_cookie(others.create("ada").token) if before else None)
    assert await line.closed() == 1000
    await line.ended()
    assert others.count() == 0


@pytest.mark.parametrize("native", [False, True])
async def test_a_sign_out_of_a_socket_that_failed_is_carried_out_though_it_is_cancelled(
    site, others, monkeypatch, native
):
    session = others.create("ada")
    execute, storing, on = site.manager.store.execute, asyncio.Event(), asyncio.Event()

    async def later(operation):
        storing.set()
        await on.wait()
        return await execute(operation)

    async def view(websocket):
        await websocket.accept()
        websocket.session.logout()
        monkeypatch.setattr(site.manager.store, "execute", later)
        raise ZeroDivisionError

    app, scope = site.app(view), CancelScope()

    async def serve(*connection):
        with scope:
            await app(*connection)

    line = site.connect_to(serve, by_cookie(session.token))
    await line.accepted()
    with fail_after(SECONDS):
        await storing.wait()
        (line.task if native else scope).cancel()
        on.set()
        with suppress(ZeroDivisionError, asyncio.CancelledError):
            await line.task
    assert not others.exists(session.session_id)


async def test_a_visitor_who_signs_out_everywhere_is_signed_out_at_once(site, others):
    session = others.create(None, data={"a": 1})

    async def view(websocket):
        await websocket.accept()
        await websocket.session.logout_everywhere()
        assert not others.exists(session.session_id)

    line = site.connect(view, by_cookie(session.token))
    await line.accepted()
    await line.ended()


@pytest.mark.parametrize("rolling", [False, True])
@pytest.mark.parametrize("way", ["closed", "denied"])
@pytest.mark.parametrize("rotated", [False, True])
async def test_a_socket_that_is_not_accepted_ends_nobodys_session(make_site, others, rolling, way, rotated):
    site = make_site(rolling=rolling)
    session = others.create("ada")

    async def view(websocket):
        await until(lambda: listeners(site))
        if rotated:
            others.rotate(others.get(session.session_id))
            await until(lambda: follower_of(site)._followed != session.session_id)
        websocket.session["a"] = 1
        if way == "closed":
            await websocket.close()
        else:
            await websocket.send_denial_response(PlainTextResponse("no", 403))

    line = site.connect(view, by_cookie(session.token))
    await line.ended()
    (left,) = others.list_user_sessions("ada")
    assert others.get(left.session_id).data == {"a": 1}
    assert (left.session_id == session.session_id) != rotated


async def test_a_close_never_fails_because_the_session_is_gone(site, others, monkeypatch):
    session = others.create("ada")

    async def goes_on(*_):
        return True

    monkeypatch.setattr(follower_module.Follower, "goes_on", goes_on)  # to a session that has ended as well

    async def view(websocket):
        await websocket.accept()
        others.kill(session.session_id)
        websocket.session["last"] = 1
        await websocket.close(4000)

    line = site.connect(view, by_cookie(session.token))
    await line.accepted()
    assert await line.closed() in (4000, SESSION_ENDED)
    await line.ended()
    assert others.count() == 0


async def test_a_socket_whose_client_does_not_read_can_be_cancelled_after_its_session_ended(site, others):
    session = others.create("ada")
    line = await site.talk(session)
    await settled(site, line)
    line.writable.clear()
    others.kill(session.session_id)
    await until(lambda: follower_of(site)._ended)
    line.leave()
    for _ in range(10):
        await asyncio.sleep(0)
    line.task.cancel()
    with fail_after(SECONDS):
        await asyncio.wait([line.task])
    assert line.task.cancelled()
