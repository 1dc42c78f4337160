"""One subscription a process, however many sockets; it outlives faults of Redis, and ends with the last socket."""

from __future__ import annotations

import asyncio
import sys

import pytest
from anyio import fail_after
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from sockets_kit import SECONDS, Line, answering, by_cookie, follower_of, followers, listeners, settled, until
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from redisess_core import AsyncSessionManager, SessionManager, StoreUnavailable, StoreUnsupported
from redisess_starlette import SESSION_ENDED, RedisessMiddleware
from redisess_starlette import follower as follower_module
from redisess_starlette import watch as watch_module
from redisess_starlette.watch import Watch

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Try again at once."""
    monkeypatch.setattr(watch_module, "_AGAIN", 0.01)


@pytest.fixture
def own(start_server):
    """A server of the test's own."""
    return start_server()


def subscribers(client):
    """Give how many connections listen."""
    return len([it for it in client.client_list() if int(it["sub"])])


async def test_many_sockets_use_one_subscription_which_ends_after_the_last_of_them(site, redis_client):
    sessions = [await site.manager.create(f"user{number % 7}") for number in range(10)]
    lines = [site.connect(answering, by_cookie(sessions[number % 10].token)) for number in range(50)]
    for line in lines:
        await line.accepted()
    await settled(site, lines[-1])
    assert subscribers(redis_client) == 1
    for line in lines[:-1]:
        line.leave()
        await line.ended()
    await lines[-1].ask("id")
    assert subscribers(redis_client) == 1
    lines[-1].leave()
    await lines[-1].ended()
    await until(lambda: subscribers(redis_client) == 0)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("redisess")]


async def test_a_subscription_begins_anew_for_the_next_socket(site, redis_client):
    session = await site.manager.create("ada")
    for _ in range(3):
        line = await site.talk(session)
        await settled(site, line)
        line.leave()
        await line.ended()
        await until(lambda: subscribers(redis_client) == 0)
    line = await site.talk(session)
    await site.manager.kill_all()
    assert await line.closed() == SESSION_ENDED


async def test_an_anonymous_socket_needs_no_subscription(site, redis_client):
    line = site.connect(answering)
    await line.accepted()
    await line.ask("id")
    assert subscribers(redis_client) == 0


async def test_a_subscription_that_is_not_needed_any_more_ends_wherever_it_is(site, redis_client):
    """Before Python 3.12, `asyncio.wait_for` can swallow a cancellation."""
    watch = Watch(site.manager)
    for steps in range(40):
        watch.add("s", print)
        for _ in range(steps):
            await asyncio.sleep(0)
        watch.remove("s", print)
        with fail_after(SECONDS):
            await watch.stopped()
        await until(lambda: subscribers(redis_client) == 0)


async def test_what_follows_a_session_ends_wherever_it_is(site):
    session = await site.manager.create("ada")
    for steps in range(0, 40, 3):
        line = await site.talk(session)
        for follower in followers(site):
            follower._look_now.set()
        for _ in range(steps):
            await asyncio.sleep(0)
        line.leave()
        await line.ended()


@pytest.mark.parametrize("shards", [1, 8])
async def test_who_was_ended_while_the_subscription_was_broken_is_closed_and_others_stay(
    make_site, own, namespace, shards
):
    site = make_site(own.url, manager_options={"shards": shards})
    others = SessionManager(own.client(), namespace=namespace, shards=shards)
    sessions = [others.create(f"user{number}") for number in range(6)]
    lines = [await site.talk(session) for session in sessions]
    await settled(site, lines[0])
    own.client().execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    others.kill(sessions[0].session_id)  # it may be heard of by a look only
    assert await lines[0].closed() == SESSION_ENDED
    await settled(site, lines[1])
    for session in sessions[1:3]:
        others.kill(session.session_id)
    for line in lines[1:3]:
        assert await line.closed() == SESSION_ENDED
    for number, line in enumerate(lines[3:], 3):
        assert await line.ask("user") == f"user{number}"


async def test_after_a_restart_of_redis_sockets_of_sessions_that_are_gone_are_closed(make_site, own, namespace, caplog):
    site = make_site(own.url)
    lines = [await site.talk(await site.manager.create("ada")) for _ in range(2)]
    await settled(site, lines[0])
    own.stop()
    await until(lambda: "WebSockets stay open" in caplog.text)
    assert await lines[1].ask("user") == "ada"
    own.start()  # empty
    assert [await line.closed() for line in lines] == [SESSION_ENDED] * 2
    assert caplog.text.count("WebSockets stay open") == 1


async def test_after_a_restart_of_redis_that_keeps_its_data_sockets_stay_open(
    make_site, start_server, namespace, caplog
):
    own = start_server("--appendonly", "yes", "--appendfsync", "always")
    site = make_site(own.url)
    session, other = await site.manager.create("ada"), await site.manager.create("bob")
    line, others = await site.talk(session), await site.talk(other)
    await settled(site, line)
    own.stop()
    await until(lambda: "WebSockets stay open" in caplog.text)
    own.start()
    await until(lambda: listeners_or_none(site))
    assert await line.ask("user") == "ada"
    await site.manager.kill(other.session_id)
    assert await others.closed() == SESSION_ENDED
    assert await line.ask("user") == "ada"


