from __future__ import annotations

import json
import sys
import threading
import traceback
from abc import ABC
from collections import Counter, OrderedDict, defaultdict, namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag, StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from redisess_core import values
from redisess_core.errors import RedisessError
from redisess_core.values import MAX_DEPTH, decode, encode, register_type

SECRET = "hunter2"
PARIS = ZoneInfo("Europe/Paris")
Point = namedtuple("Point", "x y")


class Level(IntEnum):
    HIGH = 3


class Bits(IntFlag):
    A = 1
    B = 2


class Colour(StrEnum):
    RED = "red"


class Plain(Enum):
    ONE = 1


class Text(str):
    __slots__ = ()

    def __str__(self):
        return "not what it holds"


class Lists(dict):
    """Holds lists and shows the last of each, as web frameworks' forms do."""

    def __getitem__(self, key):
        return super().__getitem__(key)[-1]

    def __iter__(self):
        return iter(self.keys())

    def keys(self):
        return list(super().keys())

    def items(self):
        return [(key, self[key]) for key in self]


class Opaque:
    def __repr__(self):
        return SECRET

    __str__ = __repr__


@dataclass(frozen=True)
class Money:
    amount: Decimal
    currency: str


class Markup(str):
    __slots__ = ()


class Instant(datetime):
    """A datetime whose methods make what datetime's do not."""

    def isoformat(self, *_):
        return "soon"

    def replace(self, **_):
        raise AssertionError

    def date(self):
        raise AssertionError


class Offsetless(tzinfo):
    def utcoffset(self, moment):
        return None

    dst = tzname = utcoffset


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    monkeypatch.setattr(values, "_BY_TAG", dict(values._BY_TAG))
    monkeypatch.setattr(values, "_BY_TYPE", dict(values._BY_TYPE))


def round_trip(value):
    return decode(encode(value, "key"))


def nested(wrap, depth):
    value = "end"
    for _ in range(depth):
        value = wrap(value)
    return value


FORMS = [
    (None, b"null"),
    (True, b"true"),
    (1, b"1"),
    (1 - 2**63, b"-9223372036854775807"),
    (-(2**63), b'{"~i":"-0x8000000000000000"}'),
    (1.0, b"1.0"),
    (-0.0, b"-0.0"),
    (float("inf"), b'{"~f":"inf"}'),
    (float("-inf"), b'{"~f":"-inf"}'),
    ("grün", '"grün"'.encode()),
    ("\ud800", b'"\xed\xa0\x80"'),
    (b"\x00\xff", b'{"~b":"AP8="}'),
    ([], b"[]"),
    ((), b'{"~t":[]}'),
    ((1, (2,)), b'{"~t":[1,{"~t":[2]}]}'),
    ({3, 1, 2}, b'{"~s":[1,2,3]}'),
    (frozenset({"b", "a"}), b'{"~fs":["a","b"]}'),
    ({"b": 1, "a": 2}, b'{"b":1,"a":2}'),
    ({1: "x", None: "y"}, b'{"~m":[[1,"x"],[null,"y"]]}'),
    ({"~t": [1]}, b'{"~m":[["~t",[1]]]}'),
    ({(1, b""): {}}, b'{"~m":[[{"~t":[1,{"~b":""}]},{}]]}'),
    (date(2024, 2, 29), b'{"~d":"2024-02-29"}'),
    (datetime(2024, 2, 29, 1, 2, 3, 4), b'{"~dt":["2024-02-29T01:02:03.000004",0,null,null]}'),  # noqa: DTZ001  naive on purpose
    (datetime(2024, 2, 29, tzinfo=UTC), b'{"~dt":["2024-02-29T00:00:00",0,0,null]}'),
    (
        datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=PARIS),
        b'{"~dt":["2024-10-27T02:30:00",1,3600000000,"Europe/Paris"]}',
    ),
    (time(1, 2, 3), b'{"~tm":["01:02:03",0,null,null]}'),
    (time(1, 2, fold=1, tzinfo=timezone(timedelta(hours=-3))), b'{"~tm":["01:02:00",1,-10800000000,null]}'),
    (time(1, 2, tzinfo=PARIS), b'{"~tm":["01:02:00",0,null,"Europe/Paris"]}'),
    (timedelta(days=-1, microseconds=1), b'{"~td":-86399999999}'),
    (timedelta.max, b'{"~td":86399999999999999999}'),
    (Decimal("1.00"), b'{"~dec":"1.00"}'),
    (UUID(int=1), b'{"~u":"00000000000000000000000000000001"}'),
]


