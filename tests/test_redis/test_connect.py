"""Clients that a manager makes from a URL: every scheme, what the URL says, and what it need not say."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

import pytest
import redis
import redis.asyncio
from every_operation import run_every_operation

from redisess_core import AsyncSessionManager, SessionManager, StoreUnavailable
from support.both import unwrap


def pool_of(manager):
    """The connection pool of a manager's client, and the arguments of its connections."""
    pool = unwrap(manager.client).connection_pool
    return pool, pool.connection_kwargs


# ---- memory://


def test_every_operation_works_in_memory(make_manager, clock):
    manager = make_manager(url="memory://", additional_fields=("role",), clock=clock)
    run_every_operation(manager)
    manager.kill_all()
    assert manager.count() == 0


def test_managers_of_one_process_share_the_memory_and_keep_it_over_a_close(make_manager):
    one, other = make_manager(url="memory://"), make_manager(url="memory://")
    token = one.create("ada", data={"cart": [1]}).token
    assert dict(other.authenticate(token).data) == {"cart": [1]}
    one.close()
    assert other.count_for_user("ada") == 1
    assert make_manager(url="memory://").kill_user("ada") == 1


def test_sessions_in_memory_expire(make_manager, clock):
    manager = make_manager(url="memory://", clock=clock)
    session = manager.create("ada", ttl=10)
    clock.advance(10)
    assert manager.authenticate(session.token) is None
    assert manager.count() == 0


def test_events_in_memory_are_heard(make_manager):
    manager = make_manager(url="memory://")
    with manager.events() as events:
        session = manager.create("ada")
        assert next(events).session_id == session.session_id


@pytest.mark.parametrize("missing", ["fakeredis", "lupa"])
def test_memory_without_its_extra_says_what_to_install(monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match=r'pip install "redisess\[memory\]"'):
        SessionManager("memory://")


def test_a_manager_on_redis_needs_no_extra(redis_url):
    story = (
        "import sys\n"
        "sys.modules['fakeredis'] = sys.modules['lupa'] = None\n"
        "from redisess_core import SessionManager\n"
        f"with SessionManager({redis_url!r}, namespace='plain') as manager:\n"
        "    print(manager.authenticate(manager.create('ada').token).user_id)\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "assert not loaded & {'flask', 'werkzeug', 'starlette', 'fastapi', 'django', 'typer'}, loaded\n"
    )
    command = [sys.executable, "-W", "error", "-c", story]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ran.stdout, ran.stderr) == ("ada\n", "")


# ---- unix://, rediss://, redis://


def test_a_unix_socket_is_reached_by_its_url(make_manager, start_server):
    server = start_server()
    path = server.directory / "redis.sock"
    server.arguments = ("--unixsocket", str(path))
    server.restart()
    manager = make_manager(url=f"unix://{path}")
    assert manager.authenticate(manager.create("ada").token).user_id == "ada"
    assert {client["addr"].split(":")[0] for client in server.client().client_list()} >= {str(path)}


@pytest.mark.parametrize(("kind", "wanted"), [(SessionManager, redis.SSLConnection)])
def test_rediss_is_tls(kind, wanted):
    manager = kind("rediss://127.0.0.1:1/0")
    assert issubclass(pool_of(manager)[0].connection_class, wanted)


@pytest.mark.parametrize("colour", ["async"])
def test_rediss_is_tls_in_an_event_loop_too(make_manager):
    pool, _ = pool_of(make_manager(url="rediss://127.0.0.1:1/0"))
    assert issubclass(pool.connection_class, redis.asyncio.SSLConnection)


def test_a_url_names_the_database_the_user_and_the_password(make_manager, start_server):
    server = start_server("--requirepass", "p@ss/word")
    server.client().execute_command("ACL", "SETUSER", "app", "on", ">s:e/c", "~*", "&*", "+@all")
    manager = make_manager(url=f"redis://app:s%3Ae%2Fc@127.0.0.1:{server.port}/3")
    manager.create("ada")
    with redis.Redis(port=server.port, password="p@ss/word", db=3) as client:
        assert client.dbsize() > 0
        assert {each["user"] for each in client.client_list()} == {"app", "default"}
    assert server.client().dbsize() == 0


def test_a_manager_waits_a_second_at_most_unless_its_url_says_otherwise(make_manager, redis_url):
    _, arguments = pool_of(make_manager(url=redis_url))
    assert (arguments["socket_timeout"], arguments["socket_connect_timeout"]) == (1.0, 1.0)
    _, arguments = pool_of(make_manager(url="redis://127.0.0.1:1/0?socket_timeout=0.25&socket_connect_timeout=2"))
    assert (arguments["socket_timeout"], arguments["socket_connect_timeout"]) == (0.25, 2.0)


def test_a_server_that_does_not_answer_is_given_up_in_the_time_that_the_url_says(make_manager, start_server):
    server = start_server()
    manager = make_manager(url=f"{server.url}?socket_timeout=0.1")
    manager.count()
    server.pause()
    with pytest.raises(StoreUnavailable, match="Timeout"):  # the server does not answer before it is resumed
        manager.count()
    server.resume()
    assert manager.count() == 0


def test_a_connection_that_broke_meanwhile_is_made_anew(make_manager, redis_client):
    manager = make_manager()
    session = manager.create("ada")
    ours = redis_client.client_id()
    for each in redis_client.client_list():
        if int(each["id"]) != ours:
            redis_client.client_kill_filter(_id=each["id"])
    assert manager.authenticate(session.token).user_id == "ada"


@pytest.mark.parametrize("requests", [150])
def test_a_burst_of_requests_while_redis_is_slow_is_answered_and_nobody_is_turned_away(
    make_manager, start_server, requests
):
    server = start_server()
    manager = make_manager(url=f"{server.url}?socket_timeout=20&socket_connect_timeout=20")
    token = manager.create("ada").token
    server.pause()
    with ThreadPoolExecutor(requests) as pool:
        answers = [pool.submit(manager.authenticate, token) for _ in range(requests)]
        wait(answers, timeout=0.5, return_when=FIRST_EXCEPTION)  # until all wait for Redis, or one is turned away
        server.resume()
        assert {answer.result().user_id for answer in answers} == {"ada"}


@pytest.mark.parametrize("kind", [SessionManager, AsyncSessionManager])
@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix", "memory"])
def test_every_documented_scheme_is_taken_without_any_io(kind, scheme):
    kind(f"{scheme}://nowhere.invalid/0" if scheme != "memory" else "memory://")
