"""What goes wrong, and how it is said: wrong arguments before any I/O, Redis away, old or of another layout."""

from __future__ import annotations

import asyncio
import logging
import math
import pickle
import socketserver
import threading

import pytest
import redis
import redis.asyncio
from every_operation import OPERATIONS, new_session, run_every_operation

from redisess_core import (
    AsyncSession,
    AsyncSessionManager,
    NamespaceMismatch,
    RedisessError,
    Session,
    SessionDataTooLarge,
    SessionGone,
    SessionLimitReached,
    SessionManager,
    StoreUnavailable,
    StoreUnsupported,
)
from redisess_core.scripts import script
from support.server import free_port

BOTH = [SessionManager, AsyncSessionManager]
UNKNOWN = "1aa" + "a" * 26  # a token of the first shard that names no session


def test_every_error_is_a_redisess_error():
    for error in (SessionGone, SessionLimitReached, SessionDataTooLarge, NamespaceMismatch, StoreUnavailable):
        assert issubclass(error, RedisessError)
    assert issubclass(StoreUnsupported, RedisessError)
    assert not issubclass(RedisessError, (TypeError, ValueError, ConnectionError))


# ---- wrong arguments of methods

USER_METHODS = ["count_for_user", "get_user_sessions", "list_user_sessions", "get_oldest_user_session", "kill_user"]
SECS_METHODS = ["count", "count_users", "get_all_sessions", "get_all_users", "iter_sessions", "iter_users"]
BAD_USERS = [("", ValueError), ("a" * 257, ValueError), ("é" * 129, ValueError), ("\ud800", ValueError)]
BAD_USERS += [(b"ada", TypeError), (1.5, TypeError), (True, TypeError), (["ada"], TypeError)]
BAD_HANDLES = [("", ValueError), (None, TypeError), (5, TypeError), (b"1aa", TypeError)]
BAD_SECONDS = [
    (-1, ValueError),
    (10**400, ValueError),
    (math.nan, ValueError),
    (math.inf, ValueError),
    ("5", TypeError),
    (True, TypeError),
]

WRONG = {
    "create without a user": (lambda m, _: m.create(), TypeError, "user_id"),
    "create with data that is no mapping": (lambda m, _: m.create("ada", data=[("a", 1)]), TypeError, "list"),
    "create with an empty key": (lambda m, _: m.create("ada", data={"": 1}), ValueError, "key"),
    "create with a key that is no str": (lambda m, _: m.create("ada", data={1: 1}), TypeError, "int"),
    "create with an object as data": (lambda m, _: m.create("ada", data={"cart": object()}), TypeError, "cart.*object"),
    "create with an address that is no str": (lambda m, _: m.create("ada", ip=7), TypeError, "ip: int"),
    "create with bytes as user agent": (lambda m, _: m.create("ada", user_agent=b"x"), TypeError, "user_agent: bytes"),
    "create with an undeclared field": (lambda m, _: m.create("ada", rolle="x"), TypeError, "rolle.*role"),
    "create with an object in a field": (lambda m, _: m.create("ada", role=object()), TypeError, "role.*object"),
    "create with too much data": (lambda m, _: m.create("ada", data={"k": "x" * 65536}), SessionDataTooLarge, "65536"),
    "rotate of an id": (lambda m, s: m.rotate(s.session_id), TypeError, "session: str given"),
    "rotate of none": (lambda m, _: m.rotate(None), TypeError, "session: NoneType given"),
    "rotate to an undeclared field": (lambda m, s: m.rotate(s, rolle="x"), TypeError, "rolle.*role"),
    "rotate to an object in a field": (lambda m, s: m.rotate(s, role=object()), TypeError, "role.*object"),
    "rotate to no user": (lambda m, s: m.rotate(s, user_id=None), TypeError, "user_id: NoneType"),
    "kill_user without a user": (lambda m, _: m.kill_user(), TypeError, "user_id"),
    "kill_user of none": (lambda m, _: m.kill_user(None), TypeError, "user_id: NoneType"),
    "kill_user that keeps no id": (lambda m, _: m.kill_user("ada", keep="nonsense"), ValueError, "keep"),
    "kill_user that keeps an empty id": (lambda m, _: m.kill_user("ada", keep=""), ValueError, None),
    "kill_user that keeps no id among ids": (
        lambda m, s: m.kill_user("ada", keep=[s.session_id, "no"]),
        ValueError,
        "keep",
    ),
    "kill_user that keeps a token": (lambda m, s: m.kill_user("ada", keep=s.token), ValueError, "keep"),
    "kill_user that keeps a number": (lambda m, _: m.kill_user("ada", keep=5), TypeError, "keep"),
    "kill_user that keeps numbers": (lambda m, _: m.kill_user("ada", keep=[5]), TypeError, "int"),
    "session.set without a value": (lambda _, s: s.set("a"), TypeError, "value"),
    "session.set of an object": (lambda _, s: s.set("cart", object()), TypeError, "cart.*object"),
    "session.get without a key": (lambda _, s: s.get(""), ValueError, "key"),
    "session.get of a number": (lambda _, s: s.get(5), TypeError, "key"),
    "session.get of none": (lambda _, s: s.get(None), TypeError, "key"),
    "session.delete without a key": (lambda _, s: s.delete(""), ValueError, "key"),
}
for _user, _error in BAD_USERS:
    WRONG[f"create of {_user!r:.12}"] = (lambda m, _, u=_user: m.create(u), _error, "user_id")
