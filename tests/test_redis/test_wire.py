"""What reaches Redis: one command an operation, all its keys in one slot, and no more written than has changed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from every_operation import NAMESPACE, ONE_SESSION, ONE_USER, OPERATIONS, new_session, run_every_operation

import redisess_core
from redisess_core.scripts import script

pytestmark = pytest.mark.one_shard
WRITING = {"HSET", "HDEL", "ZADD", "ZREM", "DEL", "PEXPIRE", "PERSIST", "RENAME", "SET", "SETNX", "PUBLISH"}
SCRIPTS = Path(redisess_core.__file__).parent / "lua"
SHARD_KEYS = ("activity", "expiry", "users")


@pytest.fixture(scope="module", autouse=True)
def _scripts_are_known(redis_server):
    for path in SCRIPTS.glob("*.lua"):
        redis_server.client().script_load(script(path.stem).source)


@pytest.fixture
def manager(make_manager):
    """A manager by the server's clock, past its first operation."""
    manager = make_manager(additional_fields=("role",))
    manager.count()
    return manager


@pytest.fixture
def clocked(make_manager, clock):
    """The same by `clock`, as `filler` is."""
    manager = make_manager(additional_fields=("role",), clock=clock)
    manager.count()
    return manager


def keys_of(command):
    """The keys that an EVALSHA declares."""
    return command.args[2 : 2 + int(command.args[1])]


def tag_of(key):
    return re.match(r"\{[^{}]+\}", key)[0]


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_one_command_and_its_keys_are_declared_and_in_one_slot(manager, wire, redis_client, name):
    session, tag = new_session(manager), f"{{{manager.namespace}:0}}"
    with wire() as seen:
        OPERATIONS[name](manager, session)
    assert seen.names == ["EVALSHA"]

    declared = redis_client.command_getkeys(*seen.commands[0].words)
    assert tuple(declared) == keys_of(seen.commands[0])
    assert {tag_of(key) for key in declared} == {tag}
    assert declared[:3] == [f"{tag}:{index}" for index in SHARD_KEYS]
    if name.startswith("create"):
        assert re.fullmatch(rf"{re.escape(tag)}:s:saa[0-9a-f]{{25}}", declared[3])
    elif name in ONE_SESSION:
        assert declared[3] == f"{tag}:s:{session.session_id}"
    elif name in ONE_USER:
        assert declared[3] == f"{tag}:u:ada"

    touched = {word for each in seen.in_scripts for word in each.args if word.startswith("{")}
    assert {tag_of(key) for key in touched} <= {tag}
    in_an_index = {key for key in touched - set(declared) if re.match(rf"{re.escape(tag)}:(s|u):", key)}
    assert touched - set(declared) - in_an_index <= {f"{tag}:events"}
    if name in ONE_SESSION:
        assert not [key for key in in_an_index if ":s:" in key]


@pytest.mark.parametrize("name", {**ONE_SESSION, **ONE_USER})
def test_an_operation_on_a_session_that_is_gone_is_one_command_too(manager, wire, name):
    session = new_session(manager)
    manager.kill_all()
    with wire() as seen:
        try:
            OPERATIONS[name](manager, session)
        except Exception as error:
            if type(error).__name__ != "SessionGone":
                raise
    assert seen.names == ["EVALSHA"]


@pytest.mark.parametrize("name", {**ONE_SESSION, **ONE_USER})
def test_on_many_shards_an_operation_on_one_session_or_user_is_one_command_as_well(make_manager, wire, name):
    options = {"additional_fields": ("role",), "namespace": "sharded", "shards": 8}
    manager = make_manager(**options)
    session = new_session(manager)
    with wire() as seen:
        OPERATIONS[name](manager, session)
    # Only a sign-in that changes the shard takes two: the new session is created, then the old one killed.
    assert seen.names == ["EVALSHA"] * (2 if name == "rotate to another user" else 1)


def test_a_namespaces_operation_is_one_command_a_shard(make_manager, wire):
    manager = make_manager(additional_fields=("role",), namespace="sharded", shards=4)
    manager.count()
    for name in ("count", "count_users", "get_all_sessions", "get_all_users", "iter_sessions", "iter_users", "wipe"):
        with wire() as seen:
            NAMESPACE[name](manager, None)
        assert seen.names == ["EVALSHA"] * 4, name
        assert len({tag_of(keys_of(command)[0]) for command in seen}) == 4, name


@pytest.mark.parametrize("name", ["create", "authenticate", "kill", "kill_user", "count", "iter_sessions", "now"])
def test_a_managers_first_operation_is_one_command_more(make_manager, manager, wire, name):
    session, fresh = new_session(manager), make_manager(additional_fields=("role",))
    with wire() as seen:
        OPERATIONS[name](fresh, session)
        fresh.exists(session.session_id)
    assert seen.names == ["EVALSHA"] * 3
    assert keys_of(seen.commands[0])[0].endswith(":layout")


