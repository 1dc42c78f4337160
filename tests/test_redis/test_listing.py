"""A page of the sessions of all users, most recently accessed first: what an administrator looks through."""

from __future__ import annotations

import pytest


@pytest.fixture(params=[1, 8])
def many(make_manager, clock, request):
    return make_manager(clock=clock, shards=request.param)


def run(manager, **options):
    """Run the plan of a page, which the Django admin lists some users' sessions by."""
    return manager.run(manager.plan_recent(**options))


def pages(manager, **options):
    """Give the ids of every page, in the order of the pages."""
    found, after = [], None
    while True:
        page = manager.list_sessions(after=after, **options)
        found.append([session.session_id for session in page])
        if len(page) < options.get("limit", 100):
            return found
        after = (page[-1].last_access, page[-1].session_id)


def create(manager, clock, number, *, step=1.0):
    """Create sessions of several users; gives their ids, the latest first."""
    ids = []
    for each in range(number):
        clock.advance(step)
        ids.append(manager.create(f"user{each % 7}" if each % 5 else None).session_id)
    return ids[::-1]


def test_pages_are_in_the_order_of_the_last_access_and_complete(many, clock):
    ids = create(many, clock, 25)
    assert pages(many, limit=10) == [ids[:10], ids[10:20], ids[20:]]
    assert pages(many, limit=25) == [ids, []]
    assert pages(many, limit=1000) == [ids]


def test_sessions_of_one_moment_come_once_each(many, clock):
    ids = create(many, clock, 40, step=0.0)
    clock.advance(1)
    ids += create(many, clock, 5)
    found = pages(many, limit=7)
    assert [len(page) for page in found] == [7] * 6 + [3]
    assert sorted(each for page in found for each in page) == sorted(ids)


def test_more_than_a_script_lists_is_read_in_slices(many, clock):
    ids = create(many, clock, 230)
    assert pages(many, limit=150) == [ids[:150], ids[150:]]


def test_only_those_of_the_last_seconds(many, clock):
    ids = create(many, clock, 20)
    assert pages(many, secs=9.5, limit=100) == [ids[:10]]
    assert pages(many, secs=9.5, limit=4) == [ids[:4], ids[4:8], ids[8:10]]
    clock.advance(100)
    assert pages(many, secs=60) == [[]]


def test_an_accessed_session_moves_to_the_front_and_takes_no_other_along(many, clock):
    ids = create(many, clock, 12)
    first = many.list_sessions(limit=4)
    clock.advance(60)
    assert many.get(ids[3])
    rest = many.list_sessions(limit=100, after=(first[-1].last_access, first[-1].session_id))
    assert [session.session_id for session in rest] == ids[4:]
    assert many.list_sessions(limit=1)[0].session_id == ids[3]


def test_the_dead_fill_no_page(many, clock):
    ids = create(many, clock, 30)
    for session_id in ids[:15]:
        many.get(session_id).kill()
    expiring = [many.create("ada", ttl=10).session_id for _ in range(15)]
    clock.advance(10)
    assert pages(many, limit=10) == [ids[15:25], ids[25:]]
    assert many.count() == 15
    assert not set(expiring) & set(many.get_all_sessions())


def test_a_page_shows_what_is_known_of_a_session_and_touches_nothing(make_manager, clock):
    manager = make_manager(clock=clock, additional_fields=["role"])
    manager.create("ada", ip="192.0.2.1", user_agent="Firefox", role="editor", data={"a": 1})
    clock.advance(100)
    (session,) = manager.list_sessions()
    assert (session.user_id, session.ip, session.user_agent, session.role) == ("ada", "192.0.2.1", "Firefox", "editor")
    assert (session.idle, dict(session.data)) == (100, {})
    assert manager.list_sessions()[0].idle == 100


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"limit": 0}, ValueError, "limit: 0 given"),
        ({"limit": "9"}, TypeError, "limit: str given"),
        ({"secs": -1}, ValueError, "secs: -1 given"),
        ({"after": (1.0, "")}, ValueError, "session_id: an empty str given"),
        ({"after": (1.0, "1aa" + "a" * 26)}, ValueError, "has not the form of a session id"),
        ({"after": (float("nan"), "saa" + "0" * 25)}, ValueError, "after: nan given"),
        ({"after": ("x", "saa" + "0" * 25)}, TypeError, "after: str given"),
    ],
)
def test_bad_arguments_are_refused(manager, arguments, error, message):
    with pytest.raises(error, match=message):
        manager.list_sessions(**arguments)


def test_a_page_of_some_users_holds_theirs_in_the_order_of_the_last_access(many, clock):
    ids = create(many, clock, 60)
    owners = {session_id: many.get(session_id, touch=False).user_id for session_id in ids}
    theirs = [each for each in ids if owners[each] in {"user1", "user2", "user5"}]
    found, after = [], None
    while True:
        page = run(many, secs=0, limit=7, after=after, user_ids=["user1", "user2", "user5", "nobody"])
        found += page
        if len(page) < 7:
            break
        after = (page[-1].last_access, page[-1].session_id)
    assert [each.session_id for each in found] == theirs
    assert {each.user_id for each in found} == {"user1", "user2", "user5"}
    assert [each.session_id for each in run(many, secs=20, limit=100, after=None, user_ids=["user1"])] == [
        each for each in ids[:20] if owners[each] == "user1"
    ]
    assert run(many, secs=0, limit=7, after=None, user_ids=[]) == []


def test_a_page_of_a_user_goes_on_after_a_session_of_somebody_else(many, clock):
    ids = create(many, clock, 30)
    owners = {session_id: many.get(session_id, touch=False) for session_id in ids}
    after = next(each for each in ids[5:] if owners[each].user_id is None)
    page = run(many, secs=0, limit=100, after=(owners[after].last_access, after), user_ids=["user3"])
    below = ids[ids.index(after) + 1 :]
    assert [each.session_id for each in page] == [each for each in below if owners[each].user_id == "user3"]
