"""What was promised holds at the end of a minute in which servers were killed, paused, handed over, and slots moved."""

from __future__ import annotations

import random
import time
from contextlib import ExitStack

import pytest

from redisess_core import SessionManager
from support import soak
from support.laboratory import Cluster, Pair
from support.soak_worker import OPTIONS, SHORT, USERS, VICTIMS

pytestmark = pytest.mark.soak
SECONDS = {"cluster": 60, "sentinel": 25}
SHARDS = {"cluster": 12, "sentinel": 4}


@pytest.mark.parametrize("topology", ["cluster", "sentinel"])
def test_what_was_replicated_outlives_failing_servers_and_the_numbers_are_exact(topology, namespace):
    seed, seconds, shards = soak.seed(), SECONDS[topology], SHARDS[topology]
    print(f"{soak.SEED}={seed}")
    chance = random.Random(seed)
    with ExitStack() as ends:
        place = ends.enter_context(Cluster() if topology == "cluster" else Pair())
        faults = (
            soak.ClusterFaults(place, namespace, shards, chance)
            if topology == "cluster"
            else soak.PairFaults(place, chance)
        )
        manager = ends.enter_context(SessionManager(place.url, namespace=namespace, shards=shards, **OPTIONS))
        manager.create("first")
        with soak.processes(place, seconds, url=place.url, namespace=namespace, shards=shards, seed=seed) as lines:
            faults.go_on_for(seconds - 3)
        print(faults, soak.numbers(lines), sep="\n")
        place.until_whole()
        time.sleep(SHORT)  # what is read while sessions expire is not of one moment
        manager.wipe()
        clients = [server.client() for server in place.servers if place.role(server) == "master"]
        before = soak.read(clients, namespace)
        print(f"before the repair: {len(before.hashes)} sessions, drift {before.drift(namespace)}")
        repair(manager)
        manager.wipe()
        stored = soak.read(clients, namespace)
        print(*faults.done, sep="\n")
        wrong = soak.violations(lines, stored) + stored.drift(namespace)
        assert not wrong, "\n".join(wrong)
        assert_exact(manager, stored)


def repair(manager):
    """Touch and list what there is, as users and pages do in time."""
    if hasattr(manager, "verify"):
        manager.verify(repair=True)
        return
    for session_id in {*manager.get_all_sessions(), *(session.session_id for session in manager.iter_sessions())}:
        manager.get(session_id)
    for user in (*USERS, *VICTIMS):
        manager.list_user_sessions(user)


def assert_exact(manager, stored):
    """Every number and list is that of what is stored."""
    of_user = stored.of_user()
    assert set(manager.get_all_sessions()) == stored.hashes.keys()
    assert {session.session_id for session in manager.iter_sessions()} == stored.hashes.keys()
    assert manager.count() == len(stored.hashes)
    assert set(manager.get_all_users()) == set(manager.iter_users()) == of_user.keys()
    assert manager.count_users() == len(of_user)
    for user in (*USERS, *VICTIMS):
        ids = of_user.get(user, set())
        assert set(manager.get_user_sessions(user)) == ids
        assert {session.session_id for session in manager.list_user_sessions(user)} == ids
        assert manager.count_for_user(user) == len(ids)
    if hasattr(manager, "verify"):
        assert manager.verify().drift == 0
