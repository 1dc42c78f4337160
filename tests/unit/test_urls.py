"""URLs that name several servers: what they say, and what is wrong with one; nothing secret is in a message."""

from __future__ import annotations

import pytest
import redis
import redis.asyncio

from redisess_core import AsyncSessionManager, SessionManager
from redisess_core.connect import connect, connect_async
from redisess_core.urls import Topology, check_url

SECRET = "s3cret,with@all"
QUOTED = "s3cret%2Cwith%40all"


def test_a_url_of_a_cluster_names_its_nodes():
    location = check_url("redis+cluster://10.0.0.1:7000,node.example,[::1]:7002")
    assert location.topology is Topology.CLUSTER
    assert location.addresses == (("10.0.0.1", 7000), ("node.example", 6379), ("::1", 7002))


def test_a_url_of_sentinels_names_them_the_service_and_the_database():
    location = check_url("redis+sentinel://10.0.0.1,10.0.0.2:26380/main/3")
    assert location.topology is Topology.SENTINEL
    assert location.addresses == (("10.0.0.1", 26379), ("10.0.0.2", 26380))
    assert (location.service, location.options["db"]) == ("main", 3)


@pytest.mark.parametrize("scheme", ["redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"])
def test_user_password_and_options_are_those_of_every_connection(scheme):
    path = "/main" if "sentinel" in scheme else ""
    options = check_url(f"{scheme}://app:{QUOTED}@one:1,two:2{path}?socket_timeout=5&client_name=web").options
    assert (options["username"], options["password"]) == ("app", SECRET)
    assert (options["socket_timeout"], options["client_name"]) == (5.0, "web")
    assert options.get("ssl", False) == scheme.startswith("rediss")


@pytest.mark.parametrize("place", ["redis://one:1/0", "redis+cluster://one:1", "redis+sentinel://one:1/main"])
@pytest.mark.parametrize("name", ["socket_timeout", "socket_connect_timeout"])
@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "inf"])
def test_a_timeout_that_is_none_is_refused_at_once(place, name, seconds):
    with pytest.raises(ValueError, match=f"{name}={seconds} given, a positive number of seconds wanted"):
        SessionManager(f"{place}?{name}={seconds}")


@pytest.mark.parametrize("kind", [SessionManager, AsyncSessionManager])
@pytest.mark.parametrize(
    ("url", "shards"), [("redis+cluster://nowhere.invalid:1", 64), ("redis+sentinel://nowhere.invalid:1/main", 1)]
)
def test_a_manager_takes_it_without_any_io_and_knows_how_many_shards_it_has(kind, url, shards):
    assert kind(url).shards == shards
    assert kind(url, shards=8).shards == 8


def test_clients_of_a_primary_under_sentinels_wait_a_second_and_ask_the_sentinels_in_the_same_way():
    url = f"rediss+sentinel://app:{QUOTED}@127.0.0.1:1,127.0.0.1:2/main?ssl_cert_reqs=none"
    for client, connection in (
        (connect(check_url(url)), redis.SSLConnection),
        (connect_async(check_url(url)), redis.asyncio.SSLConnection),
    ):
        pool = client.connection_pool
        assert (pool.service_name, pool.is_master) == ("main", True)
        assert issubclass(pool.connection_class, connection)
        arguments = pool.connection_kwargs
        assert (arguments["socket_timeout"], arguments["socket_connect_timeout"]) == (1.0, 1.0)
        assert (arguments["username"], arguments["password"]) == ("app", SECRET)
        for sentinel in pool.sentinel_manager.sentinels:
            asked = sentinel.connection_pool.connection_kwargs
            assert (asked["socket_timeout"], asked["ssl_cert_reqs"]) == (1.0, "none")
            assert issubclass(sentinel.connection_pool.connection_class, connection)
            assert asked.get("password") is None


WRONG = {
    "no address": ("redis+cluster://", "host or port"),
    "an empty address": ("redis+cluster://one:1,,two:2", "host or port"),
    "a port that is none": (f"redis+cluster://app:{QUOTED}@one:x", "host or port"),
    "a password that is not encoded": ("redis+cluster://app:s3cret/x@one:1", "database|host or port"),
    "a database": ("redis+cluster://one:1/2", "a cluster has but 0"),
    "no service": ("redis+sentinel://one:1", "name of a service"),
    "a wrong database": ("redis+sentinel://one:1/main/x", "database"),
    "an unknown option": ("redis+cluster://one:1?nothing=1", "nothing"),
    "a wrong option": ("redis+sentinel://one:1/main?socket_timeout=soon", "socket_timeout"),
    "a service that is none": (f"redis+sentinel://user:{QUOTED}/x@one:1/main", "host or port"),
    "a password of each node": ("redis+cluster://a:s3cret@one:1,a:s3cret@two:2", "host or port"),
    "a password with a question mark": ("redis+cluster://app:1234?s3cret@one:1", "host or port"),
    "a service that is encoded": ("redis+sentinel://one:1/ma%20in", "name of a service"),
    "a database as an option": ("redis+cluster://one:1?db=3", "a cluster has but 0"),
    "an option of no cluster": ("redis+cluster://one:1?retry_on_timeout=true", "retry_on_timeout"),
    "how often to try": ("redis+sentinel://one:1/main?retry=3", "retry"),
    "another scheme": ("unix+cluster://one:1", "begins with 'unix\\+cluster'"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_url_is_refused_before_anything_is_asked(case):
    url, said = WRONG[case]
    for kind in (SessionManager, AsyncSessionManager):
        with pytest.raises(ValueError, match=said) as raised:
            kind(url)
        assert "s3cret" not in str(raised.value)
