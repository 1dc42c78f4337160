"""Which Redis the tests of the core share: one server or, where `REDISESS_TOPOLOGY` says so, a cluster."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from support.clients import client_of
from support.laboratory import Cluster
from support.server import Server
from support.wire import Seen, watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

SELECTOR = "REDISESS_TOPOLOGY"
ON_A_CLUSTER = os.environ.get(SELECTOR, "server") == "cluster"
_BETWEEN = "what loses the answers stands between a manager and one server"
ONE_SERVER = {  # tests that do not run on a cluster, and why
    "test_what_a_script_reads_is_seen": "a cluster itself refuses what the check is to find",
    "test_it_goes_by_pages_and_scripts_only": "each node is read by pages of its own",
    "test_a_create_whose_answer_got_lost_makes_one_session": _BETWEEN,
    "test_a_rotation_whose_answer_got_lost_is_done_once": _BETWEEN,
    "test_a_sign_in_across_shards_whose_answer_got_lost_is_done_once": _BETWEEN,
    "test_a_write_whose_answer_got_lost_is_there": _BETWEEN,
    "test_a_kill_whose_answer_got_lost_sticks": _BETWEEN,
    "test_an_answer_that_is_lost_again_and_again_is_an_error": _BETWEEN,
    "test_a_sign_in_into_another_shard_is_told_as_one_within_a_shard_is": "word of two nodes comes in no order",
}


class SharedCluster(Cluster):
    """Three primaries that keep nothing on disk, with what the tests know of a `Server`."""

    def __init__(self) -> None:
        super().__init__(3, 0, "--appendonly", "no")

    def client(self) -> redis.RedisCluster:
        """Make a client of the whole cluster, closed with it."""
        client: redis.RedisCluster = client_of(self.url)
        self._ends.callback(client.close)
        return client


def shared() -> Server | SharedCluster:
    """Start what the tests share."""
    return SharedCluster() if ON_A_CLUSTER else Server()


@contextmanager
def watch_all(shared: Server | Cluster) -> Iterator[Seen]:
    """See every command that reaches any node, in the order of the nodes' common clock."""
    if isinstance(shared, Server):
        with watch(shared) as seen:
            yield seen
        return
    seen = Seen()
    with ExitStack() as watching:
        each = [watching.enter_context(watch(server)) for server in shared.servers]
        yield seen
    by_node = [command for of_one in each for command in of_one.reported]
    seen.end(sorted(by_node, key=lambda command: command.at))
    seen.reported = by_node  # whole scripts, one after the other
