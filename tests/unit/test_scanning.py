"""The pages of a keyspace: those of a server, or of a cluster's primaries in turn."""

from __future__ import annotations

from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
import redis
import redis.asyncio

from redisess_core import StoreUnavailable
from redisess_core.keys import namespace_pattern
from redisess_core.operation import Scan
from redisess_core.scanning import arguments_of, begun, scanned

FIRST = Scan(b"{shop:*}:[su]:*", 500)


def cluster(kind, *names):
    """A client of a cluster of these primaries."""
    nodes = {name: SimpleNamespace(name=name) for name in names}
    client = create_autospec(kind, instance=True)
    client.get_primaries.return_value = list(nodes.values())
    client.get_node.side_effect = lambda *, node_name: nodes.get(node_name)
    return client


def test_a_server_is_read_page_by_page():
    client = create_autospec(redis.Redis, instance=True)
    page = begun(client, FIRST)
    assert arguments_of(client, page) == {"cursor": 0, "match": FIRST.match, "count": 500}
    one = scanned(page, (7, [b"a", b"b"]))
    assert (one.keys, arguments_of(client, begun(client, one.following))["cursor"]) == ([b"a", b"b"], 7)
    assert scanned(one.following, (0, [])).following is None


@pytest.mark.parametrize("kind", [redis.RedisCluster, redis.asyncio.RedisCluster])
def test_a_cluster_is_read_primary_by_primary(kind):
    client, read, page = cluster(kind, "b:1", "a:1", "c:1"), [], FIRST
    while page is not None:
        page = begun(client, page)
        arguments = arguments_of(client, page)
        node = arguments["target_nodes"].name
        read.append((node, arguments["cursor"]))
        page = scanned(page, ({node: 0 if arguments["cursor"] else 9}, [b"key"])).following
    assert read == [(node, cursor) for node in ("a:1", "b:1", "c:1") for cursor in (0, 9)]


def test_a_node_that_left_the_cluster_is_not_passed_over():
    client = cluster(redis.RedisCluster, "a:1", "b:1")
    page = begun(client, FIRST)
    left = scanned(page, ({"a:1": 0}, [])).following
    with pytest.raises(StoreUnavailable, match="b:1"):
        arguments_of(cluster(redis.RedisCluster, "a:1"), left)


@pytest.mark.parametrize(
    ("namespace", "pattern"),
    [
        *(("shop", rb"shop"), ("a*b?c", rb"a\*b\?c"), ("[x]^-", rb"\[x\]\^\-")),
        *(("\\", rb"\\"), ("ünï", "ünï".encode())),
    ],
)
def test_the_pattern_of_a_namespace_takes_its_name_to_the_letter(namespace, pattern):
    assert namespace_pattern(namespace) == b"{" + pattern + b":*}:[su]:*"