for _user, _error in (("", ValueError), (b"ada", TypeError)):
    for _name in USER_METHODS:
        WRONG[f"{_name} of {_user!r}"] = (lambda m, _, name=_name, u=_user: getattr(m, name)(u), _error, "user_id")
    WRONG[f"kill as {_user!r}"] = (lambda m, s, u=_user: m.kill(s.session_id, user_id=u), _error, "user_id")
    WRONG[f"rotate to {_user!r}"] = (lambda m, s, u=_user: m.rotate(s, user_id=u), _error, "user_id")
for _handle, _error in BAD_HANDLES:
    WRONG[f"authenticate of {_handle!r}"] = (lambda m, _, handle=_handle: m.authenticate(handle), _error, "token")
    for _name in ("get", "exists", "kill"):
        call = lambda m, _, name=_name, handle=_handle: getattr(m, name)(handle)  # noqa: E731  a row of the table
        WRONG[f"{_name} of {_handle!r}"] = (call, _error, "session_id")
for _secs, _error in BAD_SECONDS:
    WRONG[f"create with ttl {_secs!r:.9}"] = (lambda m, _, secs=_secs: m.create("ada", ttl=secs), _error, "ttl")
for _secs, _error in ((-1, ValueError), ("5", TypeError)):
    for _name in SECS_METHODS:
        WRONG[f"{_name} of {_secs!r}"] = (lambda m, _, name=_name, secs=_secs: getattr(m, name)(secs), _error, "secs")
    for _name in USER_METHODS[:3]:
        call = lambda m, _, name=_name, secs=_secs: getattr(m, name)("ada", secs)  # noqa: E731  likewise
        WRONG[f"{_name} of {_secs!r} secs"] = (call, _error, "secs")
    WRONG[f"rotate to ttl {_secs!r}"] = (lambda m, s, secs=_secs: m.rotate(s, ttl=secs), _error, "ttl")
    call = lambda m, _, secs=_secs: m.create("ada", max_lifetime=secs)  # noqa: E731  likewise
    WRONG[f"create with max_lifetime {_secs!r}"] = (call, _error, "max_lifetime")


@pytest.fixture
def held(make_manager):
    """A live session, and a manager that has sent nothing yet."""
    options = {"additional_fields": ("role",), "namespace": "held"}
    return make_manager(**options), new_session(make_manager(**options))


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused_before_anything_is_sent(held, wire, stored, name):
    call, error, said = WRONG[name]
    before = stored()
    with wire() as seen, pytest.raises(error, match=said) as raised:
        call(*held)
    assert seen.commands == []
    assert stored() == before
    assert held[1].token not in str(raised.value)


def test_a_session_of_the_other_colour_is_refused(held, colour, wire):
    manager, _ = held
    other = AsyncSession if colour == "blocking" else Session
    with wire() as seen, pytest.raises(TypeError, match=f"{other.__name__} given"):
        manager.rotate(other.__new__(other))
    assert seen.commands == []