def test_a_server_that_does_not_know_a_script_is_sent_it_once(make_manager, start_server, wire):
    server = start_server()
    manager = make_manager(url=server.url)
    manager.count()
    with wire(server) as seen:
        session = manager.create("ada")
        manager.create("ada")
        manager.get(session.session_id)
        manager.get(session.session_id)
    assert seen.names == ["EVALSHA", "EVAL", "EVALSHA", "EVALSHA", "EVAL", "EVALSHA"]


def test_with_a_clock_of_ones_own_now_asks_nobody(make_manager, clock, wire):
    manager = make_manager(clock=clock)
    with wire() as seen:
        manager.now()
    assert seen.commands == []


# ---- what costs nothing

RANDOM = "a" * 26
MALFORMED_TOKENS = {
    "nothing like one": "nonsense",
    "a session id": "saa" + "0" * 25,
    "too short": "1aa" + RANDOM[:-1],
    "too long": "1aa" + RANDOM + "a",
    "another version": "2aa" + RANDOM,
    "capitals": "1aa" + RANDOM.upper(),
    "digits that base32 has not": "1aa" + "0" * 26,
    "a line end": "1aa" + RANDOM + "\n",
    "a space before": " 1aa" + RANDOM,
    "a shard out of range": "1ab" + RANDOM,
    "the last shard there can be": "177" + RANDOM,
    "other letters": "1aa" + "ä" * 26,
    "digits of another script": "1aa" + "٣" * 26,
    "a nul": "1aa" + "\0" * 26,
    "a lone surrogate": "1aa" + "\ud800" * 26,
    "long": "1" * 100_000,
    "a glob": "1aa" + "*" * 26,
    "braces": "1aa}{" + RANDOM[2:],
}
HEX = "0" * 25
MALFORMED_IDS = {
    "nothing like one": "nonsense",
    "a token": "1aa" + RANDOM,
    "too short": "saa" + HEX[:-1],
    "too long": "saa" + HEX + "0",
    "another first character": "taa" + HEX,
    "capitals": "saa" + "A" * 25,
    "letters that hex has not": "saa" + "g" * 25,
    "a line end": "saa" + HEX + "\n",
    "a shard out of range": "sab" + HEX,
    "digits of another script": "saa" + "٣" * 25,
    "a lone surrogate": "saa" + "\ud800" * 25,
    "long": "s" * 100_000,
}


@pytest.mark.parametrize("name", MALFORMED_TOKENS)
def test_a_malformed_token_never_reaches_redis(make_manager, wire, name):
    manager = make_manager()
    with wire() as seen:
        assert manager.authenticate(MALFORMED_TOKENS[name]) is None
        assert manager.authenticate(MALFORMED_TOKENS[name], touch=False) is None
    assert seen.commands == []


@pytest.mark.parametrize("name", MALFORMED_IDS)
def test_a_malformed_session_id_never_reaches_redis(make_manager, wire, name):
    manager, malformed = make_manager(), MALFORMED_IDS[name]
    with wire() as seen:
        assert manager.get(malformed) is None
        assert manager.exists(malformed) is False
        assert manager.kill(malformed) is False
        assert manager.kill(malformed, user_id="ada") is False
    assert seen.commands == []


def test_a_well_formed_one_is_looked_up(manager, wire):
    with wire() as seen:
        assert manager.authenticate("1aa" + RANDOM) is None
        assert manager.get("saa" + HEX) is None
    assert seen.names == ["EVALSHA"] * 2


def test_a_token_of_the_last_shard_is_looked_up_and_one_beyond_is_not(make_manager, wire):
    manager = make_manager(shards=3, namespace="sharded")
    manager.authenticate("1aa" + RANDOM)
    with wire() as seen:
        manager.authenticate("1ac" + RANDOM)
        manager.authenticate("1ad" + RANDOM)
        manager.get("sac" + HEX)
        manager.get("sad" + HEX)
    assert [tag_of(keys_of(command)[0]) for command in seen] == ["{sharded:2}"] * 2


def test_what_is_only_read_of_a_loaded_session_costs_nothing(manager, wire):
    session = new_session(manager)
    with wire() as seen:
        for name in ("user_id", "ttl", "created", "expires_in", "idle", "valid", "fields", "role", "data"):
            getattr(session, name)
        session.role = "admin"
        repr(session)
    assert seen.commands == []


# ---- keys


def test_the_namespaces_record_is_the_key_of_a_command_of_its_own(make_manager, wire, namespace):
    with wire() as seen:
        make_manager().count()
    first = next(command for command in seen if command.name == "EVALSHA")
    assert keys_of(first) == (f"{{{namespace}}}:layout",)
    assert {key for key in keys_of(seen.commands[-1]) if "layout" in key} == set()


# ---- what is read and written inside


def writes(seen):
    return [command for command in seen.in_scripts if command.name in WRITING]


def test_a_look_within_the_touch_interval_writes_nothing(make_manager, clock, wire):
    manager = make_manager(clock=clock)
    session = manager.create("ada", data={"a": 1})
    clock.advance(0.5)
    with wire() as seen:
        manager.authenticate(session.token)
        manager.get(session.session_id)
    assert [command.name for command in seen.in_scripts if command.name != "TIME"] == ["HGETALL"] * 2


