"""The judge of a soak sees what it is there for: each kind of wrong is found in a journal that has it, and no other."""

from __future__ import annotations

import pytest

from redisess_core.values import encode
from support import soak

KEPT, KILLED, RACED = ("saa" + letter * 25 for letter in "012")
NAMESPACE = "soaked"


def line(kind, start, **more):
    return {"lane": "p0.0", "kind": kind, "start": start, "end": start + 0.01, "came": "ok", **more}


def born(session_id, start, number, **more):
    return line(
        "create", start, born=session_id, born_of="ada", short=False, alive=[session_id], replicated=True,
        wrote=[session_id, number], **more,
    )  # fmt: skip


@pytest.fixture
def lines():
    """One session that is kept and written, one that is killed, one that somebody tried to kill."""
    return [
        born(KEPT, 20, 1),
        born(KILLED, 21, 2),
        born(RACED, 22, 3),
        line("set", 23, wrote=[KEPT, 4], replicated=True, alive=[KEPT]),
        line("set", 24, wrote=[KEPT, 5], came="unavailable", said="away"),
        line("kill", 25, ends=[KILLED], dead=[KILLED]),
        line("kill", 26, ends=[RACED], came="unavailable", said="away"),
        line("session.get", 27, gone=[KILLED], came="gone"),
    ]


def stored(*session_ids, number=4):
    """What is in Redis, with all indexes as they have to be."""
    prefix, at = f"{{{NAMESPACE}:0}}:", 1000.5
    numbers = {KEPT: number, KILLED: 2, RACED: 3}
    hashes = {
        each: {b"s": b"1", b"u": b"ada", b"l": b"1000.5", b"t": b"60", b"d:p0.0": encode(numbers[each], "p0.0")}
        for each in session_ids
    }
    ids = [each.encode() for each in session_ids]
    indexes = {
        f"{prefix}activity": dict.fromkeys(ids, at),
        f"{prefix}expiry": {each + b":ada": at + 60 for each in ids},
        f"{prefix}u:ada": dict.fromkeys(ids, at),
        f"{prefix}users": {b"ada": at} if ids else {},
    }
    return soak.Stored(hashes, indexes)


@pytest.mark.parametrize("number", [4, 5])
@pytest.mark.parametrize("raced", [(), (RACED,)])
def test_what_may_be_is_nothing_wrong(lines, raced, number):
    """A write that nobody answered may be there or not, and so may a session that somebody tried to kill."""
    assert soak.violations(lines, stored(KEPT, *raced, number=number)) == []


def test_a_kill_that_is_undone_is_wrong(lines):
    (found,) = soak.undone(lines, stored(KEPT, KILLED))
    assert KILLED in found


def test_a_session_that_is_missing_is_wrong(lines):
    (found,) = soak.violations(lines, stored())
    assert found.startswith("missing")
    assert KEPT in found


@pytest.mark.parametrize("more", [{"ends_user": "ada"}, {"ends_all": True}])
def test_a_session_that_may_have_been_killed_with_others_may_be_missing(lines, more):
    assert soak.violations([*lines, line("kill_many", 30, **more)], stored()) == []
    before = [line("kill_many", 1, **more), *lines]  # so long before that it cannot have met it
    assert len(soak.violations(before, stored())) == 1


@pytest.mark.parametrize("number", [1, 3, 6])
def test_a_write_that_is_lost_or_nobody_made_is_wrong(lines, number):
    (found,) = soak.violations(lines, stored(KEPT, number=number))
    assert "4 was replicated, 5 attempted" in found


def test_a_session_that_was_said_to_be_gone_and_lives_is_wrong(lines):
    (found,) = soak.violations([*lines, line("get", 28, gone=[KEPT])], stored(KEPT))
    assert found.startswith("lives, and was said to be gone")


@pytest.mark.parametrize("more", [{"came": "error", "said": "KeyError"}, {"end": 45.0}])
def test_an_error_of_another_kind_and_an_operation_that_takes_too_long_are_wrong(lines, more):
    assert len(soak.violations([*lines, {**line("count", 29), **more}], stored(KEPT))) == 1


@pytest.mark.parametrize("index", ["activity", "expiry", "u:ada", "users"])
def test_an_index_that_lacks_an_entry_has_one_too_much_or_one_of_another_score_has_drifted(index):
    key = f"{{{NAMESPACE}:0}}:{index}"
    assert stored(KEPT, RACED).drift(NAMESPACE) == []
    lacking, more, moved = stored(KEPT), stored(KEPT), stored(KEPT)
    lacking.indexes[key].popitem()
    more.indexes[key][b"more"] = 1000.5
    (member,) = moved.indexes[key]
    moved.indexes[key][member] += 1
    for drifted, said in ((lacking, "lacks"), (more, "too much"), (moved, "not at")):
        (found,) = drifted.drift(NAMESPACE)
        assert key in found
        assert said in found