def test_a_wrong_token_is_not_shown(live_manager):
    token = live_manager.create("ada").token
    with pytest.raises(TypeError) as raised:
        live_manager.authenticate(token.encode())
    assert token not in str(raised.value)


# ---- wrong options

WRONG_OPTIONS = [
    ({"namespace": ""}, ValueError),
    ({"namespace": "x" * 257}, ValueError),
    ({"namespace": "a{b"}, ValueError),
    ({"namespace": "a}b"}, ValueError),
    ({"namespace": "{sessions}"}, ValueError),
    ({"namespace": "\ud800"}, ValueError),
    ({"namespace": None}, TypeError),
    ({"namespace": b"sessions"}, TypeError),
    ({"additional_fields": "role"}, TypeError),
    ({"additional_fields": b"role"}, TypeError),
    ({"additional_fields": 5}, TypeError),
    ({"additional_fields": None}, TypeError),
    ({"additional_fields": ["role", 1]}, TypeError),
    ({"additional_fields": ["role", "role"]}, ValueError),
    ({"additional_fields": ["two words"]}, ValueError),
    ({"additional_fields": [""]}, ValueError),
    ({"additional_fields": ["1st"]}, ValueError),
    ({"additional_fields": ["class"]}, ValueError),
    ({"additional_fields": ["_role"]}, ValueError),
    ({"ttl": -1}, ValueError),
    ({"ttl": math.nan}, ValueError),
    ({"ttl": math.inf}, ValueError),
    ({"ttl": None}, TypeError),
    ({"ttl": "60"}, TypeError),
    ({"ttl": True}, TypeError),
    ({"max_lifetime": 0}, ValueError),
    ({"max_lifetime": -1}, ValueError),
    ({"max_lifetime": "60"}, TypeError),
    ({"touch_interval": -1}, ValueError),
    ({"touch_interval": None}, TypeError),
    ({"max_sessions_per_user": 0}, ValueError),
    ({"max_sessions_per_user": -1}, ValueError),
    ({"max_sessions_per_user": 1.5}, TypeError),
    ({"max_sessions_per_user": True}, TypeError),
    ({"on_limit": "drop"}, ValueError),
    ({"on_limit": None}, ValueError),
    ({"record_client": 1}, TypeError),
    ({"record_client": None}, TypeError),
    ({"max_data_bytes": 0}, ValueError),
    ({"max_data_bytes": 1.5}, TypeError),
    ({"max_data_bytes": None}, TypeError),
    ({"shards": 0}, ValueError),
    ({"shards": 1025}, ValueError),
    ({"shards": 1.5}, TypeError),
    ({"clock": 5}, TypeError),
    ({"name": "sessions"}, TypeError),
]


@pytest.mark.parametrize(("options", "error"), WRONG_OPTIONS, ids=str)
@pytest.mark.parametrize("kind", BOTH)
def test_wrong_options_are_refused_by_their_name(kind, options, error):
    (name,) = options
    with pytest.raises(error, match=name):
        kind("redis://127.0.0.1:1/0", **options)


ATTRIBUTES = "session_id token user_id ttl created authenticated_at last_access expires expires_in idle valid ip"
METHODS = "user_agent fields read write kill data get set delete get_all"
ARGUMENTS = "session max_lifetime"


@pytest.mark.parametrize("name", f"{ATTRIBUTES} {METHODS} {ARGUMENTS}".split())
@pytest.mark.parametrize("kind", BOTH)
def test_an_additional_field_hides_no_attribute_and_no_argument(kind, name):
    with pytest.raises(ValueError, match=f"additional_fields: '{name}'"):
        kind("redis://127.0.0.1:1/0", additional_fields=["role", name])


@pytest.mark.parametrize("kind", BOTH)
def test_options_are_given_by_name(kind):
    with pytest.raises(TypeError):
        kind("redis://127.0.0.1:1/0", "sessions")


# ---- wrong clients

