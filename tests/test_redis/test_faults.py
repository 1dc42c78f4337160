"""A server that goes, comes back, stands still or refuses: nobody is logged out, nothing is lost or half done."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import redis
from every_operation import NAMESPACE, ONE_SESSION, ONE_USER, OPERATIONS
from hearing import heard

from redisess_core import EventKind, SessionGone, StoreUnavailable
from redisess_core.tokens import shard_of, user_shard
from support.faults import DEADLINE, KEEPING, eventually, out_of_memory, read_only
from support.server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.server import Server

READING = {
    *("authenticate without a touch", "get without a touch", "exists", "session.read", "session.get"),
    *("session.get of several", "session.get of defaults", "session.get_all", "count_for_user"),
    *("count_for_user of late", "get_user_sessions", "list_user_sessions", "count", "count of late", "count_users"),
    *("get_all_sessions", "get_all_users", "iter_sessions", "iter_users", "list_sessions", "wipe", "now"),
}
KILLING = {"kill", "kill by its owner", "session.kill", "kill_user", "kill_user but one", "kill_all"}
FREEING = KILLING | {"rotate", "rotate as a sign-in", "rotate to another user", "session.delete"}


def everything(client: redis.Redis) -> dict[bytes, Any]:
    """Read the whole database, and for which keys there is an expiry."""
    read = {b"string": client.get, b"hash": client.hgetall, b"zset": lambda key: client.zrange(key, 0, -1, False, True)}
    keys = sorted(client.scan_iter(count=1000))
    return {key: (read[client.type(key)](key), client.ttl(key) >= 0) for key in keys}


@pytest.fixture
def server(start_server):
    """A server of the test's own."""
    return start_server()


@pytest.fixture
def story(make_manager, server):
    """A manager of that server with sessions of two users and of nobody; gives it, and one of them."""
    manager = make_manager(url=server.url, additional_fields=("role",), touch_interval=0)
    manager.create("ada", data={"b": [1, 2]}, role="user")
    manager.create("bob", ttl=0)
    manager.create(None, data={"cart": 1})
    return manager, manager.create("ada", data={"a": 1}, role="user")


# ---- refused, in the middle of work


@contextmanager
def too_few_replicas(server: Server) -> Iterator[None]:
    client = server.client()
    client.config_set("min-replicas-to-write", "1")
    yield
    client.config_set("min-replicas-to-write", "0")


