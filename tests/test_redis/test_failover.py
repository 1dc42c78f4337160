"""A primary that hands over, dies or stands still, in a cluster and under sentinels: nobody is logged out or hangs."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from every_operation import OPERATIONS, new_session

from redisess_core import StoreUnavailable, failover
from support.both import open_manager
from support.demo import COMMAND
from support.laboratory import PATIENCE, Cluster, Pair, until

pytestmark = pytest.mark.cluster
LABORATORIES = {"cluster": Cluster, "sentinels": Pair}
USERS = [f"user{number}" for number in range(24)]


@pytest.fixture(scope="module", params=LABORATORIES)
def laboratory(request):
    """Processes that all tests of this file break in turn; each finds them whole."""
    with LABORATORIES[request.param]() as laboratory:
        yield laboratory


@pytest.fixture
def make(laboratory, colour, namespace):
    """Make managers of the laboratory by its URL."""
    laboratory.start_all()
    laboratory.until_whole()
    return lambda: open_manager(colour, laboratory.url, namespace=namespace, additional_fields=("role",))


@pytest.fixture
def manager(make):
    with make() as manager:
        yield manager


def asked(manager, token):
    """Authenticate; None only if the store is away."""
    try:
        found = manager.authenticate(token)
    except StoreUnavailable:
        return None
    assert found is not None, "somebody was logged out"
    return found


def by_hand(laboratory):
    """Hand over every primary's place, one after the other."""
    if isinstance(laboratory, Pair):
        laboratory.fail_over()
        return
    for primary in laboratory.primaries():
        laboratory.fail_over(primary)


def kill_a_primary(laboratory):
    """Kill one; another takes its place. Gives the dead one."""
    victim = laboratory.primary() if isinstance(laboratory, Pair) else laboratory.primaries()[0]
    laboratory.kill_primary(*([] if isinstance(laboratory, Pair) else [victim]))
    return victim


def test_a_failover_by_hand_goes_unnoticed_whatever_is_asked(laboratory, manager):
    handing_over = threading.Thread(target=by_hand, args=(laboratory,))
    handing_over.start()
    try:
        while handing_over.is_alive():
            for operation in OPERATIONS.values():
                operation(manager, new_session(manager))
    finally:
        handing_over.join()
    for operation in OPERATIONS.values():
        operation(manager, new_session(manager))


def test_a_dead_primary_logs_nobody_out_and_its_replica_is_found(laboratory, manager):
    sessions = [manager.create(user, data={"name": user}) for user in USERS]
    laboratory.until_whole()  # the replicas have them
    kill_a_primary(laboratory)
    for session in sessions:
        found = until(lambda: asked(manager, session.token), "the session is found again")  # noqa: B023  called at once
        assert dict(found.data) == {"name": session.user_id}
    assert manager.count() == manager.count_users() == len(USERS)
    assert sorted(manager.get_all_users()) == sorted(USERS)
    laboratory.start_all()
    assert manager.kill_all() == len(USERS)


def test_a_primary_that_stands_still_keeps_nobody_waiting_for_good(laboratory, manager):
    sessions = [manager.create(user) for user in USERS]
    laboratory.until_whole()
    victim = laboratory.primary() if isinstance(laboratory, Pair) else laboratory.primaries()[0]
    victim.pause()
    try:
        with ThreadPoolExecutor(len(USERS)) as pool:
            answers = [pool.submit(asked, manager, session.token) for session in sessions]
            for answer in answers:
                answer.result(PATIENCE)
        for session in sessions:
            until(lambda: asked(manager, session.token), "another took over")  # noqa: B023  called at once
    finally:
        victim.resume()
    laboratory.until_whole()
    assert manager.count() == len(USERS)
    assert manager.kill_all() == len(USERS)


