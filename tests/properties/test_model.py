"""Random stories, told to both managers and to a plain model: whatever they are asked, they say the same."""

from __future__ import annotations

import math
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from redisess_core import AsyncSessionManager, SessionManager
from redisess_core.connect import connect
from redisess_core.urls import check_url
from support.both import wrap
from support.clients import async_client_of
from support.clock import START, FakeClock
from support.model import Lane

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis
    from anyio.abc import BlockingPortal

USERS = ["ann", "bob", "{c}:ünï"]
KEYS = ["k", "l", "m:d:x"]
FIELDS = ["name", "level"]

users = st.sampled_from(USERS)
anybody = st.none() | users
secs = st.sampled_from([0, 0.25, 1, 5, 10.5, 1000])
ttls = st.sampled_from([None, None, 0, 0, 0.5, 7, 40.25, 2000])
lifetimes = st.sampled_from([None, None, None, 0, 3.5, 30, 5000])
values = st.integers(-3, 3) | st.sampled_from(["", "text", [1, {"a": (2, None)}]])
data = st.dictionaries(st.sampled_from(KEYS), values, max_size=3)
some_keys = st.lists(st.sampled_from(KEYS), max_size=2, unique=True)
fields = st.dictionaries(st.sampled_from(FIELDS), values, max_size=2)
WITH_A_TOUCH = {"touch": True, "hold": True}
_examples = count(1)


@dataclass(frozen=True)
class Place:
    """Where the lanes' managers keep their sessions."""

    raw: redis.Redis
    portal: BlockingPortal
    client: Any  # what a blocking manager is made with
    client_async: Any  # and an async one
    shards: int
    colours: tuple[str, ...] = ("blocking", "async")

    def lane(self, colour: str, namespace: str, clock: FakeClock, options: dict[str, Any]) -> Lane:
        arguments = {**options, "namespace": namespace, "clock": clock, "shards": self.shards}
        if colour == "blocking":
            return Lane(SessionManager(self.client, **arguments), self.raw, clock)
        manager = self.portal.call(lambda: AsyncSessionManager(self.client_async, **arguments))
        return Lane(wrap(manager, self.portal), self.raw, clock)