REFUSALS = {
    "READONLY": (read_only, "READONLY|ReadOnly"),
    "OOM": (out_of_memory, "OOM|OutOfMemory"),
    "NOREPLICAS": (too_few_replicas, "NOREPLICAS"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_where_writes_are_refused_nothing_is_half_written(server, story, refusal):
    (manager, session), client = story, server.client()
    refusing, said = REFUSALS[refusal]
    expected = everything(client)
    let_through = FREEING if refusal == "OOM" else set()  # it takes out before it puts in
    with refusing(server):
        for name in [name for name in OPERATIONS if name not in let_through]:
            if name in READING:
                assert OPERATIONS[name](manager, session) is not None or name == "wipe"
                continue
            with pytest.raises(StoreUnavailable, match=said) as raised:
                pytest.fail(f"{name}: {OPERATIONS[name](manager, session)}")
            assert isinstance(raised.value.__cause__, redis.ResponseError)
            assert session.valid
    assert everything(client) == expected
    assert manager.authenticate(session.token).data == {"a": 1}
    for operation in {**ONE_SESSION, **ONE_USER}.values():
        operation(manager, manager.create("ada", data={"a": 1}))


def test_where_memory_is_short_sessions_can_be_rotated_and_ended_all_the_same(server, story):
    (manager, session), client = story, server.client()
    with out_of_memory(server):
        session = manager.rotate(session, role="admin")
        assert (dict(session.data), session.role) == ({"a": 1}, "admin")
        assert manager.count_for_user("ada") == 2
        assert manager.kill(session.session_id)
        assert manager.kill_user("ada") == 1
        assert manager.kill_all() == 2
    assert [key for key in client.scan_iter() if not key.endswith(b":layout")] == []


def test_where_a_script_runs_on_and_on_the_store_is_unavailable_until_it_is_ended(start_server, make_manager):
    server = start_server("--lua-time-limit", "50")
    manager = make_manager(url=server.url)
    session, looping = manager.create("ada"), server.client()

    def loop() -> None:
        with pytest.raises(redis.ResponseError):
            looping.eval("while true do end", 0)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        reason = eventually(lambda: refused(lambda: manager.authenticate(session.token)), "busy")
        assert "BUSY" in str(reason) or isinstance(reason.__cause__, redis.TimeoutError)
        reason = eventually(lambda: "BUSY" in str(refused(manager.count)), "busy")
    finally:
        server.client().script_kill()
        thread.join()
    assert manager.authenticate(session.token).user_id == "ada"
    assert manager.count() == 1


def refused(operation: Callable[[], Any]) -> StoreUnavailable | None:
    """Give the error if *operation* finds the store unavailable."""
    try:
        operation()
    except StoreUnavailable as error:
        return error
    return None


# ---- away, and back


def test_while_nothing_listens_no_session_is_lost_to_the_program(make_manager, server):
    manager = make_manager(url=server.url, client_options={"retry": None})
    session = manager.create("ada", data={"key": 1})
    server.stop()
    for operation in (session.read, lambda: session.set("key", 2), session.kill, lambda: manager.rotate(session)):
        with pytest.raises(StoreUnavailable) as raised:
            operation()
        assert isinstance(raised.value.__cause__, redis.ConnectionError)
    assert session.valid
    assert session.data == {"key": 1}
    assert (session.user_id, session.token is None) == ("ada", False)


def test_a_server_killed_and_started_again_goes_unnoticed(make_manager, start_server):
    server = start_server(*KEEPING)
    manager = make_manager(url=server.url, additional_fields=("role",))
    session = manager.create("ada", data={"n": 0}, role="user")
    for number in range(1, 4):
        assert session.set("n", number) == 1
        server.kill()
        server.start()
        again = manager.authenticate(session.token)
        assert (again.data["n"], again.role, again.created) == (number, "user", session.created)
        assert manager.get_user_sessions("ada") == [session.session_id]
        assert manager.count() == manager.count_users() == 1
    assert session.kill()
    server.restart()
    assert manager.authenticate(session.token) is None
    assert manager.count() == 0


@pytest.mark.faults
def test_nobody_is_logged_out_while_the_server_comes_and_goes(make_manager, start_server):
    server = start_server(*KEEPING)
    manager, patient = (make_manager(url=f"{server.url}?socket_timeout={seconds}") for seconds in (0.2, 30))
    sessions = [patient.create(f"user{n}", data={"n": n}) for n in range(4)]
    stop, seen, away = threading.Event(), [0] * 4, [0] * 4

    def use(number: int) -> None:
        while not stop.is_set():
            try:
                found = manager.authenticate(sessions[number].token)
            except StoreUnavailable:
                away[number] += 1
            else:
                assert found is not None
                assert (found.user_id, dict(found.data)) == (f"user{number}", {"n": number})
                seen[number] += 1

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for fault in ("kill", "pause", "restart", "pause"):
            before, refused_before = sum(seen), sum(away)
            eventually(lambda: sum(seen) > before + 20, "sessions are found")  # noqa: B023  called at once
            if fault == "pause":
                server.pause()
            else:
                server.process.kill() if fault == "kill" else server.process.terminate()
                server.process.wait()
            eventually(lambda: sum(away) > refused_before, "the server is away")  # noqa: B023
            server.resume() if fault == "pause" else server.start()
        before = list(seen)
        eventually(lambda: all(now > then for now, then in zip(seen, before, strict=True)), "all are back")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert sum(away) > 0
    assert patient.count() == patient.count_users() == 4


@pytest.mark.faults
def test_scripts_can_be_flushed_between_and_amid_any_calls(make_manager, server):
    manager = make_manager(url=server.url, additional_fields=("role",))
    flushing, stop = server.client(), threading.Event()

    def flush() -> None:
        while not stop.is_set():
            flushing.script_flush()

    thread = threading.Thread(target=flush)
    thread.start()
    try:
        for _ in range(5):
            for name, operation in OPERATIONS.items():
                session = manager.create("ada", data={"a": 1}, role="user")
                operation(manager, session)
                flushing.script_flush()
                alive = name not in KILLING - {"kill_user but one"} and not name.startswith("rotate")
                assert manager.exists(session.session_id) is alive
    finally:
        stop.set()
        thread.join()


# ---- standing still


WRITES: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], bool]]] = {
    "create": (
        lambda manager, session: manager.create("bob", data={"n": 1}),
        lambda manager, session: manager.count_for_user("bob") == 1,
    ),
    "set": (
        lambda manager, session: session.set({"n": 2, "m": 2}),
        lambda manager, session: manager.get(session.session_id).data == {"n": 2, "m": 2},
    ),
    "rotate": (
        lambda manager, session: manager.rotate(session, user_id="bob"),
        lambda manager, session: manager.count_for_user("bob") == 1 and manager.get(session.session_id) is None,
    ),
    "kill": (
        lambda manager, session: manager.kill(session.session_id),
        lambda manager, session: manager.get(session.session_id) is None,
    ),
}