def test_a_listener_goes_on_to_hear_after_its_node_has_gone(laboratory, manager, make):
    with manager.events() as events, make() as other:
        first = other.create("ada")
        assert next(events).session_id == first.session_id
        kill_a_primary(laboratory)
        heard, stop = [], threading.Event()

        def listen():
            while not stop.is_set():
                try:
                    heard.append(next(events))
                except StoreUnavailable:
                    time.sleep(0.05)
                except StopIteration:
                    return

        def told_of_a_new_one():
            created = other.create("bob")
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                if any(event.session_id == created.session_id for event in [*heard]):
                    return True
                time.sleep(0.01)
            return False

        listening = threading.Thread(target=listen)
        listening.start()
        try:
            until(lambda: unless_away(told_of_a_new_one), "a new session is heard of")
        finally:
            stop.set()
            events.close()
            listening.join(PATIENCE)
        laboratory.start_all()


def unless_away(ask):
    try:
        return ask()
    except StoreUnavailable:
        return None


@pytest.mark.parametrize("colour", ["blocking"])
def test_a_fork_has_a_client_of_its_own(manager):
    session = manager.create("ada")
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            found = manager.authenticate(session.token)
            os.write(writing, found.user_id.encode() + str(manager.count()).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        assert answer.read() == b"ada1"
    os.waitpid(child, 0)
    assert manager.authenticate(session.token).user_id == "ada"
    assert manager.kill_all() == 1


@pytest.mark.parametrize("colour", ["blocking"])
def test_many_threads_share_one_manager_through_a_failover(laboratory, manager):
    sessions = [manager.create(user, data={"n": 0}) for user in USERS]
    stop, done = threading.Event(), [0] * 4

    def use(number):
        while not stop.is_set():
            for session in sessions[number::4]:
                if asked(manager, session.token):
                    done[number] += 1

    with ThreadPoolExecutor(4) as pool:
        using = [pool.submit(use, number) for number in range(4)]
        try:
            before = sum(done)
            until(lambda: sum(done) > before + 50, "they are at work")
            by_hand(laboratory)
            before = sum(done)
            until(lambda: sum(done) > before + 200, "they go on")
        finally:
            stop.set()
        for each in using:
            each.result()
    assert manager.kill_all() == len(USERS)


@pytest.fixture
def asked_each_time(monkeypatch):
    """Sentinels are asked for the primary before whatever is asked of that."""
    monkeypatch.setattr(failover, "ASK_AGAIN", 0.0)


@pytest.fixture
def other(laboratory, manager, make):
    """A manager that knows the new primary only; *manager* has a connection to the former one, which serves on."""
    former = laboratory.primary()
    manager.create("ada")
    laboratory.fail_over()
    with make() as other:
        yield other
    assert laboratory.role(former) == "master"  # sentinels tell it some ten seconds later


@pytest.mark.parametrize("laboratory", ["sentinels"], indirect=True)
def test_a_former_primary_that_does_not_know_it_yet_is_left_at_once(manager, other):
    session = other.create("bob")
    until(lambda: unless_away(lambda: manager.exists(session.session_id)), "it asks the new primary")


@pytest.mark.parametrize("laboratory", ["sentinels"], indirect=True)
def test_events_are_heard_of_the_new_primary_while_the_former_serves_on(asked_each_time, manager, other):
    with manager.events() as events:
        created = other.create("bob")
        assert next(events).session_id == created.session_id


AWAY = {
    "redis+cluster://app:s3cret@127.0.0.1:1,127.0.0.1:2": "Redis Cluster cannot be connected",
    "redis+sentinel://app:s3cret@127.0.0.1:1,127.0.0.1:2/main": "No master found for 'main'$",
}


@pytest.mark.parametrize("url", AWAY)
def test_servers_that_are_all_away_are_one_short_error_that_tells_no_secret(colour, url):
    with open_manager(colour, url) as manager:
        for ask in (lambda: manager.create("ada"), lambda: list(manager.iter_users())):
            with pytest.raises(StoreUnavailable, match=AWAY[url]) as raised:
                ask()
            assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("url", AWAY)
def test_the_command_says_in_one_line_that_they_are_away(url):
    for verb in ("check", "verify"):
        command = [COMMAND, verb, "--url", url]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert ran.stderr.count("\n") == 1
        assert "127.0.0.1:1,127.0.0.1:2" in ran.stderr
        assert "s3cret" not in ran.stderr