async def listeners_or_none(site):
    try:
        return await listeners(site)
    except RedisConnectionError:
        return 0


async def test_a_subscription_that_is_half_open_is_noticed_and_what_it_missed_looked_up(
    make_site, own, namespace, monkeypatch, caplog
):
    monkeypatch.setattr(watch_module, "_QUIET", 0.05)
    site = make_site(f"{own.url}?socket_timeout=0.2&socket_connect_timeout=0.2")
    session = await site.manager.create("ada")
    line = await site.talk(session)
    await settled(site, line)
    own.pause()
    await until(lambda: "WebSockets stay open" in caplog.text)
    own.resume()
    await until(lambda: listeners(site))
    await site.manager.kill(session.session_id)
    assert await line.closed() == SESSION_ENDED


async def test_a_subscription_that_is_only_quiet_stays(site, monkeypatch, caplog, redis_client):
    monkeypatch.setattr(watch_module, "_QUIET", 0.5)  # within which a busy machine answers
    pinged = []
    ping = site.manager.store.ping

    async def count(subscription):
        pinged.append(subscription)
        await ping(subscription)

    monkeypatch.setattr(site.manager.store, "ping", count)
    line = await site.talk(await site.manager.create("ada"))
    await until(lambda: len(pinged) == 2)
    assert len({id(it) for it in pinged}) == 1
    assert not [record for record in caplog.records if record.name == "redisess"]
    assert await line.ask("user") == "ada"


async def test_what_is_no_event_of_ours_on_the_channel_harms_nobody(site, redis_client):
    session = await site.manager.create("ada")
    line = await site.talk(session)
    await settled(site, line)
    for payload in (b"", b"\xff\xfe", b"killed", b"killed\n" + session.session_id.encode() + b"\nnever\n\n\n"):
        redis_client.publish(site.manager.event_channels()[0], payload)
    assert await line.ask("user") == "ada"
    await site.manager.kill(session.session_id)
    assert await line.closed() == SESSION_ENDED


async def test_whatever_a_subscription_meets_it_is_tried_again(site, monkeypatch, caplog):
    subscribe, met = site.manager.store.subscribe, []

    async def fail(channels):
        if len(met) < 3:
            met.append(channels)
            raise ValueError("of somebody's else making")
        return await subscribe(channels)

    monkeypatch.setattr(site.manager.store, "subscribe", fail)
    session = await site.manager.create("ada")
    line = await site.talk(session)
    await settled(site, line)
    assert caplog.text.count("WebSockets stay open") == 1
    assert "Traceback" in caplog.text
    await site.manager.kill(session.session_id)
    assert await line.closed() == SESSION_ENDED


async def test_a_look_that_fails_is_repeated(site, monkeypatch):
    monkeypatch.setattr(follower_module, "_AGAIN", 0.01)
    get, failed = AsyncSessionManager.get, []

    async def fail(self, session_id, **options):
        if len(failed) < 3:
            failed.append(session_id)
            raise StoreUnavailable("away")
        return await get(self, session_id, **options)

    monkeypatch.setattr(Watch, "_pass_on", lambda *_: None)
    session = await site.manager.create("ada")
    monkeypatch.setattr(AsyncSessionManager, "get", fail)
    await site.manager.kill(session.session_id)
    session = await site.manager.create("ada")
    line = await site.talk(session)
    await until(lambda: len(failed) == 3)
    await site.manager.kill(session.session_id)
    follower_of(site)._watch._tell_all()
    assert await line.closed() == SESSION_ENDED


async def test_a_client_that_cannot_subscribe_opens_no_socket_that_would_stay_open(site, monkeypatch):
    session = await site.manager.create("ada")
    monkeypatch.delattr(Redis, "pubsub")
    line = site.connect(answering, by_cookie(session.token))
    with pytest.raises(StoreUnsupported, match="newer redis-py wanted"):
        await line.ended()


async def test_the_subscription_ends_with_the_lifespan_though_a_socket_is_open(redis_url, redis_client, namespace):
    state_ended = asyncio.Event()
    inner = Starlette(routes=[WebSocketRoute("/", answering)])
    app = RedisessMiddleware(inner, redis_url, namespace=namespace, https_only=False)
    said = []

    async def receive():
        if not said:
            return {"type": "lifespan.startup"}
        await state_ended.wait()
        return {"type": "lifespan.shutdown"}

    async def send(message):
        said.append(message["type"])

    living = asyncio.create_task(app({"type": "lifespan"}, receive, send))
    await until(lambda: said)
    with SessionManager(redis_url, namespace=namespace) as others:
        line = Line(app, by_cookie(others.create("ada").token))
        await line.accepted()
        await until(lambda: subscribers(redis_client) == 1)
        state_ended.set()
        await living
        await until(lambda: subscribers(redis_client) == 0)
        line.leave()
        await line.ended()


if sys.version_info >= (3, 12):

    async def test_a_loop_of_eager_tasks_hears_of_ends(site):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        session = await site.manager.create("ada")
        line = await site.talk(session)
        await settled(site, line)
        await site.manager.kill(session.session_id)
        assert await line.closed() == SESSION_ENDED