WRONG_CLIENTS = {
    "none": (lambda: None, TypeError, "NoneType"),
    "an object": (object, TypeError, "builtins.object"),
    "a class": (lambda: redis.Redis, TypeError, "given"),
    "a number": (lambda: 6379, TypeError, "int"),
    "bytes": (lambda: b"redis://127.0.0.1", TypeError, "bytes"),
    "a connection pool": (redis.ConnectionPool, TypeError, "ConnectionPool"),
    "a blocking pipeline": (lambda: redis.Redis().pipeline(), TypeError, "Pipeline"),
    "an async pipeline": (lambda: redis.asyncio.Redis().pipeline(), TypeError, "Pipeline"),
    "a web address": (lambda: "http://127.0.0.1:6379", ValueError, "begins with 'http' given.*redis://"),
    "white space before": (lambda: " redis://127.0.0.1", ValueError, "begins with ' redis' given"),
    "upper case": (lambda: "REDIS://127.0.0.1", ValueError, "begins with 'REDIS' given"),
    "a slash too few": (lambda: "redis:/127.0.0.1", ValueError, "a URL given, one that begins with redis://"),
    "a port out of range": (lambda: "redis://127.0.0.1:99999", ValueError, "wrong host or port"),
    "a bracket left open": (lambda: "redis://[::1", ValueError, "wrong host or port"),
    "an unknown option": (lambda: "redis://127.0.0.1?bogus=1", ValueError, "option given: 'bogus' is none"),
    "an option with a wrong value": (lambda: "unix:///redis.sock?db=a", ValueError, "option given: .*'db'"),
    "no scheme": (lambda: "127.0.0.1:6379", ValueError, "redis://"),
    "a host and a port": (lambda: "localhost:6379", ValueError, "redis://"),
    "an empty str": (lambda: "", ValueError, "redis://"),
    "a database by name": (lambda: "redis://127.0.0.1/main", ValueError, "wrong database given, a number"),
    "a database by name, with TLS": (lambda: "rediss://127.0.0.1/0/main", ValueError, "wrong database given, a number"),
    "a name in memory": (lambda: "memory://main", ValueError, "no name"),
}


@pytest.mark.parametrize("name", WRONG_CLIENTS)
@pytest.mark.parametrize("kind", BOTH)
def test_a_wrong_client_is_refused_and_what_is_wanted_said(kind, name):
    make, error, said = WRONG_CLIENTS[name]
    with pytest.raises(error, match=said) as raised:
        kind(make())
    if error is TypeError:
        assert "redis-py" in str(raised.value)


def test_an_async_client_in_the_blocking_manager_is_sent_to_the_other():
    with pytest.raises(TypeError, match=r"redis\.asyncio.*AsyncSessionManager takes"):
        SessionManager(redis.asyncio.Redis())


def test_a_blocking_client_in_the_async_manager_is_sent_to_the_other():
    with pytest.raises(TypeError, match=r"redis\.client\.Redis given.* SessionManager takes"):
        AsyncSessionManager(redis.Redis())


@pytest.mark.parametrize("kind", BOTH)
def test_the_password_of_a_wrong_url_is_not_shown(kind):
    with pytest.raises(ValueError, match="amqp") as raised:
        kind("amqp://user:hunter2@127.0.0.1")
    assert "hunter2" not in str(raised.value)


def test_a_manager_sends_nothing_until_its_first_operation(make_manager, wire):
    with wire() as seen:
        make_manager()
        make_manager(client_options={})
    assert seen.commands == []


# ---- Redis away


@pytest.mark.parametrize("client_options", [None, {}, {"decode_responses": True}], ids=str)
def test_where_nothing_listens_the_store_is_unavailable(make_manager, client_options):
    manager = make_manager(url=f"redis://127.0.0.1:{free_port()}/0", client_options=client_options)
    for operation in (manager.count, lambda: manager.create("ada"), lambda: manager.authenticate(UNKNOWN)):
        with pytest.raises(StoreUnavailable, match="ConnectionError") as raised:
            operation()
        assert isinstance(raised.value.__cause__, redis.ConnectionError)


def test_where_no_socket_is_the_store_is_unavailable(make_manager, tmp_path):
    manager = make_manager(url=f"unix://{tmp_path}/no.sock")
    with pytest.raises(StoreUnavailable) as raised:
        manager.count()
    assert isinstance(raised.value.__cause__, redis.ConnectionError)


