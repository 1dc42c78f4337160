"""Single flight: whoever comes while an attempt is under way has what becomes of it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis.exceptions import AuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError

from redisess_core.single_flight import AsyncSingleFlight, SingleFlight

MANY = 8


def outcome(fails):
    """Do what is attempted."""
    if fails:
        raise RedisConnectionError("away") from AuthenticationError("no")
    return "there"


def wait_in_attempt(thread_ids):
    """Poll until these threads wait inside `attempt`, each knowing how many attempts it has seen."""
    deadline = time.monotonic() + 60
    while True:
        frames = sys._current_frames()
        if all("seen" in frames[one].f_locals for one in thread_ids() if one in frames) and len(thread_ids()) == MANY:
            return
        assert time.monotonic() < deadline
        time.sleep(0.01)  # nothing tells that a thread waits for a lock: polled for


def outcomes_of_threads(flight, fails):
    """Have many threads attempt at once; give how often the call ran, and what each thread met."""
    ran, inside, begun, go_on = [], set(), threading.Event(), threading.Event()

    def call():
        ran.append(1)
        inside.discard(threading.get_ident())  # it runs, the others wait
        begun.set()
        assert go_on.wait(60)
        return outcome(fails)

    def attempt():
        inside.add(threading.get_ident())
        try:
            return flight.attempt(call)
        except RedisConnectionError as error:
            return error

    with ThreadPoolExecutor(MANY + 1) as pool:
        met = [pool.submit(attempt)]
        assert begun.wait(60)
        met += [pool.submit(attempt) for _ in range(MANY)]
        wait_in_attempt(lambda: set(inside))
        go_on.set()
        return len(ran), [one.result() for one in met]


async def outcomes_of_tasks(flight, fails):
    """Have many tasks attempt at once; give how often the call ran, and what each task met."""
    ran, go_on = [], asyncio.Event()

    async def call():
        ran.append(1)
        await go_on.wait()
        return outcome(fails)

    tasks = [asyncio.create_task(flight.attempt(call)) for _ in range(MANY + 1)]
    for _ in range(3):
        await asyncio.sleep(0)  # all have begun
    go_on.set()
    return len(ran), await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(params=["threads", "tasks"])
def attempt_at_once(request):
    """Attempt with one flight, again and again."""
    if request.param == "threads":
        flight = SingleFlight()
        yield lambda *, fails: outcomes_of_threads(flight, fails)
    else:
        with asyncio.Runner() as runner:
            flight = AsyncSingleFlight()
            yield lambda *, fails: runner.run(outcomes_of_tasks(flight, fails))


def test_one_attempt_serves_all_that_come_meanwhile(attempt_at_once):
    assert attempt_at_once(fails=False) == (1, ["there"] * (MANY + 1))


def test_its_failure_is_that_of_all_and_each_has_one_of_its_own(attempt_at_once):
    ran, met = attempt_at_once(fails=True)
    assert ran == 1
    assert [(type(error), str(error)) for error in met] == [(RedisConnectionError, "away")] * (MANY + 1)
    assert len(set(map(id, met))) == MANY + 1
    assert {str(error.__cause__) for error in met} == {"no"}


def test_the_next_attempt_is_another(attempt_at_once):
    attempt_at_once(fails=True)
    assert attempt_at_once(fails=False) == (1, ["there"] * (MANY + 1))


FORKED = """
import os, signal, threading
from redisess_core.single_flight import SingleFlight

flight, begun, go_on = SingleFlight(), threading.Event(), threading.Event()
attempting = threading.Thread(target=flight.attempt, args=(lambda: (begun.set(), go_on.wait()),))
attempting.start()
begun.wait()
child = os.fork()
if child == 0:
    signal.alarm(30)  # or a hang would be for ever
    os._exit(flight.attempt(lambda: 7))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
go_on.set()
"""


def test_a_process_forked_during_an_attempt_makes_its_own():
    made = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED], capture_output=True, text=True, check=True)
    assert made.stdout.strip() == "7"


def test_a_task_that_is_cancelled_fails_nobody_else():
    async def main():
        flight, ran = AsyncSingleFlight(), []

        async def call():
            ran.append(1)
            if len(ran) == 1:
                await asyncio.Event().wait()

        first, second = (asyncio.create_task(flight.attempt(call)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await second
        return len(ran), first.cancelled()

    assert asyncio.run(main()) == (2, True)