@pytest.mark.parametrize(("value", "data"), FORMS, ids=[repr(data) for _, data in FORMS])
def test_each_type_has_a_form_that_does_not_change(value, data):
    assert encode(value, "key") == data
    assert decode(data) == value
    assert type(decode(data)) is type(value)


def test_a_number_past_the_limit_of_digits_is_kept():
    assert round_trip(10**5000) == 10**5000
    assert round_trip(-(10**5000)) == -(10**5000)


def test_minus_zero_keeps_its_sign():
    assert repr(round_trip(-0.0)) == "-0.0"


def test_bool_and_int_are_told_apart():
    assert [type(item) for item in round_trip([True, 1, False, 0])] == [bool, int, bool, int]


@pytest.mark.parametrize(
    ("value", "base"),
    [
        (Level.HIGH, 3),
        (Bits.A | Bits.B, 3),
        (type("Big", (int,), {})(2**80), 2**80),
        (Colour.RED, "red"),
        (Text("held"), "held"),
        (type("Ratio", (float,), {})(0.5), 0.5),
        (type("Ratio", (float,), {})("inf"), float("inf")),
        (type("Blob", (bytes,), {})(b"x"), b"x"),
        (type("Rows", (list,), {})([1]), [1]),
        (type("Tags", (set,), {})({1}), {1}),
        (type("Tags", (frozenset,), {})({1}), frozenset({1})),
        (Point(1, Point(2, 3)), (1, (2, 3))),
        (Counter("aab"), {"a": 2, "b": 1}),
        (defaultdict(list, {"a": [1]}), {"a": [1]}),
        (Lists(a=[1, 2]), {"a": [1, 2]}),
        (Instant(2024, 1, 2, 3, tzinfo=UTC), datetime(2024, 1, 2, 3, tzinfo=UTC)),
        (type("Day", (date,), {})(2024, 1, 2), date(2024, 1, 2)),
        (type("Hour", (time,), {})(1, 2), time(1, 2)),
        (type("Span", (timedelta,), {})(1), timedelta(1)),
        (type("Price", (Decimal,), {})("1.10"), Decimal("1.10")),
        (type("Key", (UUID,), {})(int=7), UUID(int=7)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_subclass_is_stored_as_its_base(value, base):
    for stored, wanted in ((round_trip(value), base), (round_trip([value])[0], base)):
        assert stored == wanted
        assert type(stored) is type(wanted)
    assert encode(value, "key") == encode(base, "key")


def test_a_dict_keeps_the_order_of_its_keys():
    ordered = OrderedDict.fromkeys("abc")
    ordered.move_to_end("c", last=False)
    assert list(round_trip(ordered)) == ["c", "a", "b"]
    assert list(round_trip({3: 0, "x": 0, 1: 0})) == [3, "x", 1]


def test_keys_of_a_str_subclass_become_plain_strings():
    assert encode({Colour.RED: 1, Text("~t"): 2}, "key") == b'{"~m":[["red",1],["~t",2]]}'
    assert encode({Colour.RED: 1}, "key") == b'{"red":1}'


def test_no_dict_can_pass_for_another_type():
    for impostor in ({"~t": [1]}, {"~x:money": []}, {"~": 1}, {"a": 1, "~s": []}, {"~m": [[1, 2]]}):
        assert round_trip(impostor) == impostor


def test_sets_filled_in_another_order_are_equal_bytes():
    members = [0, 8, 16, "a", ("b", None), frozenset({1, 9}), b"z", None]
    sets = {encode({*members[turn:], *members[:turn]}, "key") for turn in range(len(members))}
    assert len(sets) == 1


def test_pairs_of_surrogates_stay_two_characters():
    assert round_trip("\ud83d\ude00") == "\ud83d\ude00"
    assert round_trip("\U0001f600") == "\U0001f600"


class TestMoments:
    @pytest.mark.parametrize("fold", [0, 1])
    def test_both_readings_of_the_hour_that_comes_twice_are_kept(self, fold):
        moment = datetime(2024, 10, 27, 2, 30, fold=fold, tzinfo=PARIS)
        stored = round_trip(moment)
        assert (stored, stored.fold, stored.tzinfo) == (moment, fold, PARIS)
        assert stored.utcoffset() == timedelta(hours=2 - fold)

    def test_a_zone_unknown_here_leaves_its_offset(self):
        for zone in ("Mars/Olympus", "../../etc/passwd", "Europe", ""):
            stored = decode(json.dumps({"~dt": ["2024-07-01T12:00:00", 0, 7_200_000_000, zone]}).encode())
            assert stored == datetime(2024, 7, 1, 12, tzinfo=PARIS)
            assert stored.tzinfo == timezone(timedelta(hours=2))

    def test_a_time_of_day_in_a_zone_unknown_here_is_naive(self):
        assert decode(b'{"~tm":["12:00:00",0,null,"Mars/Olympus"]}') == time(12)

    def test_a_zone_without_a_key_is_its_offset(self, tmp_path):
        with (tmp_path / "zone").open("w+b") as file:
            file.write(_fixed_zone_file())
            file.seek(0)
            unnamed = ZoneInfo.from_file(file)
        stored = round_trip(datetime(2024, 7, 1, 12, tzinfo=unnamed))
        assert stored.tzinfo == timezone(timedelta(hours=1))

    def test_an_offset_of_microseconds_is_kept(self):
        for offset in (timedelta(microseconds=-1), timedelta(hours=23, seconds=59, microseconds=999999)):
            moment = datetime(2024, 7, 1, tzinfo=timezone(offset))
            assert round_trip(moment).utcoffset() == offset
            assert round_trip(moment.timetz()).utcoffset() == offset

    def test_a_zone_that_gives_no_offset_is_naive(self):
        assert round_trip(datetime(2024, 7, 1, tzinfo=Offsetless())).tzinfo is None
        assert round_trip(time(1, tzinfo=Offsetless())).tzinfo is None

    def test_the_first_and_last_moments_are_kept(self):
        for zone in (PARIS, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))):
            for moment in (datetime.min.replace(tzinfo=zone), datetime.max.replace(tzinfo=zone)):
                assert round_trip(moment) == moment


def _fixed_zone_file():
    """Make a TZif file (RFC 9636) of one zone, an hour ahead of UTC, without transitions."""
    header = b"TZif\0" + bytes(15) + b"".join(count.to_bytes(4, "big") for count in (0, 0, 0, 0, 1, 4))
    return header + (3600).to_bytes(4, "big") + bytes(2) + b"CET\0"


class TestRefused:
    @pytest.mark.parametrize(
        ("value", "name"),
        [
            (Opaque(), f"{__name__}.Opaque"),
            (Plain.ONE, f"{__name__}.Plain"),
            (1j, "complex"),
            (bytearray(b"x"), "bytearray"),
            (range(3), "range"),
            (object(), "object"),
            (int, "type"),
            ({}.keys(), "dict_keys"),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_another_type_is_refused_by_key_and_type(self, value, name):
        with pytest.raises(TypeError) as caught:
            encode(value, "cart")
        assert str(caught.value).startswith(f"session data 'cart': cannot store a value of type {name}; store None, ")
        assert "register_type()" in str(caught.value)

    @pytest.mark.parametrize(
        ("value", "place"),
        [
            ({"x": [1, 2, Opaque()]}, "cart['x'][2]"),
            ([((), Opaque())], "cart[0][1]"),
            ({(SECRET,): Opaque()}, "cart[<tuple>]"),
            ({1: [Opaque()]}, "cart[<int>][0]"),
            ({10**5000: Opaque()}, "cart[<int>]"),
            ({Opaque(): SECRET}, "cart[<Opaque>]"),
            ({"tags": {Opaque()}}, "cart['tags'][<Opaque>]"),
            ([SECRET, {"a": SECRET}, [[]], Opaque()], "cart[3]"),
            ({"k" * 1000: Opaque()}, "cart['kkkkkkkkkkkk...kkkkkkkkkkkkk']"),
        ],
    )
    def test_the_place_of_the_culprit_is_named_and_no_value_is_shown(self, value, place):
        with pytest.raises(TypeError) as caught:
            encode(value, "cart")
        assert f"of type {__name__}.Opaque (at {place}); " in str(caught.value)
        assert SECRET not in str(caught.value)

    def test_a_value_that_contains_itself_is_refused(self):
        rows: list[object] = [SECRET]
        rows.append((rows,))
        names: dict[str, object] = {}
        names["self"] = names
        for value in (rows, names):
            with pytest.raises(ValueError, match=r"^session data 'cart': contains itself or is deeper") as caught:
                encode(value, "cart")
            assert SECRET not in str(caught.value)


WRAPS = {
    "list": lambda value: [value],
    "tuple": lambda value: (value,),
    "dict": lambda value: {"key": value},
    "pairs": lambda value: {1: value},
    "frozenset": lambda value: frozenset({value}),
    "money": lambda value: Money(value, "EUR"),
}


class TestDepth:
    @pytest.fixture(autouse=True)
    def money(self):
        register_type(Money, "money", lambda money: money.amount, lambda plain: Money(plain, "EUR"))

    @pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
    def test_what_lies_at_the_greatest_depth_comes_back(self, wrap):
        value = nested(wrap, MAX_DEPTH)
        assert round_trip(value) == value

    @pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
    def test_one_level_more_is_refused(self, wrap):
        with pytest.raises(ValueError, match=r"^session data 'cart': .* deeper than 100 levels$"):
            encode(nested(wrap, MAX_DEPTH + 1), "cart")

    @pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS)
    def test_a_deep_stack_leaves_room_for_the_greatest_depth(self, wrap):
        value = nested(wrap, MAX_DEPTH)
        room = sys.getrecursionlimit() - 600

        def deeper(frames):
            return deeper(frames - 1) if frames else encode(value, "key") and round_trip(value)

        assert deeper(room - _frames()) == value

    def test_a_stack_that_is_full_is_an_error_that_names_the_key(self):
        def deeper(frames):
            return deeper(frames - 1) if frames else encode(nested(WRAPS["list"], MAX_DEPTH), "cart")

        with pytest.raises(ValueError, match=r"^session data 'cart': contains itself or is deeper"):
            deeper(sys.getrecursionlimit() - _frames() - MAX_DEPTH)


def _frames():
    frame, count = sys._getframe(), 0
    while frame := frame.f_back:
        count += 1
    return count


class TestUndecodable:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b" ",
            b"hunter2",
            b'"hunter2',
            b'"hunter2" 1',
            b"\xff",
            b"\x80\x04\x95hunter2.",
            b"NaN",
            b"[Infinity]",
            b'{"a":-Infinity}',
            b"9" * 5000,
            b"[" * 100_000,
            b'{"~nope":"hunter2"}',
            b'{"~":1}',
            b'{"~t":[],"a":"hunter2"}',
            b'{"a":"hunter2","~t":[]}',
            b'{"~t":"hunter2"}',
            b'{"~t":{"~t":[]}}',
            b'{"~s":[["hunter2"]]}',
            b'{"~fs":[{}]}',
            b'{"~b":"hunter2"}',
            b'{"~b":"!!!!"}',
            b'{"~i":12}',
            b'{"~i":"hunter2"}',
            b'{"~f":"hunter2"}',
            b'{"~f":1.5}',
            b'{"~d":"hunter2"}',
            b'{"~d":["2024-01-01"]}',
            b'{"~dt":"2024-01-01T00:00:00"}',
            b'{"~dt":["2024-01-01T00:00:00"]}',
            b'{"~dt":["2024-01-01T00:00:00",2,null,null]}',
            b'{"~dt":["2024-01-01T00:00:00",0,null,7]}',
            b'{"~dt":["2024-01-01T00:00:00",0,86400000000,null]}',
            b'{"~dt":["2024-01-01T00:00:00",0,"hunter2",null]}',
            b'{"~dt":["hunter2",0,null,null]}',
            b'{"~tm":["25:00:00",0,null,null]}',
            b'{"~td":"hunter2"}',
            b'{"~td":864000000000000000000000}',
            b'{"~dec":"hunter2"}',
            b'{"~dec":1.5}',
            b'{"~u":"hunter2"}',
            b'{"~m":{"a":"hunter2"}}',
            b'{"~m":["ab"]}',
            b'{"~m":[["a"]]}',
            b'{"~m":[[[],"hunter2"]]}',
            b'{"~x:":"hunter2"}',
            b'{"~x:hunter2 ":1}',
            b'{"~x:nobody":"hunter2"}',
        ],
        ids=lambda data: repr(data[:24]),
    )
    def test_what_is_malformed_is_refused_without_showing_it(self, data):
        with pytest.raises(RedisessError, match=r"^stored session value cannot be decoded: ") as caught:
            decode(data)
        assert SECRET not in "".join(traceback.format_exception(caught.value))

    def test_a_type_not_registered_here_is_named(self):
        with pytest.raises(RedisessError, match=r"no type is registered here as 'shop\.money'; call register_type\(\)"):
            decode(b'[{"~x:shop.money":"hunter2"}]')

    def test_a_dict_in_the_place_of_a_pair_is_refused(self):
        with pytest.raises(RedisessError, match="malformed dict"):
            decode(b'{"~m":[{"a":1,"b":2}]}')


