"""Whatever can be stored comes back: with its type, at every level, and equal values as equal bytes."""

from __future__ import annotations

import json
import random
from collections import OrderedDict
from datetime import UTC, datetime, time, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from redisess_core import values as values_module
from redisess_core.errors import RedisessError
from redisess_core.values import decode, encode

ZONES = [ZoneInfo(key) for key in ("UTC", "Europe/Paris", "America/St_Johns", "Australia/Lord_Howe", "Africa/Monrovia")]
TWICE = [datetime(2024, 10, 27, 2, 30), datetime(2024, 3, 31, 2, 30), datetime(2024, 4, 7, 1, 45)]  # noqa: DTZ001  of no zone yet

texts = st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates too
wholes = st.integers() | st.integers(-(2**70), 2**70) | st.sampled_from([10**4000, -(10**4000), 2**64, 2**63])
folds = st.integers(0, 1)
offsets = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59))
fixed = st.just(UTC) | offsets.map(timezone)
zones = st.none() | fixed | st.sampled_from(ZONES)
datetimes = st.builds(
    lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
    st.datetimes() | st.sampled_from(TWICE),
    zones,
    folds,
)
times = st.builds(lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold), st.times(), zones, folds)
atoms = st.one_of(
    st.none(),
    st.booleans(),
    wholes,
    st.floats(),
    texts,
    texts.map("~".__add__),
    st.binary(max_size=8),
    datetimes,
    st.dates(),
    times,
    st.timedeltas(),
    st.decimals(allow_nan=False) | st.sampled_from([Decimal("NaN"), Decimal("-0E+5"), Decimal("1E-999999")]),
    st.uuids(),
)
hashables = st.recursive(
    atoms,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=6,
)
values = st.recursive(
    hashables | st.just(Decimal("sNaN")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(hashables, max_size=4),
        st.dictionaries(texts, inner, max_size=4),
        st.dictionaries(hashables, inner, max_size=4),
    ),
    max_leaves=20,
)


def same(one, other):
    """Tell whether two values are equal and of the same types at every level, NaN being equal to NaN."""
    if type(one) is not type(other):
        return False
    match one:
        case float() | Decimal():
            equal = repr(one) == repr(other)
        case datetime() | time():
            told = [(it.replace(tzinfo=None), it.fold, it.tzinfo, it.utcoffset()) for it in (one, other)]
            equal = told[0] == told[1]
        case list() | tuple():
            equal = len(one) == len(other) and all(map(same, one, other))
        case dict():
            equal = same(list(one.items()), list(other.items()))
        case set() | frozenset():
            equal = len(one) == len(other) and all(any(same(left, right) for right in other) for left in one)
        case _:
            equal = one == other
    return equal


@settings(max_examples=500)
@given(values)
@example([True, 1, 1.0, Decimal(1), "1", b"1"])
@example({None: {(b"", None): {frozenset({(1,)})}}})
@example({"~t": {"~m": [["~s", 1]]}})
@example("\ud83d\ude00")
def test_whatever_can_be_stored_comes_back_equal_and_of_the_same_types(value):
    assert same(decode(encode(value, "key")), value)


@given(values)
def test_what_comes_back_is_stored_as_the_same_bytes(value):
    data = encode(value, "key")
    assert encode(decode(data), "key") == data


@given(st.lists(hashables, unique=True, max_size=12), st.randoms(use_true_random=False))
@example([0, 8, 16, 24, "a"], random.Random(1))
def test_sets_are_the_same_bytes_in_whatever_order_they_were_filled(members, rng):
    shuffled = rng.sample(members, len(members))
    for kind in (set, frozenset):
        assert encode(kind(members), "key") == encode(kind(shuffled), "key")
        assert encode([kind(members)], "key") == encode([kind(shuffled)], "key")


@given(values, values)
def test_values_that_differ_are_different_bytes(one, other):
    assert (encode(one, "key") == encode(other, "key")) == same(one, other)


@given(datetimes, st.sampled_from(ZONES))
def test_a_moment_keeps_its_offset_and_its_zone(moment, zone):
    for value in (moment, moment.replace(tzinfo=zone)):
        stored = decode(encode(value, "key"))
        assert stored.utcoffset() == value.utcoffset()
        assert getattr(stored.tzinfo, "key", None) == getattr(value.tzinfo, "key", None)


@given(st.dictionaries(hashables, st.integers(), max_size=6))
def test_an_ordered_dict_is_stored_in_its_order(items):
    ordered = OrderedDict(items)
    for key in list(items)[::2]:
        ordered.move_to_end(key, last=False)
    assert same(list(decode(encode(ordered, "key"))), list(ordered))


tags = st.sampled_from(["~nope", "~x:nobody", *values_module._BY_TAG])
trees = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | texts
    | st.sampled_from(["2024-01-01", "00:00", "0x1", "nan"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(tags, inner, min_size=1, max_size=1)
        | st.dictionaries(tags | texts, inner, max_size=2)
    ),
    max_leaves=10,
)
STORABLE = (*values_module._BY_TYPE, bool, type(None))


def types_in(value):
    yield type(value)
    for part in value if isinstance(value, (list, tuple, set, frozenset)) else ():
        yield from types_in(part)
    for pair in value.items() if isinstance(value, dict) else ():
        for part in pair:
            yield from types_in(part)


@settings(max_examples=500)
@given(trees.map(lambda tree: json.dumps(tree).encode()) | st.binary())
def test_any_bytes_are_a_storable_value_or_one_clear_error(data):
    try:
        value = decode(data)
    except RedisessError:
        return
    assert all(issubclass(found, STORABLE) for found in types_in(value))
    assert same(decode(encode(value, "key")), value)
