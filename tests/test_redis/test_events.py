"""What becomes of sessions, told to whoever listens: kinds and reasons, across managers and processes."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, asdict

import pytest
from hearing import SECONDS, heard

from redisess_core import EventKind, EventReason, SessionEvent, SessionLimitReached, StoreUnavailable
from support.clients import publish, subscribers


def told(event):
    """What an event says, but for its time."""
    return event.kind, event.session_id, event.user_id, event.reason, event.successor


CREATED, ROTATED, KILLED, EXPIRED = EventKind.CREATED, EventKind.ROTATED, EventKind.KILLED, EventKind.EXPIRED


def test_kinds_and_reasons_are_enums_of_text():
    assert [str(kind) for kind in EventKind] == ["created", "rotated", "killed", "expired"]
    reasons = ["logout", "killed", "user_killed", "all_killed", "limit", "rotated", "idle", "lifetime"]
    assert [str(reason) for reason in EventReason] == reasons
    assert EventKind("killed") is EventKind.KILLED
    assert EventReason.USER_KILLED == "user_killed"


def test_an_event_is_a_value():
    event = SessionEvent(EventKind.CREATED, "saa", "ada", 1.0)
    assert (event.reason, event.successor) == (None, None)
    assert event == SessionEvent(EventKind.CREATED, "saa", "ada", 1.0)
    assert len({event, SessionEvent(EventKind.CREATED, "saa", "ada", 1.0)}) == 1
    with pytest.raises(FrozenInstanceError):
        event.kind = EventKind.KILLED


# ---- kinds and reasons


def test_a_created_session_is_told(manager, clock):
    with heard(manager) as events:
        session = manager.create("ada")
        anonymous = manager.create(None)
    assert [told(event) for event in events] == [
        (CREATED, session.session_id, "ada", None, None),
        (CREATED, anonymous.session_id, None, None, None),
    ]
    assert [event.at for event in events] == [clock()] * 2
    assert type(events[0].at) is float


@pytest.mark.parametrize(
    ("sign_in", "user_id"), [({}, "ada"), ({"user_id": "ada"}, "ada"), ({"user_id": "bob"}, "bob")]
)
def test_a_rotated_session_is_told_with_its_successor_and_once(manager, clock, sign_in, user_id):
    old = manager.create("ada")
    clock.advance(5)
    with heard(manager) as events:
        new = manager.rotate(old, **sign_in)
    assert [told(event) for event in events] == [
        (ROTATED, old.session_id, user_id, EventReason.ROTATED, new.session_id)
    ]
    assert events[0].at == clock()


def test_the_sign_in_of_an_anonymous_session_is_told_with_its_user(manager):
    old = manager.create(None)
    with heard(manager) as events:
        new = manager.rotate(old, user_id="ada")
    assert [told(event) for event in events] == [(ROTATED, old.session_id, "ada", EventReason.ROTATED, new.session_id)]


pytestmark = pytest.mark.one_shard  # of several, events come in no order
KILLS = {
    "kill": (lambda manager, session: manager.kill(session.session_id), EventReason.KILLED),
    "kill by owner": (lambda manager, session: manager.kill(session.session_id, user_id="ada"), EventReason.KILLED),
    "session.kill": (lambda manager, session: session.kill(), EventReason.KILLED),
    "kill_user": (lambda manager, session: manager.kill_user("ada"), EventReason.USER_KILLED),
    "kill_all": (lambda manager, session: manager.kill_all(), EventReason.ALL_KILLED),
}


@pytest.mark.parametrize("how", KILLS)
def test_a_killed_session_is_told_with_the_reason(manager, clock, how):
    kill, reason = KILLS[how]
    session = manager.create("ada")
    clock.advance(5)
    with heard(manager) as events:
        kill(manager, session)
    assert [told(event) for event in events] == [(KILLED, session.session_id, "ada", reason, None)]
    assert events[0].at == clock()


def test_a_session_that_a_limit_ends_is_told(make_manager, clock):
    manager = make_manager(clock=clock, max_sessions_per_user=1)
    old = manager.create("ada")
    anonymous = manager.create(None)
    with heard(manager) as events:
        middle = manager.create("ada")
        new = manager.rotate(anonymous, user_id="ada")
    assert [told(event) for event in events] == [
        (KILLED, old.session_id, "ada", EventReason.LIMIT, None),
        (CREATED, middle.session_id, "ada", None, None),
        (KILLED, middle.session_id, "ada", EventReason.LIMIT, None),
        (ROTATED, anonymous.session_id, "ada", EventReason.ROTATED, new.session_id),
    ]


def test_an_expired_session_is_told_when_it_is_swept_with_what_ended_it(manager, clock):
    idle = manager.create("ada", ttl=10, max_lifetime=1000)
    old = manager.create("bob", ttl=1000, max_lifetime=20)
    anonymous = manager.create(None, ttl=30)
    clock.advance(100)
    with heard(manager) as events:
        assert manager.wipe() == 3
    assert [told(event) for event in events] == [
        (EXPIRED, idle.session_id, "ada", EventReason.IDLE, None),
        (EXPIRED, old.session_id, "bob", EventReason.LIFETIME, None),
        (EXPIRED, anonymous.session_id, None, EventReason.IDLE, None),
    ]
    assert [event.at for event in events] == [idle.expires, old.expires, anonymous.expires]


def test_a_session_whose_deadline_a_touch_reached_ended_by_its_lifetime(manager, clock):
    session = manager.create("ada", ttl=60, max_lifetime=100)
    clock.advance(50)
    manager.authenticate(session.token)
    clock.advance(50)
    with heard(manager) as events:
        manager.count()
    assert [told(event) for event in events] == [(EXPIRED, session.session_id, "ada", EventReason.LIFETIME, None)]


def test_a_session_whose_timeouts_end_together_ended_by_its_lifetime(manager, clock):
    session = manager.create("ada", ttl=60, max_lifetime=60)
    clock.advance(60)
    with heard(manager) as events:
        manager.count()
    assert [told(event) for event in events] == [(EXPIRED, session.session_id, "ada", EventReason.LIFETIME, None)]


def test_a_session_that_redis_expired_by_itself_is_told_too(manager, clock, redis_client, namespace):
    session = manager.create("ada")
    redis_client.delete(f"{{{namespace}:0}}:s:{session.session_id}")
    clock.advance(1800)
    with heard(manager) as events:
        manager.count()
    assert [told(event) for event in events] == [(EXPIRED, session.session_id, "ada", EventReason.IDLE, None)]


def test_every_session_of_many_that_end_is_told_once(manager, filler):
    sessions = [filler.create("ada").session_id for _ in range(120)]
    with heard(manager) as events:
        manager.kill_user("ada", keep=sessions[0])
    assert sorted(event.session_id for event in events) == sorted(sessions[1:])


def test_what_came_to_nothing_is_not_told(make_manager, clock):
    manager = make_manager(clock=clock, max_sessions_per_user=1, on_limit="refuse", max_data_bytes=10)
    session = manager.create("ada")
    with heard(manager) as events:
        with pytest.raises(SessionLimitReached):
            manager.create("ada")
        manager.authenticate(session.token)
        manager.authenticate("1aa" + "a" * 26)
        manager.kill("saa" + "0" * 25)
        manager.kill(session.session_id, user_id="bob")
        manager.kill_user("bob")
        session.set("key", 1)
        session.write()
        manager.wipe()
    assert events == []


# ---- who hears what


def test_events_are_heard_by_every_manager_of_the_namespace_and_no_other(make_manager, clock):
    one, two, other = make_manager(), make_manager(), make_manager(namespace="other")
    with heard(one) as by_one, heard(other) as by_other:
        session = two.create("ada")
        foreign = other.create("eve")
    assert [event.session_id for event in by_one] == [session.session_id]
    assert [event.session_id for event in by_other] == [foreign.session_id]


def test_two_listeners_hear_the_same(manager):
    with heard(manager) as one, heard(manager) as other:
        manager.kill(manager.create("ada").session_id)
    assert one == other
    assert [event.kind for event in one] == [CREATED, KILLED]


def test_events_are_heard_across_processes(live_manager, redis_url, namespace):
    story = (
        "from redisess_core import SessionManager\n"
        f"with SessionManager({redis_url!r}, namespace={namespace!r}, shards=1) as manager:\n"
        "    session = manager.create('ada')\n"
        "    print(session.session_id, manager.rotate(session, user_id='bob').session_id)\n"
        "    manager.kill_user('bob')\n"
    )
    with heard(live_manager) as events:
        ran = subprocess.run([sys.executable, "-c", story], capture_output=True, text=True, check=True, timeout=60)
    old, new = ran.stdout.split()
    assert [told(event) for event in events] == [
        (CREATED, old, "ada", None, None),
        (ROTATED, old, "bob", EventReason.ROTATED, new),
        (KILLED, new, "bob", EventReason.USER_KILLED, None),
    ]


@pytest.mark.parametrize("user_id", ["a\nb\n", "é{}:!", "\0", "x" * 256], ids=lambda user_id: repr(user_id)[:9])
def test_a_user_id_of_any_characters_is_told_as_it_is(manager, user_id):
    with heard(manager) as events:
        session = manager.create(user_id)
        manager.rotate(session)
        manager.kill_user(user_id)
    assert [event.user_id for event in events] == [user_id] * 3


def test_what_happened_before_is_not_told(manager):
    manager.create("before")
    with heard(manager) as events:
        session = manager.create("ada")
    assert [event.session_id for event in events] == [session.session_id]


def test_events_of_a_client_that_decodes_are_the_same(make_manager, clock):
    manager = make_manager(clock=clock, client_options={"decode_responses": True})
    with heard(manager) as events:
        session = manager.create("é")
    assert [told(event) for event in events] == [(CREATED, session.session_id, "é", None, None)]


def test_events_of_all_shards_come_together(make_manager, clock):
    manager = make_manager(clock=clock, shards=8)
    users = [f"user{number}" for number in range(20)]
    with manager.events() as listening:
        sessions = {manager.create(user_id).session_id for user_id in users}
        assert {next(listening).session_id for _ in users} == sessions


def test_a_listener_hears_nothing_of_a_token(manager):
    with heard(manager) as events:
        session = manager.create("ada", data={"a": 1}, ip="192.0.2.7")
        new = manager.rotate(session, user_id="bob")
        manager.kill(new.session_id)
    assert len(events) == 3
    for event in events:
        for token in (session.token, new.token):
            assert token not in repr(event)
            assert token[3:] not in repr(asdict(event))
        assert manager.authenticate(event.session_id) is None


# ---- the end


def test_leaving_the_block_ends_whoever_waits_in_another_thread(manager):
    found, waiting = [], threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with manager.events() as events:

            def listen():
                for event in events:
                    found.append(event)
                    waiting.set()

            listening = pool.submit(listen)
            manager.create("ada")
            assert waiting.wait(SECONDS)
            assert not listening.done()
        listening.result(SECONDS)
    assert [event.user_id for event in found] == ["ada"]


def test_closing_ends_whoever_waits_and_can_be_done_twice(manager):
    with ThreadPoolExecutor(1) as pool, manager.events() as events:
        listening = pool.submit(list, events)
        events.close()
        assert listening.result(SECONDS) == []
        events.close()
        with pytest.raises(StopIteration):
            next(events)


def test_after_its_end_nobody_is_subscribed(manager, redis_client, namespace):
    manager.count()
    channel = f"{{{namespace}:0}}:events"
    with manager.events():
        assert subscribers(redis_client, channel) == 1
    for _ in range(1000):  # the server hears of it a moment later
        if subscribers(redis_client, channel) == 0:
            break
    assert subscribers(redis_client, channel) == 0
    assert manager.create("ada").valid


def test_events_can_be_read_without_a_block_and_closed(manager, redis_client, namespace):
    manager.count()
    events = manager.events()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(next, events)
        while subscribers(redis_client, f"{{{namespace}:0}}:events") == 0:
            assert not first.done()
        session = manager.create("ada")
        assert first.result(SECONDS).session_id == session.session_id
    events.close()
    assert list(events) == []


def test_an_error_in_the_block_ends_it_as_well(manager, redis_client):
    with pytest.raises(ZeroDivisionError), manager.events() as events:
        raise ZeroDivisionError
    with pytest.raises(StopIteration):
        next(events)


def test_closing_the_manager_ends_whoever_waits(make_manager, redis_client, namespace):
    manager = make_manager()
    manager.count()
    channel = f"{{{namespace}:0}}:events"
    with ThreadPoolExecutor(1) as pool, manager.events() as events:
        listening = pool.submit(list, events)
        assert subscribers(redis_client, channel) == 1
        manager.close()
        assert listening.result(SECONDS) == []
        assert list(events) == []
        for _ in range(1000):  # the server hears of it a moment later
            if subscribers(redis_client, channel) == 0:
                break
        assert subscribers(redis_client, channel) == 0


CLOSING = """
import os, signal, sys, threading
from redisess_core import SessionManager
url, namespace, how = sys.argv[1:]
manager = SessionManager(url, namespace=namespace)
events = manager.events()
if how == "in a signal handler":
    def stop(*_):
        manager.close()
        print("closed", flush=True)
    signal.signal(signal.SIGUSR1, stop)
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    assert list(events) == []
else:
    reading = threading.Thread(target=list, args=(events,))
    reading.start()
    child = os.fork()
    if child == 0:
        manager.close()
        print("closed", flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    manager.close()
    reading.join()
"""


@pytest.mark.parametrize("colour", ["blocking"])
@pytest.mark.parametrize("how", ["in a signal handler", "in a forked process"])
def test_a_manager_can_be_closed_wherever_somebody_listens(colour, redis_url, namespace, how):
    quiet = "ignore:This process:DeprecationWarning"  # of Python 3.12, about a fork where threads run: so it does
    command = [sys.executable, "-W", quiet, "-c", CLOSING, redis_url, namespace, how]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "closed\n", "")


@pytest.mark.parametrize("client_options", [None, {"decode_responses": True}], ids=["raw", "decoding"])
def test_what_others_publish_on_the_channel_is_passed_over(make_manager, redis_client, namespace, client_options):
    manager = make_manager(client_options=client_options)
    with heard(manager) as events:
        for message in ("hello", b"\xff", "\n" * 5, "created\nsaa\nnow\n\n\nada"):
            assert publish(redis_client, f"{{{namespace}:0}}:events", message) == 1
        session = manager.create("ada")
    assert [event.session_id for event in events] == [session.session_id]


def test_a_user_id_is_told_as_it_is_whatever_the_client_decodes_by(make_manager):
    manager = make_manager(client_options={"decode_responses": True, "encoding": "latin-1"})
    with heard(manager) as events:
        manager.create("zo\xeb")
    assert [event.user_id for event in events] == ["zo\xeb"]


def test_a_manager_can_be_used_while_it_listens(manager):
    with manager.events() as events:
        session = manager.create("ada")
        assert next(events).session_id == session.session_id
        assert manager.authenticate(session.token).valid
        assert manager.kill(session.session_id)
        assert next(events).kind is KILLED


def test_a_listener_hears_that_redis_is_away(make_manager, start_server):
    server = start_server()
    manager = make_manager(url=server.url)
    with manager.events() as events:
        manager.create("ada")
        assert next(events).kind is CREATED
        server.stop()
        with pytest.raises(StoreUnavailable):
            next(events)