class TestRegistering:
    def money(self):
        register_type(Money, "money", lambda it: (it.amount, it.currency), lambda plain: Money(*plain))

    def test_a_registered_type_comes_back_at_any_level(self):
        self.money()
        price = Money(Decimal("9.90"), "EUR")
        assert encode(price, "key") == b'{"~x:money":{"~t":[{"~dec":"9.90"},"EUR"]}}'
        for value in (price, [price], {"price": price}, {price: {price}}):
            assert round_trip(value) == value

    def test_a_subclass_of_a_registered_type_is_stored_as_that_type(self):
        self.money()
        tip = type("Tip", (Money,), {})(Decimal(1), "EUR")
        assert type(round_trip(tip)) is Money

    def test_a_registered_subclass_goes_before_its_built_in_base(self):
        register_type(Markup, "test-markup", str, Markup)
        shout = type("Shout", (Markup,), {})
        assert [type(item) for item in round_trip(["a", Markup("b"), shout("c"), Text("d")])] == [
            str,
            Markup,
            Markup,
            str,
        ]
        assert [type(key) for key in round_trip({Markup("a"): 1, "b": 2})] == [Markup, str]

    def test_a_registered_base_far_away_goes_before_a_built_in_base_nearby(self):
        mixin = type("Mixin", (), {})
        register_type(mixin, "mixin", lambda _: None, lambda _: mixin())
        both = type("Both", (str, mixin), {})
        assert type(round_trip(both("x"))) is mixin

    def test_a_registered_abstract_class_stands_for_every_class_that_it_takes_for_its_subclass(self):
        class Length(ABC):  # noqa: B024  its hook decides
            @classmethod
            def __subclasshook__(cls, other):
                return hasattr(other, "metres")

        metres = {"metres": lambda self: 5}
        register_type(Length, "length", lambda it: it.metres(), lambda plain: ("length", plain))
        for cls in (type("Rope", (), metres), type("Text", (str,), metres), type("Point", (dict,), metres)):
            assert round_trip([cls()]) == [("length", 5)]
        money = type("Roll", (Money,), metres)
        assert round_trip(money(Decimal(1), "EUR")) == ("length", 5)
        self.money()
        assert type(round_trip(money(Decimal(1), "EUR"))) is Money  # a base that it has goes before one it only fits
        assert type(round_trip(Text("plain"))) is str
        with pytest.raises(TypeError, match="cannot store"):
            encode(Opaque(), "key")

    def test_the_nearest_registered_type_is_taken(self):
        self.money()
        tip = type("Tip", (Money,), {})
        register_type(tip, "tip", lambda it: [it.amount, it.currency], lambda plain: tip(*plain))
        assert type(round_trip(tip(Decimal(1), "EUR"))) is tip
        assert type(round_trip(Money(Decimal(1), "EUR"))) is Money

    def test_the_same_class_and_tag_again_is_fine(self):
        self.money()
        self.money()
        assert round_trip(Money(Decimal(1), "EUR")) == Money(Decimal(1), "EUR")

    def test_a_tag_of_another_class_is_refused(self):
        self.money()
        with pytest.raises(ValueError, match=r"test_values\.Opaque cannot be 'money'; test_values\.Money is 'money'"):
            register_type(Opaque, "money", repr, lambda _: Opaque())

    def test_a_second_tag_for_a_class_is_refused(self):
        self.money()
        with pytest.raises(ValueError, match=r"test_values\.Money cannot be 'cash'; test_values\.Money is 'money'"):
            register_type(Money, "cash", repr, lambda _: Money(Decimal(0), ""))

    @pytest.mark.parametrize(
        "arguments",
        [
            (Money(Decimal(1), ""), "money", repr, repr),
            ("Money", "money", repr, repr),
            (Money, b"money", repr, repr),
            (Money, None, repr, repr),
            (Money, "money", None, repr),
            (Money, "money", repr, "repr"),
        ],
    )
    def test_wrong_arguments_are_refused(self, arguments):
        with pytest.raises(TypeError, match=r"^register_type\(\) wants a class, its tag, and two functions"):
            register_type(*arguments)

    @pytest.mark.parametrize("tag", ["", " ", "a b", "a/b", "naïve", "t\n", "x" * 65])
    def test_a_tag_of_other_characters_is_refused(self, tag):
        with pytest.raises(ValueError, match="is not a tag; use 1 to 64 of"):
            register_type(Money, tag, repr, repr)

    @pytest.mark.parametrize("cls", [str, int, bool, type(None), dict, datetime, UUID, object])
    def test_what_is_storable_anyway_cannot_be_registered(self, cls):
        with pytest.raises(TypeError, match=rf"the form of \S*{cls.__name__} is fixed"):
            register_type(cls, "mine", repr, repr)

    def test_what_a_refused_registration_asked_for_is_not_kept(self):
        self.money()
        with pytest.raises(ValueError, match="cannot be 'money'"):
            register_type(Opaque, "money", repr, lambda _: Opaque())
        with pytest.raises(TypeError, match="cannot store a value of type"):
            encode(Opaque(), "key")

    def test_a_part_that_cannot_be_stored_is_named_through_a_registered_type(self):
        self.money()
        with pytest.raises(TypeError, match=r"test_values\.Opaque \(at cart\['price'\]\[<Money>\]\[1\]\)"):
            encode({"price": Money(Decimal(1), Opaque())}, "cart")

    def test_a_type_that_turns_into_itself_is_refused(self):
        register_type(Money, "money", lambda it: it, lambda plain: plain)
        with pytest.raises(ValueError, match="contains itself"):
            encode(Money(Decimal(1), ""), "cart")

    def test_a_function_that_fails_on_reading_is_the_cause(self):
        register_type(Money, "money", lambda _: SECRET, lambda plain: {}[plain])
        data = encode(Money(Decimal(1), ""), "key")
        with pytest.raises(RedisessError, match=r"malformed test_values\.Money$") as caught:
            decode(data)
        assert type(caught.value.__cause__) is KeyError

    def test_of_threads_that_want_one_tag_one_gets_it(self, monkeypatch):
        class Slow(dict):
            """Lets every other thread look, too, before this one goes on."""

            def get(self, key):
                found = super().get(key)
                time_to_look.wait(0.01)
                return found

        time_to_look = threading.Event()
        monkeypatch.setattr(values, "_BY_TAG", Slow(values._BY_TAG))
        start = threading.Barrier(8)
        classes = [type(f"Class{number}", (), {}) for number in range(8)]

        def register(cls):
            start.wait()
            try:
                register_type(cls, "wanted", lambda _: None, lambda _: cls())
            except ValueError:
                return None
            return cls

        with ThreadPoolExecutor(8) as pool:
            winners = [cls for cls in pool.map(register, classes) if cls]
        assert len(winners) == 1
        assert type(round_trip(winners[0]())) is winners[0]


def test_what_a_serializer_of_an_applications_own_made_is_told_from_all_else():
    made = values.Serialized("shop.Sealed", b"x")
    assert values.decode(values.encode(made, "k")) == made
    assert values.serializer_of(values.encode(made, "k")) == "shop.Sealed"
    for other in (b"x", "x", None, 1, ["shop.Sealed", b"x"], [made], {"serializer": "shop.Sealed"}):
        assert values.serializer_of(values.encode(other, "k")) is None