@pytest.mark.parametrize(
    "look",
    [
        lambda manager, session: manager.authenticate(session.token, touch=False),
        lambda manager, session: manager.get(session.session_id, touch=False),
        lambda manager, session: manager.get_oldest_user_session("ada", touch=False),
        lambda manager, session: manager.exists(session.session_id),
        lambda manager, session: manager.list_user_sessions("ada"),
        lambda manager, session: list(manager.iter_sessions()),
        lambda manager, session: manager.count(),
        lambda manager, session: manager.get_all_users(),
        lambda manager, session: session.read(),
        lambda manager, session: session.get_all(),
        lambda manager, session: session.get("a"),
        lambda manager, session: manager.authenticate("1aa" + RANDOM),
        lambda manager, session: manager.kill("saa" + HEX),
    ],
)
def test_what_only_looks_writes_nothing(make_manager, clock, wire, look):
    manager = make_manager(clock=clock)
    session = manager.create("ada", data={"a": 1})
    clock.advance(100)
    with wire() as seen:
        look(manager, session)
    assert writes(seen) == []


def test_only_what_changed_is_written(manager, wire):
    session = manager.create("ada", data={"a": "1", "b": "2", "c": "3"}, role="user")

    def stored():
        fields = [field for each in writes(seen) if each.name == "HSET" for field in each.args[1::2]]
        return {field for field in fields if field[1:2] == ":"}

    with wire() as seen:
        session.set("b", "changed")
    assert stored() == {"d:b"}
    session.role = "admin"
    with wire() as seen:
        session.write()
    assert stored() == {"f:role"}
    with wire() as seen:
        session.delete("c")
    assert stored() == set()
    assert [each.args[1:] for each in writes(seen) if each.name == "HDEL"] == [("d:c",)]


def test_writing_data_moves_no_index(manager, wire):
    session = new_session(manager)
    with wire() as seen:
        session.set("a", 2)
    assert {command.name for command in writes(seen)} == {"HSET"}


def test_nothing_unbounded_is_ever_run(manager, wire):
    with wire() as seen:
        run_every_operation(manager)
    ran = {command.name for command in seen.in_scripts}
    assert not ran & {"KEYS", "SCAN", "SMEMBERS", "FLUSHDB", "FLUSHALL", "HSCAN", "SORT"}
    for command in seen.in_scripts:
        if command.name in ("ZRANGE", "ZREVRANGE"):
            assert 0 <= int(command.args[2]) - int(command.args[1]) < 1000, command
        elif command.name.startswith("ZRANGEBY"):
            assert int(command.args[command.args.index("LIMIT") + 2]) <= 1000, command
        elif command.name == "ZSCAN":
            assert int(command.args[command.args.index("COUNT") + 1]) < 1000, command


# ---- slices: the exceptions that are named


def test_a_user_with_more_sessions_than_a_slice_takes_one_command_more_a_slice(clocked, filler, wire):
    for _ in range(120):
        filler.create("ada")
    with wire() as seen:
        assert len(clocked.list_user_sessions("ada")) == 120
    assert seen.names == ["EVALSHA"] * 2
    with wire() as seen:
        assert clocked.kill_user("ada") == 120
    assert seen.names == ["EVALSHA"] * 5
    with wire() as seen:
        assert clocked.count_for_user("ada") == 0
    assert seen.names == ["EVALSHA"]


def test_no_script_ends_more_than_a_hundred_sessions_or_replies_with_more_than_a_thousand(clocked, filler, clock, wire):
    for _ in range(1100):
        filler.create("ada", ttl=10)
    with wire() as seen:
        assert len(clocked.get_all_sessions()) == 1100
    assert 2 <= len(seen) <= 4
    clock.advance(10)
    with wire() as seen:
        assert clocked.count() == 0
    assert len(seen) >= 11
    ended, in_one = 0, []
    for command in seen.in_scripts:  # each slice begins with a look at what is due
        if command.name == "ZRANGEBYSCORE":
            in_one.append(ended)
            ended = 0
        ended += command.name == "DEL"
    assert max([*in_one, ended]) <= 100


def test_a_namespace_is_read_by_pages(clocked, filler, wire):
    for number in range(250):
        filler.create(f"user{number}")
    with wire() as seen:
        assert len({session.session_id for session in clocked.iter_sessions()}) == 250
    assert set(seen.names) == {"EVALSHA"}
    assert 5 <= len(seen) <= 8  # a scan gives some more or less than a page's size


def test_an_iteration_reads_no_page_before_it_is_asked_for(clocked, filler, wire):
    for _ in range(250):
        filler.create("ada")
    with wire() as seen:
        sessions = iter(clocked.iter_sessions())
    assert seen.commands == []
    with wire() as seen:
        for _ in range(25):
            next(sessions)
    assert seen.names == ["EVALSHA"]
    with wire() as seen:
        assert len(list(sessions)) >= 200
    assert 4 <= len(seen) <= 7