@pytest.mark.parametrize("started", [True, False], ids=["used before", "not used before"])
def test_when_the_server_stops_every_operation_says_so(make_manager, start_server, started):
    server = start_server()
    options = {"url": server.url, "client_options": {"retry": None}, "additional_fields": ("role",)}
    manager, maker = make_manager(**options), make_manager(**options)
    session = new_session(manager if started else maker)
    server.stop()
    for name, operation in OPERATIONS.items():
        with pytest.raises(StoreUnavailable) as raised:
            pytest.fail(f"{name}: {operation(manager, session)}")
        assert isinstance(raised.value.__cause__, redis.ConnectionError), name
        assert session.token not in str(raised.value)
    with pytest.raises(StoreUnavailable), manager.events() as events:
        next(events)


def test_a_paused_server_is_unavailable_and_nobody_is_logged_out(make_manager, start_server):
    server = start_server()
    manager = make_manager(url=f"{server.url}?socket_timeout=0.1")
    session = manager.create("ada", data={"a": 1})
    server.pause()
    for operation in (
        lambda: manager.authenticate(session.token),
        lambda: manager.exists(session.session_id),
        lambda: session.get("a"),
        session.read,
    ):
        with pytest.raises(StoreUnavailable, match="TimeoutError") as raised:
            operation()
        assert isinstance(raised.value.__cause__, redis.TimeoutError)
    assert session.valid
    server.resume()
    assert dict(manager.authenticate(session.token).data) == {"a": 1}
    assert manager.count() == 1


def test_a_manager_that_found_nobody_at_first_works_once_the_server_is_there(make_manager, start_server):
    server = start_server()
    manager = make_manager(url=server.url)
    server.stop()
    with pytest.raises(StoreUnavailable):
        manager.create("ada")
    server.start()
    assert manager.create("ada").valid
    assert manager.count() == 1


def test_a_restarted_server_goes_unnoticed(make_manager, start_server):
    server = start_server()
    manager = make_manager(url=server.url, additional_fields=("role",))
    run_every_operation(manager)
    server.restart()
    assert manager.count() == 0
    run_every_operation(manager)


def test_a_flush_of_the_scripts_goes_unnoticed(make_manager, start_server):
    server = start_server()
    manager = make_manager(url=server.url, additional_fields=("role",))
    flushing = server.client()
    for operation in OPERATIONS.values():
        session = new_session(manager)
        flushing.script_flush()
        operation(manager, session)
        flushing.script_flush()
        assert manager.exists(session.session_id) in (True, False)