@pytest.mark.faults
@pytest.mark.parametrize("name", WRITES)
def test_a_write_that_timed_out_happened_as_a_whole_or_not_at_all(make_manager, server, name):
    manager = make_manager(url=f"{server.url}?socket_timeout=0.3")
    looking = make_manager(url=server.url)
    write, happened = WRITES[name]
    session = manager.create("ada", data={"n": 1})
    server.pause()
    with pytest.raises(StoreUnavailable, match="Timeout") as raised:
        write(manager, session)
    assert isinstance(raised.value.__cause__, redis.TimeoutError)
    assert session.valid
    server.resume()
    assert happened(looking, session) or looking.get(session.session_id).data == {"n": 1}
    ids = {one.session_id for one in looking.iter_sessions()}
    assert ids == set(looking.get_all_sessions())
    assert looking.count() == len(ids) <= 2
    assert {user: looking.count_for_user(user) for user in looking.get_all_users()} == {
        user: len(looking.list_user_sessions(user)) for user in looking.iter_users()
    }
    assert manager.count() == len(ids)  # an answer that came late is nobody else's


@pytest.mark.faults
def test_after_a_pause_each_answer_is_its_own_calls(make_manager, server):
    manager = make_manager(url=f"{server.url}?socket_timeout=0.3")
    sessions = [manager.create(f"user{n}") for n in range(8)]
    for _ in range(3):
        server.pause()
        for session in sessions[:3]:
            with pytest.raises(StoreUnavailable):
                manager.authenticate(session.token)
        server.resume()
        for session in sessions:
            found = eventually(lambda: asked(manager, session.token), "the server is back")  # noqa: B023
            assert (found.session_id, found.user_id) == (session.session_id, session.user_id)


def asked(manager: Any, token: str) -> Any:
    """Authenticate; None only if the store is still unavailable."""
    try:
        found = manager.authenticate(token)
    except StoreUnavailable:
        return None
    assert found is not None
    return found


# ---- answers that get lost