class Stories(RuleBasedStateMachine):
    """Each rule does the same in every lane; a handle stands for what a program holds on to."""

    handles = Bundle("handles")

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place, self.clock, self.numbers = place, FakeClock(), count(1)
        self.lanes: list[Lane] = []

    @initialize(
        start=st.sampled_from([START, START, 0.5, 12345.678, 1e11]),
        options=st.fixed_dictionaries(
            {
                "additional_fields": st.just(FIELDS),
                "ttl": st.sampled_from([30, 30, 0, 8.5, 900]),
                "max_lifetime": st.sampled_from([None, None, 20.25, 4000]),
                "touch_interval": st.sampled_from([1.0, 0, 5]),
                "max_sessions_per_user": st.sampled_from([None, None, 1, 2, 3]),
                "on_limit": st.sampled_from(["evict", "refuse"]),
            }
        ),
    )
    def begin(self, start, options):
        self.clock.set(start)
        number = next(_examples)
        for colour in self.place.colours:
            self.lanes.append(self.place.lane(colour, f"story{number}{colour}", self.clock, options))

    def new_handle(self) -> int:
        return next(self.numbers)

    # Hypothesis picks rules evenly: what makes a story rich is there more than once, looks share few.

    def in_each_lane(self, what: str, *args: Any, **kwargs: Any) -> None:
        for lane in self.lanes:
            getattr(lane, what)(*args, **kwargs)

    @rule(target=handles, user=anybody, ttl=ttls, lifetime=lifetimes, data=data, fields=fields)
    def create(self, user, ttl, lifetime, data, fields):
        handle = self.new_handle()
        self.in_each_lane("create", handle, user, ttl=ttl, lifetime=lifetime, data=data, fields=fields)
        return handle

    @rule(target=handles, user=users)
    def create_one_more(self, user):
        return self.create(user, None, None, {}, {})

    @rule(target=handles, user=anybody, ttl=ttls)
    def create_with_a_ttl(self, user, ttl):
        return self.create(user, ttl, None, {}, {})

    @rule(handle=handles, how=st.sampled_from(["authenticate", "get"]), touch=st.booleans(), hold=st.booleans())
    def open(self, handle, how, touch, hold):
        self.in_each_lane(how, handle, touch=touch, hold=hold)

    @rule(handle=handles, how=st.sampled_from(["exists", "read", "read_data"]), keys=some_keys)
    def read(self, handle, how, keys):
        self.in_each_lane(how, handle, *([keys] if how == "read_data" else []))

    @rule(handle=handles, ttl=ttls, fields=fields)
    def write(self, handle, ttl, fields):
        self.in_each_lane("write", handle, ttl=ttl, fields=fields)

    @rule(handle=handles, changes=data, deleted=some_keys)
    def change_data(self, handle, changes, deleted):
        self.in_each_lane("change_data", handle, changes, deleted)

    @rule(target=handles, handle=handles, user=anybody, ttl=ttls, fields=fields)
    def rotate(self, handle, user, ttl, fields):
        retired = self.new_handle()
        self.in_each_lane("rotate", handle, retired, user, ttl=ttl, fields=fields)
        return retired

    @rule(
        handle=handles,
        how=st.sampled_from(["kill", "kill", "kill_held", "kill_user", "kill_user", "kill_all"]),
        owner=st.none() | users,
        user=users,
        keep=st.lists(handles, max_size=3),
    )
    def end(self, handle, how, owner, user, keep):
        arguments = {"kill": (handle, owner), "kill_held": (handle,), "kill_user": (user, keep), "kill_all": ()}
        self.in_each_lane(how, *arguments[how])

    @rule(target=handles, user=users, how=st.sampled_from(["oldest", "list_for_user"]), secs=secs, touch=st.booleans())
    def find(self, user, how, secs, touch):
        handle = self.new_handle()
        if how == "oldest":
            self.in_each_lane("oldest", user, handle, touch=touch)
        else:
            self.in_each_lane("list_for_user", user, secs, handle)
        return handle

    @rule(
        secs=secs,
        how=st.sampled_from(["count", "count_users", "count_for_user", "list_all", "list_users", "iterate", "look"]),
        user=users,
    )
    def look(self, secs, how, user):
        """One look at a time: each alone has to leave out what nothing has swept yet."""
        self.in_each_lane(how, *([user] if how == "count_for_user" else []), secs)

    @rule(seconds=st.sampled_from([0.001, 0.25, 1, 1, 3.5, 10, 45, 3000]) | st.floats(0.001, 50))
    def advance(self, seconds):
        self.clock.advance(seconds)

    @precondition(lambda self: any(one.expires < math.inf for one in self.lanes[0].live().values()))
    @rule(
        moment=st.sampled_from(["at", "at", "before", "after"]),
        which=st.integers(0, 2),
        how=st.sampled_from(["exists", "authenticate", "read_data", "write", "list_for_user", "iterate", "oldest"]),
    )
    def advance_to_an_end(self, moment, which, how):
        """Live while now < expires, to the last bit: whoever looks first."""
        ends = sorted(one.expires for one in self.lanes[0].live().values() if one.expires < math.inf)
        end = ends[min(which, len(ends) - 1)]
        before = max(self.clock(), math.nextafter(end, 0))
        self.clock.set({"at": end, "before": before, "after": math.nextafter(end, math.inf)}[moment])
        self.in_each_lane("look_first", how)

    @rule(handle=handles, seconds=st.sampled_from([0.06, 0.3, 0.8, 1, 3.2, 25]))
    def come_back(self, handle, seconds):
        self.clock.advance(seconds)
        self.in_each_lane("authenticate", handle, **WITH_A_TOUCH)

    @rule(repair=st.booleans())
    def verify(self, repair):
        """A repair is one more thing that changes nothing where nothing is wrong."""
        self.in_each_lane("verify", repair)

    @rule()
    def wipe(self):
        self.in_each_lane("settle")

    @rule(handle=handles, seconds=st.sampled_from([0.001, 0.5, 2, 60, 10_000]), how=st.sampled_from(["write", "get"]))
    def go_back(self, handle, seconds, how):
        """Wiped before: what has expired must not come back with the clock."""
        self.in_each_lane("settle")
        self.clock.advance(-seconds)
        self.in_each_lane("go_back")
        self.in_each_lane(how, handle, **({"ttl": None, "fields": {}} if how == "write" else WITH_A_TOUCH))

    # Always

    @invariant()
    def every_key_goes_in_time(self):
        self.in_each_lane("look_at_keys")

    def teardown(self):
        try:
            for lane in self.lanes:
                lane.finish()
        finally:
            for lane in self.lanes:
                lane.close()
                lane.manager.close()


@contextmanager
def real_place(server: Any, shards: int) -> Iterator[Place]:
    with ExitStack() as ends:
        raw, client = server.client(), server.client()
        portal = ends.enter_context(start_blocking_portal("asyncio"))
        client_async = portal.call(async_client_of, server.url)
        ends.callback(portal.call, client_async.aclose)
        yield Place(raw, portal, client, client_async, shards)


@contextmanager
def memory_place(shards: int) -> Iterator[Place]:
    with start_blocking_portal("asyncio") as portal:
        yield Place(connect(check_url("memory://")), portal, "memory://", "memory://", shards)


def tell(place: Place, examples: int, steps: int, **options: Any) -> None:
    checks = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        **options,
    )
    run_state_machine_as_test(lambda: Stories(place), settings=checks)


@pytest.mark.long
@pytest.mark.parametrize("shards", [1, 4])
def test_both_managers_do_as_the_model_says(redis_server, shards):
    with real_place(redis_server, shards) as place:
        tell(place, 30, 40, derandomize=True)


@pytest.mark.long
@pytest.mark.parametrize("shards", [1, 4])
def test_the_embedded_server_does_as_the_model_says(shards):
    with memory_place(shards) as place:
        tell(place, 6, 25, derandomize=True)


@pytest.mark.soak
@pytest.mark.parametrize(("shards", "examples"), [(1, 400), (4, 400), (64, 60)])
def test_both_managers_do_as_the_model_says_for_long(redis_server, shards, examples):
    with real_place(redis_server, shards) as place:
        tell(place, examples, 50)


@pytest.mark.soak
def test_the_embedded_server_does_as_the_model_says_for_long():
    with memory_place(2) as place:
        tell(place, 150, 50)