REFUSALS = {
    "a replica that may not be written": (("--replicaof", "127.0.0.1", "1"), {}),
    "a wrong password": (("--requirepass", "right"), {"password": "wrong"}),
    "no password": (("--requirepass", "right"), {}),
    "no memory left": (("--maxmemory", "1"), {}),
    "too few replicas": (("--min-replicas-to-write", "1"), {}),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_server_that_cannot_serve_now_is_unavailable(make_manager, start_server, name):
    arguments, client_options = REFUSALS[name]
    server = start_server(*arguments)
    url = f"redis://127.0.0.1:{server.port}/0"
    manager = make_manager(url=url, client_options=client_options)
    with pytest.raises(StoreUnavailable) as raised:
        manager.create("ada")
    assert isinstance(raised.value.__cause__, redis.RedisError)
    assert "wrong" not in str(raised.value).split("WRONGPASS")[0]


def test_a_server_that_became_a_replica_and_lost_its_master_is_unavailable(make_manager, start_server):
    server = start_server()
    manager = make_manager(url=server.url)
    session = manager.create("ada")
    client = server.client()
    client.config_set("replica-serve-stale-data", "no")
    client.replicaof("127.0.0.1", 1)
    for operation in (lambda: manager.authenticate(session.token), manager.count, session.get_all):
        with pytest.raises(StoreUnavailable, match=r"MASTERDOWN|down"):
            operation()
    client.replicaof("NO", "ONE")
    assert manager.authenticate(session.token).valid


# ---- another layout


@pytest.mark.parametrize(("first", "second"), [(1, 2), (8, 1), (8, 64)])
def test_a_namespace_recorded_with_other_shards_is_a_mismatch(make_manager, stored, first, second):
    make_manager(shards=first).create("ada")
    before = stored()
    manager = make_manager(shards=second)
    for operation in (manager.count, lambda: manager.create("ada"), lambda: manager.authenticate(UNKNOWN)):
        with pytest.raises(NamespaceMismatch, match=f'"shards":{first}.*"shards":{second}'):
            operation()
    assert stored() == before
    assert make_manager(shards=first).count() == 1


def test_a_namespace_of_another_layout_version_is_a_mismatch(make_manager, redis_client, namespace):
    redis_client.set(f"{{{namespace}}}:layout", '{"layout":99,"shards":1}')
    with pytest.raises(NamespaceMismatch, match=f"(?s){namespace}.*99"):
        make_manager().count()


def test_the_record_is_made_again_on_a_server_that_lost_everything(make_manager, start_server):
    """Else a manager with other shards could begin there, and neither would see the other's sessions."""
    server = start_server()
    running = make_manager(url=server.url, shards=2)
    running.create("ada")
    server.restart()  # it keeps nothing
    running.create("ada")
    with pytest.raises(NamespaceMismatch):
        make_manager(url=server.url, shards=4).count()


def test_a_running_manager_finds_that_another_began_on_a_server_that_lost_everything(make_manager, start_server):
    server = start_server()
    running = make_manager(url=server.url, shards=2)
    running.create("ada")
    server.restart()
    redis.Redis.from_url(server.url).set(f"{{{running.namespace}}}:layout", '{"layout":1,"shards":4}')
    with pytest.raises(NamespaceMismatch):
        running.create("ada")


def test_what_reads_works_where_nothing_can_be_written(make_manager, start_server):
    """Also in a process that begins there."""
    server = start_server()
    session = make_manager(url=server.url).create("ada")
    with server.client() as client:
        client.replicaof("127.0.0.1", 1)
        assert make_manager(url=server.url).authenticate(session.token, touch=False).user_id == "ada"
        client.replicaof("NO", "ONE")


def test_the_record_is_small_and_stays(make_manager, redis_client, namespace, clock):
    for _ in range(2):
        make_manager(shards=8, clock=clock).create("ada")
    key = f"{{{namespace}}}:layout"
    assert redis_client.memory_usage(key) <= 300
    assert redis_client.ttl(key) == -1


# ---- an old server


TOO_OLD = ["2.8.24", "5.0.14", "6.0.20", "6.1.999"]
SUPPORTED = ["6.2.0", "7.0.15", "8.0.2", "10.1.0", "255.255.255"]


@pytest.mark.parametrize("version", [*TOO_OLD, *SUPPORTED])
def test_the_layout_script_knows_an_old_version(redis_client, namespace, version):
    # The script as it is, on a real server that gives itself out as another.
    said = f"# Server\r\nredis_version:{version}\r\nos:Linux\r\n"
    server = """
        local real = redis
        local redis = { call = real.call, pcall = function(name, what)
          return name == 'INFO' and what == 'server' and ARGV[2] or real.pcall(name, what)
        end }
        """
    supported = version in SUPPORTED
    reply = redis_client.eval(server + script("layout").source.decode(), 1, f"{{{namespace}}}:layout", "record", said)
    assert reply[0] == (b"record" if supported else b"")
    assert reply[1].decode() == said
    assert redis_client.exists(f"{{{namespace}}}:layout") == supported


class OldServer(socketserver.ThreadingTCPServer):
    """Answers as a Redis of *version* does: the layout script refuses it, and before 6.0 there was no HELLO."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, version):
        super().__init__(("127.0.0.1", 0), Answers)
        self.version = version
        self.asked = []

    def answer(self, words):
        name = words[0].upper()
        self.asked.append(name)
        if name == b"HELLO" and self.version >= "6":
            return b"%3\r\n+server\r\n+redis\r\n+version\r\n+6.0.0\r\n+proto\r\n:3\r\n"
        if name == b"EVALSHA":
            return b"-NOSCRIPT No matching script. Please use EVAL.\r\n"
        if name == b"EVAL":
            said = f"redis_version:{self.version}\r\n".encode()
            return b"*3\r\n$0\r\n\r\n$%d\r\n%b\r\n$0\r\n\r\n" % (len(said), said)
        return b"-ERR unknown command `%b`, with args beginning with: \r\n" % words[0]


class Answers(socketserver.StreamRequestHandler):
    def handle(self):
        while line := self.rfile.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(length))
                self.rfile.readline()
            self.wfile.write(self.server.answer(words))


@pytest.fixture
def old_server(request):
    with OldServer(request.param) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("old_server", ["5.0.14", "6.0.20"], indirect=True)
@pytest.mark.parametrize("client_options", [None, {"protocol": 2}, {"protocol": 3}], ids=str)
def test_an_old_server_is_unsupported_and_its_version_said(make_manager, old_server, client_options):
    manager = make_manager(url=f"redis://127.0.0.1:{old_server.server_address[1]}/0", client_options=client_options)
    for operation in (manager.count, lambda: manager.create("ada")):
        with pytest.raises(StoreUnsupported, match=r"6\.2"):
            operation()
    manager.close()


# ---- eviction


def ours(caplog):
    return [record for record in caplog.records if record.name.split(".")[0] == "redisess"]


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
def test_an_evicting_server_is_warned_of_once_at_the_start(make_manager, start_server, caplog, policy):
    server = start_server("--maxmemory-policy", policy)
    manager = make_manager(url=server.url)
    with caplog.at_level(logging.DEBUG):
        manager.create("ada")
        manager.create("ada")
    (record,) = ours(caplog)
    assert record.levelname == "WARNING"
    assert policy in record.getMessage()
    assert "noeviction" in record.getMessage()


def test_a_policy_of_noeviction_is_not_warned_of(make_manager, start_server, caplog):
    server = start_server("--maxmemory", "100mb", "--maxmemory-policy", "noeviction")
    with caplog.at_level(logging.DEBUG):
        make_manager(url=server.url).create("ada")
    assert ours(caplog) == []


def test_a_server_that_does_not_tell_its_policy_is_used_all_the_same(make_manager, start_server):
    server = start_server()
    server.client().execute_command("ACL", "SETUSER", "app", "on", ">app", "~*", "&*", "+@all", "-info")
    assert make_manager(url=f"redis://app:app@127.0.0.1:{server.port}/0").create("ada").valid


# ---- anything else that Redis says


@pytest.mark.one_shard
def test_a_script_that_meets_something_else_under_its_key_says_so(live_manager, redis_client, namespace):
    live_manager.count()
    redis_client.set(f"{{{namespace}:0}}:activity", "not an index")
    with pytest.raises(RedisessError, match="WRONGTYPE") as raised:
        live_manager.create("ada")
    assert not isinstance(raised.value, StoreUnavailable)
    assert isinstance(raised.value.__cause__, redis.ResponseError)


# ---- errors travel


@pytest.mark.parametrize(
    "error",
    [
        SessionGone("saa"),
        SessionLimitReached("ada", 3),
        SessionDataTooLarge(70000, 65536),
        SessionDataTooLarge(1001, 1000, "keys"),
        StoreUnavailable("away"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_is_the_same_after_its_way_to_another_process(error):
    arrived = pickle.loads(pickle.dumps(error))
    assert type(arrived) is type(error)
    assert (str(arrived), vars(arrived)) == (str(error), vars(error))


@pytest.mark.anyio
async def test_where_one_shard_fails_nothing_goes_on_in_the_others(redis_url, namespace):
    async with AsyncSessionManager(redis_url, namespace=namespace, shards=64) as manager:
        await manager.count()
        execute, asked = manager.store.execute, []

        async def fail_first(operation):
            asked.append(operation)
            if len(asked) == 1:
                raise StoreUnavailable("away")
            return await execute(operation)

        manager.store.execute = fail_first
        before = asyncio.all_tasks()
        with pytest.raises(StoreUnavailable):
            await manager.count()
        assert asyncio.all_tasks() == before
        assert len(asked) < 64