class Losing:
    """Stands before a server, and can lose the answer to one command: the connection breaks instead."""

    def __init__(self, port: int) -> None:
        self.upstream, self.port, self.lose_next = port, free_port(), False
        self.skip = self.lost = 0  # answers that still pass before one is lost; how many were
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listening = socket.create_server(("127.0.0.1", self.port))

    def __enter__(self) -> Losing:
        self._run(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        for end in [self._listening, *self._ends]:
            close(end)
        for thread in self._threads:
            thread.join(DEADLINE)

    def _run(self, body: Callable[..., None], *args: Any) -> None:
        self._threads.append(threading.Thread(target=body, args=args))
        self._threads[-1].start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.upstream))
            self._ends += [client, server]
            self._run(self._pass, client, server, False)
            self._run(self._pass, server, client, True)

    def _pass(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(65536):
                if answers and self.lose_next and self.skip:
                    self.skip -= 1
                elif answers and self.lose_next:
                    self.lose_next, self.lost = False, self.lost + 1
                    break
                target.sendall(data)
        except OSError:
            pass
        close(source)
        close(target)


def close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@pytest.fixture
def losing(redis_server, redis_url):
    with Losing(redis_server.port) as between:
        yield between


@pytest.fixture
def far(make_manager, losing):
    """Make a manager whose answers can get lost."""

    def make(**options: Any) -> Any:
        manager = make_manager(url=f"redis://127.0.0.1:{losing.port}/0", **options)
        manager.now()  # the scripts' first round trips are not what is lost
        session = manager.create("warm")
        manager.kill(manager.rotate(session).session_id)
        return manager

    return make


@pytest.mark.parametrize("options", [{}, {"max_sessions_per_user": 1, "on_limit": "refuse"}], ids=["free", "limited"])
def test_a_create_whose_answer_got_lost_makes_one_session(far, losing, live_manager, options):
    manager = far(max_lifetime=1000, additional_fields=("role",), **options)
    losing.lose_next = True
    session = manager.create("ada", data={"key": 1}, role="user")
    assert losing.lost == 1
    assert live_manager.get_all_sessions() == [session.session_id]
    stored = manager.get(session.session_id, touch=False)
    for name in ("user_id", "created", "authenticated_at", "last_access", "expires", "ttl", "data", "fields"):
        assert getattr(stored, name) == getattr(session, name), name


@pytest.mark.parametrize("user", [None, "ada"])
def test_a_rotation_whose_answer_got_lost_is_done_once(far, losing, live_manager, user):
    manager = far(max_sessions_per_user=1, on_limit="refuse")
    session = manager.create(None, data={"cart": 1})
    losing.lose_next = True
    rotated = manager.rotate(session) if user is None else manager.rotate(session, user_id=user)
    assert losing.lost == 1
    assert live_manager.get_all_sessions() == [rotated.session_id]
    assert live_manager.authenticate(rotated.token).data == {"cart": 1}
    assert rotated.user_id == user


@pytest.mark.parametrize("half", ["creating the new one", "killing the old one"])
def test_a_sign_in_across_shards_whose_answer_got_lost_is_done_once(far, losing, make_manager, half):
    manager, looking = far(shards=8), make_manager(shards=8)
    for user in ("ada", "bob", "cid"):  # some of them in another shard
        session = manager.create(None, data={"cart": 1})
        moves = user_shard(user.encode(), 8) != shard_of(session.session_id)
        losing.skip, losing.lose_next = int(moves and half == "killing the old one"), True
        with heard(looking) as events:
            signed_in = manager.rotate(session, user_id=user)
        assert not looking.exists(session.session_id)
        assert looking.authenticate(signed_in.token).data == {"cart": 1}
        assert [(event.kind, event.successor) for event in events] == [(EventKind.ROTATED, signed_in.session_id)]
    assert losing.lost == 3


def test_a_write_whose_answer_got_lost_is_there(far, losing, live_manager):
    manager = far()
    session = manager.create("ada")
    losing.lose_next = True
    assert session.set({"key": 1, "other": 2}) == 2
    assert losing.lost == 1
    assert live_manager.get(session.session_id).data == {"key": 1, "other": 2}


@pytest.mark.parametrize("how", ["kill", "kill_user", "kill_all"])
def test_a_kill_whose_answer_got_lost_sticks(far, losing, live_manager, how):
    manager = far()
    session = manager.create("ada")
    losing.lose_next = True
    {"kill": session.kill, "kill_user": lambda: manager.kill_user("ada"), "kill_all": manager.kill_all}[how]()
    assert losing.lost == 1
    assert live_manager.count() == 0
    with pytest.raises(SessionGone):
        session.set("key", 1)


def test_an_answer_that_is_lost_again_and_again_is_an_error(far, losing):
    manager = far()
    session = manager.create("ada")

    def lose_on() -> None:
        while not stop.is_set():
            losing.lose_next = True
            time.sleep(0.001)

    stop = threading.Event()
    thread = threading.Thread(target=lose_on)
    thread.start()
    try:
        with pytest.raises(StoreUnavailable) as raised:
            manager.authenticate(session.token)
        assert isinstance(raised.value.__cause__, redis.ConnectionError)
    finally:
        stop.set()
        thread.join()
    losing.lose_next = False
    assert manager.authenticate(session.token).user_id == "ada"


def test_every_operation_is_in_one_of_the_lists():
    assert OPERATIONS.keys() >= READING | KILLING
    assert NAMESPACE.keys() <= READING | KILLING
