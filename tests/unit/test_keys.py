"""The names of the keys: one slot a shard, and no name that could be two things."""

from __future__ import annotations

import re

import pytest
from redis.crc import key_slot

from redisess_core import keys
from redisess_core.keys import ShardKeys, layout_key

SESSION_ID = "saa" + "0" * 25
NAMESPACES = ["sessions", "a:b", "é", " ", "a" * 256, "x:0"]


def every_key(shard):
    users = [shard.user(b"ada"), shard.user("é{}".encode())]
    return [*shard.indexes, shard.events, shard.session(SESSION_ID), shard.once(SESSION_ID), *users]


def test_the_names_are_fixed_for_good():
    shard = ShardKeys("sessions", 7)
    assert shard.activity == b"{sessions:7}:activity"
    assert shard.indexes == (b"{sessions:7}:activity", b"{sessions:7}:expiry", b"{sessions:7}:users")
    assert shard.users == b"{sessions:7}:users"
    assert shard.events == b"{sessions:7}:events"
    assert shard.session(SESSION_ID) == b"{sessions:7}:s:" + SESSION_ID.encode()
    assert shard.once(SESSION_ID) == b"{sessions:7}:once:" + SESSION_ID.encode()
    assert shard.user("é".encode()) == b"{sessions:7}:u:\xc3\xa9"
    assert shard.number == 7
    assert layout_key("sessions") == b"{sessions}:layout"


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("number", [0, 63])
def test_all_keys_of_a_shard_are_in_one_slot(namespace, number):
    shard = ShardKeys(namespace, number)
    assert len({key_slot(key) for key in every_key(shard)}) == 1
    assert all(key.startswith(shard.prefix) for key in every_key(shard))


def test_shards_are_spread_over_slots():
    assert len({key_slot(ShardKeys("sessions", number).activity) for number in range(64)}) == 64


def test_no_two_things_have_one_name():
    names = [
        key for namespace in NAMESPACES for number in (0, 1, 10) for key in every_key(ShardKeys(namespace, number))
    ]
    names += [layout_key(namespace) for namespace in NAMESPACES]
    assert len(set(names)) == len(names)
    shard = ShardKeys("sessions", 0)
    for odd in (b"activity", b"", b"s:" + SESSION_ID.encode(), b"a:b"):
        assert shard.user(odd) not in {*shard.indexes, shard.events, shard.session(SESSION_ID)}


def test_the_scripts_find_the_prefix_in_the_first_key_as_it_is_made_here():
    shard = ShardKeys("sessions", 0)
    assert shard.activity[: -len("activity")] == shard.prefix  # include/shard.lua cuts off 8 bytes
    assert len("activity") == 8


def test_keys_are_bytes_whatever_a_clients_encoding():
    assert all(type(key) is bytes for key in [*every_key(ShardKeys("é", 0)), layout_key("é")])


def test_a_namespace_is_between_the_braces_whole():
    for namespace in NAMESPACES:
        found = re.match(rb"\{(.*):(\d+)\}:", ShardKeys(namespace, 3).prefix)
        assert (found[1].decode(), found[2]) == (namespace, b"3")


def test_a_key_object_holds_nothing_else():
    with pytest.raises(AttributeError):
        keys.ShardKeys("sessions", 0).another = 1
