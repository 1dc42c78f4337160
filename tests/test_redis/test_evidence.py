"""What others got wrong and what the standards ask, as far as the core decides it: a test for each row.

Cookies, headers and the request's session have theirs with the web layer and the adapters.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import pickle
import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from redisess_core import (
    AsyncSessionManager,
    RedisessError,
    SessionGone,
    SessionLimitReached,
    SessionManager,
    StoreUnavailable,
)
from support.both import unwrap

WRITING = {"HSET", "HDEL", "ZADD", "ZREM", "DEL", "PEXPIRE", "PERSIST", "RENAME", "SET", "PUBLISH"}
CHOSEN = "1aa" + "chosenbyanattacker".ljust(26, "a")

# ---- defects live in released session libraries


def test_an_id_that_a_client_chose_never_becomes_a_session_as_in_starsessions_litestar_laravel(manager, left):
    assert manager.authenticate(CHOSEN) is None
    assert left() == set()
    assert manager.create(None).token != CHOSEN
    assert manager.authenticate(CHOSEN) is None


def test_cve_2024_38513_gofiber_an_id_from_outside_is_never_adopted(manager):
    parameters = inspect.signature(unwrap(manager).create).parameters
    assert not {"token", "session_id", "id", "key"} & set(parameters)
    with pytest.raises(TypeError):
        manager.create("ada", token=CHOSEN)
    with pytest.raises(TypeError):
        manager.create("ada", session_id="saa" + "0" * 25)
    assert manager.count() == 0


def test_cve_2025_46336_rack_session_a_request_that_ends_after_a_logout_writes_nothing_back(make_manager, clock, left):
    manager = make_manager(clock=clock, additional_fields=("role",))
    late = manager.authenticate(manager.create("ada", data={"cart": [1]}).token)
    manager.kill(late.session_id)
    late.role = "admin"
    for write in (late.write, lambda: late.set("cart", [2]), lambda: late.delete("cart"), lambda: manager.rotate(late)):
        with pytest.raises(SessionGone):
            write()
    assert manager.authenticate(late.token) is None
    assert left() == set()


def test_a_save_is_one_script_not_a_get_and_a_set_as_in_djangos_cache_backend(manager, wire):
    session = manager.create("ada")
    session.set("key", 0)
    with wire() as seen:
        session.set("key", 1)
    assert seen.names == ["EVALSHA"]


def test_a_redis_error_is_no_empty_session_as_in_django_redis_sessions(make_manager, start_server):
    server = start_server()
    manager = make_manager(url=server.url)
    session = manager.create("ada")
    server.pause()
    manager_in_a_hurry = make_manager(url=f"{server.url}?socket_timeout=0.05")
    with pytest.raises(StoreUnavailable):
        manager_in_a_hurry.authenticate(session.token)
    server.resume()
    assert manager.authenticate(session.token).user_id == "ada"


@pytest.mark.parametrize("kind", [SessionManager, AsyncSessionManager])
def test_an_unknown_client_is_refused_not_replaced_by_localhost_as_in_flask_session(kind):
    class Proxy:
        def __getattr__(self, name):
            return lambda *args, **kwargs: None

    with pytest.raises(TypeError, match="Proxy given"):
        kind(Proxy())


def test_a_rotation_leaves_no_old_id_alive_as_in_starsessions_and_aiohttp_session(manager):
    old = manager.create("ada")
    new = manager.rotate(old)
    assert manager.authenticate(old.token) is None
    assert not manager.exists(old.session_id)
    assert manager.count_for_user("ada") == 1
    assert manager.authenticate(new.token)


def test_renewing_a_token_does_not_move_the_absolute_deadline_as_in_scs(make_manager, clock):
    manager = make_manager(clock=clock, max_lifetime=100)
    session, deadline = manager.create("ada"), clock() + 100
    for _ in range(3):
        clock.advance(30)
        session = manager.rotate(session)
        assert session.expires == deadline
    clock.set(deadline)
    assert manager.authenticate(session.token) is None


def test_not_every_request_writes_as_in_flask_session_starsessions_litestar(manager, clock, wire):
    session = manager.create("ada")
    clock.advance(0.9)
    with wire() as seen:
        manager.authenticate(session.token)
    assert not {command.name for command in seen.in_scripts} & WRITING


@pytest.mark.parametrize("colour", ["async"])
def test_async_does_not_hop_to_a_thread_as_in_djangos_aload(manager, monkeypatch):
    monkeypatch.setattr(asyncio.BaseEventLoop, "run_in_executor", None)
    session = manager.create("ada", data={"a": 1})
    threads = set(threading.enumerate())
    assert manager.authenticate(session.token).get("a") == 1
    assert list(manager.iter_users()) == ["ada"]
    assert set(threading.enumerate()) == threads


def test_numbers_are_exact_without_keyspace_events_as_spring_session_needs_them(manager, clock, redis_client):
    assert redis_client.config_get("notify-keyspace-events")["notify-keyspace-events"] == ""
    stays = manager.create("ada", ttl=20)
    manager.create("ada", ttl=10)
    manager.create("bob", ttl=10)
    clock.advance(10)
    assert (manager.count(), manager.count_users(), manager.count_for_user("ada")) == (1, 1, 1)
    assert manager.get_all_sessions() == manager.get_user_sessions("ada") == [stays.session_id]
    assert manager.get_all_users() == ["ada"]


def test_cve_2023_20866_spring_session_no_token_in_a_log_a_repr_an_event_or_an_error(manager, caplog):
    caplog.set_level("DEBUG")
    session = manager.create("ada")
    with manager.events() as events:
        manager.kill(session.session_id)
        shown = [repr(session), str(session), repr(next(events)), caplog.text]
    with pytest.raises(SessionGone) as raised:
        session.write()
    assert not any(session.token in text for text in (*shown, str(raised.value), repr(raised.value)))


def test_lists_give_handles_not_tokens_as_spring_actuator_and_better_auth_do(manager):
    token = manager.create("ada").token
    listed = (
        manager.list_user_sessions("ada") + list(manager.iter_sessions()) + [manager.get_oldest_user_session("ada")]
    )
    assert [session.token for session in listed] == [None] * 3
    handles = {
        *(session.session_id for session in listed),
        *manager.get_all_sessions(),
        *manager.get_user_sessions("ada"),
    }
    assert token not in handles
    assert [manager.authenticate(handle) for handle in handles] == [None]


def test_a_limit_holds_when_many_sign_in_at_once_unlike_keycloak_38016(make_manager, clock):
    evicting = make_manager(clock=clock, max_sessions_per_user=5)
    refusing = make_manager(clock=clock, max_sessions_per_user=5, on_limit="refuse")

    def sign_in(number):
        try:
            return (refusing if number % 2 else evicting).create("ada")
        except SessionLimitReached:
            return None

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(sign_in, range(60)))
    assert evicting.count_for_user("ada") == 5


def test_a_count_does_not_read_what_it_counts_unlike_keycloak_29294(filler, manager, wire):
    def commands_of_a_count():
        with wire() as seen:
            manager.count()
            manager.count_users()
            manager.count_for_user("ada")
        return len(seen), len(seen.in_scripts)

    manager.create("ada")
    commands_of_a_count()
    few = commands_of_a_count()
    for _ in range(300):
        filler.create("ada")
    assert commands_of_a_count() == few


# The Node original, one by one.


def test_a_users_index_is_emptied_unlike_the_node_originals(manager, clock, left):
    manager.kill(manager.create("ada").session_id)
    assert left() == set()
    manager.create("ada")
    clock.advance(1800)
    manager.count()
    assert left() == set()


def test_a_write_after_a_get_revives_nothing_unlike_the_node_originals(manager):
    session = manager.get(manager.create("ada").session_id)
    manager.kill(session.session_id)
    with pytest.raises(SessionGone):
        session.write()
    assert not manager.exists(session.session_id)


def test_a_set_on_a_dead_session_leaks_no_key_unlike_the_node_originals(manager, clock, left):
    session = manager.create("ada")
    clock.advance(1800)
    manager.wipe()
    with pytest.raises(SessionGone):
        session.set("key", 1)
    assert left() == set()


def test_every_key_has_an_expiry(manager, redis_client, left):
    manager.create("ada", data={"a": 1}).set("b", 2)
    assert len(left()) == 5
    assert all(0 < redis_client.pttl(key) <= 1_900_000 for key in left())


def test_kill_all_runs_no_keys_and_wipe_unpacks_no_thousands_unlike_the_node_originals(filler, manager, clock, wire):
    for number in range(300):
        filler.create(f"user{number % 9}", ttl=5 if number % 2 else 50)
    clock.advance(5)
    with wire() as seen:
        assert manager.wipe() == 150
        assert manager.kill_all() == 150
    assert not {command.name for command in [*seen, *seen.in_scripts]} & {"KEYS", "SCAN", "FLUSHDB"}
    assert max(len(command.args) for command in seen.in_scripts) < 20


def test_every_key_is_in_a_declared_slot_unlike_the_node_originals(manager, wire):
    session = manager.create("ada")
    with wire() as seen:
        manager.authenticate(session.token)
        manager.kill_user("ada")
    tags = {word.split("}")[0] for command in [*seen, *seen.in_scripts] for word in command.words if word[:1] == "{"}
    assert len(tags) == 1


def test_scripts_are_not_sent_again_with_every_call_unlike_the_node_originals(manager, wire):
    session = manager.create("ada")
    manager.authenticate(session.token)
    with wire() as seen:
        manager.authenticate(session.token)
    assert sum(len(word) for command in seen for word in command.words) < 500


def test_fields_are_stored_by_name_not_by_position_unlike_the_node_originals(make_manager, clock):
    before = make_manager(clock=clock, additional_fields=("role", "theme"))
    after = make_manager(clock=clock, additional_fields=("plan", "theme", "role"))
    session = after.authenticate(before.create("ada", role="admin", theme="dark").token)
    assert session.fields == {"plan": None, "theme": "dark", "role": "admin"}


def test_expired_sessions_are_not_counted_until_a_wipe_unlike_the_node_originals(manager, clock):
    manager.create("ada")
    clock.advance(1800)
    assert manager.count() == 0


# Advisories and threads.


class Payload:
    def __reduce__(self):
        return pytest.fail, ("a stored value was run",)


@pytest.mark.one_shard
@pytest.mark.parametrize(
    "payload",
    [
        pickle.dumps(Payload()),
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'{"~x:unknown":1}',
        b'{"~dt":"not a date"}',
        b"NaN",
    ],
)
def test_cve_2026_39324_rack_session_a_payload_that_fails_to_decode_is_refused(
    manager, redis_client, namespace, payload
):
    session = manager.create("ada", data={"good": 1, "bad": 2})
    redis_client.hset(f"{{{namespace}:0}}:s:{session.session_id}", "d:bad", payload)
    with pytest.raises(RedisessError):
        session.get("bad")
    with pytest.raises(RedisessError):
        session.get_all()
    found = manager.authenticate(session.token)
    assert found.data["good"] == 1
    with pytest.raises(RedisessError):
        _ = found.data["bad"]


def test_cve_2024_35220_fastify_the_servers_deadline_decides_whatever_the_client_asks(make_manager, clock):
    manager = make_manager(clock=clock, ttl=60, max_lifetime=100)
    session = manager.create("ada")
    session.ttl = 1_000_000
    session.write()
    clock.advance(99)
    assert manager.authenticate(session.token).expires_in == 1
    clock.advance(1)
    assert manager.authenticate(session.token) is None


@pytest.mark.parametrize("ttl", [1e-6, 0.001, 0.4, 0.999])
def test_a_positive_ttl_never_becomes_immortal_unlike_better_auth_10992(manager, clock, redis_client, left, ttl):
    session = manager.create("ada", ttl=ttl)
    assert session.expires < math.inf
    assert all(redis_client.pttl(key) > 0 for key in left())
    clock.advance(1)
    assert manager.authenticate(session.token) is None
    session = manager.create("ada")
    session.ttl = ttl
    session.write()
    rotated = manager.rotate(manager.create("ada"), ttl=ttl)
    assert session.ttl == rotated.ttl == ttl
    clock.advance(1)
    assert manager.count() == 0


def test_cve_2015_3982_django_the_empty_string_is_no_valid_id(manager, stored):
    for use in (manager.authenticate, manager.get, manager.exists, manager.kill, manager.create, manager.kill_user):
        with pytest.raises(ValueError, match="given"):
            use("")
    assert stored() == {}


def test_cve_2015_5143_and_5963_django_a_logout_creates_no_record(manager, left):
    manager.kill("saa" + "0" * 25)
    manager.kill_user("nobody")
    session = manager.create("ada")
    session.kill()
    session.kill()
    assert left() == set()


def test_somebody_elses_session_cannot_be_revoked_by_its_id_as_in_better_auth_multi_session(manager):
    bobs = manager.create("bob")
    assert manager.kill(bobs.session_id, user_id="ada") is False
    assert manager.kill_user("ada", keep=bobs.session_id) == 0
    assert manager.exists(bobs.session_id)


def test_cve_2023_29019_fastify_passport_no_id_is_kept_over_a_login(manager):
    planted = manager.create(None, data={"cart": [1]})
    session = manager.rotate(planted, user_id="ada")
    assert session.token != planted.token
    assert session.session_id != planted.session_id
    assert manager.authenticate(planted.token) is None


def test_cve_2023_40273_airflow_a_reset_password_can_end_all_other_sessions(manager):
    mine, *others = [manager.create("ada") for _ in range(3)]
    assert manager.kill_user("ada", keep=mine.session_id) == 2
    assert manager.authenticate(mine.token)
    assert [manager.authenticate(other.token) for other in others] == [None, None]


@pytest.mark.parametrize("around", ["\xa0{}", "{}\xa0", " {}", "{}\n", "\ufeff{}", "{}\0", "{}=", '"{}"'])
def test_ghsa_r5rp_j6wh_rvv4_hono_a_token_is_matched_exactly_as_sent(manager, around):
    assert manager.authenticate(around.format(manager.create("ada").token)) is None


def test_the_stored_key_sent_as_a_token_signs_nobody_in_unlike_redis_session_stores(manager, left):
    session = manager.create("ada")
    for key in left():
        for part in {key.decode(), *key.decode().split(":")}:
            assert manager.authenticate(part) is None
    assert manager.authenticate(session.session_id) is None


# ---- OWASP ASVS 5.0, chapter V7


def test_asvs_7_1_1_and_7_1_2_the_policy_in_force_can_be_read(make_manager):
    manager = make_manager(ttl=900, max_lifetime=43200, max_sessions_per_user=3, on_limit="refuse")
    assert (manager.ttl, manager.max_lifetime) == (900, 43200)
    assert (manager.max_sessions_per_user, manager.on_limit) == (3, "refuse")


def test_asvs_7_2_1_a_token_is_verified_by_the_backend_alone(manager, redis_client):
    session = manager.create("ada")
    assert manager.authenticate(session.token)
    redis_client.flushall()
    assert manager.authenticate(session.token) is None


def test_asvs_7_2_2_tokens_are_dynamic(manager):
    assert len({manager.create("ada").token for _ in range(100)}) == 100


def test_asvs_7_2_3_a_token_has_at_least_128_bits_of_a_secure_generator(manager, monkeypatch):
    asked = []
    generator = secrets.token_bytes
    monkeypatch.setattr("redisess_core.tokens.secrets.token_bytes", lambda n: asked.append(n) or generator(n))
    token = manager.create(None).token
    assert len(token) <= 40
    assert asked[0] * 8 >= 128
    assert 5 * len(token[3:]) >= 128  # base32: five bits a character
    varied = [manager.create(None).token[3:] for _ in range(200)]
    assert all(len({token[at] for token in varied}) > 25 for at in range(26))  # every character counts


def test_asvs_7_2_4_a_new_token_at_each_authentication_and_the_old_one_ended(manager):
    first = manager.create("ada")
    second = manager.rotate(first, user_id="ada")
    assert first.token != second.token
    assert manager.authenticate(first.token) is None
    assert manager.authenticate(second.token)


def test_asvs_7_3_1_inactivity_ends_a_session_by_the_servers_clock(make_manager, clock, manager):
    session = manager.create("ada", ttl=60)
    clock.advance(59)
    assert manager.authenticate(session.token)
    clock.advance(60)
    assert manager.authenticate(session.token) is None
    of_server = make_manager().create("ada", ttl=60)
    clock.advance(1e6)  # a client's clock, or this process's, is nobody's business
    assert of_server.read()


def test_asvs_7_3_2_an_absolute_lifetime_ends_a_session_however_active(make_manager, clock):
    manager = make_manager(clock=clock, ttl=60, max_lifetime=120)
    session = manager.create("ada")
    for _ in range(3):
        clock.advance(39)
        assert manager.authenticate(session.token)
    clock.advance(3)
    assert manager.authenticate(session.token) is None


@pytest.mark.parametrize("end", ["logout", "expiry"])
def test_asvs_7_4_1_after_logout_or_expiry_there_is_no_further_use(manager, clock, end):
    session = manager.create("ada", data={"a": 1})
    _ = session.kill() if end == "logout" else clock.advance(1800)
    assert manager.authenticate(session.token) is None
    for use in (session.get_all, session.write, lambda: session.set("a", 2), lambda: manager.rotate(session)):
        with pytest.raises(SessionGone):
            use()
    assert manager.authenticate(session.token) is None


def test_asvs_7_4_2_all_sessions_of_a_disabled_user_are_ended(manager):
    sessions = [manager.create("ada") for _ in range(3)]
    assert manager.kill_user("ada") == 3
    assert [manager.authenticate(session.token) for session in sessions] == [None] * 3


def test_asvs_7_4_3_all_other_sessions_can_be_ended_after_a_change_of_password(manager):
    mine, *others = [manager.create("ada") for _ in range(3)]
    mine = manager.rotate(mine, user_id="ada")
    assert manager.kill_user("ada", keep=mine.session_id) == len(others)
    assert manager.get_user_sessions("ada") == [mine.session_id]


def test_asvs_7_4_5_an_administrator_ends_one_session_one_users_or_everybodys(manager):
    one, *_ = [manager.create(user_id) for user_id in ("ada", "ada", "bob", None)]
    assert manager.kill(one.session_id) is True
    assert manager.kill_user("ada") == 1
    assert manager.kill_all() == 2
    assert manager.count() == 0


def test_asvs_7_5_1_it_is_known_when_the_user_last_signed_in(manager, clock):
    session = manager.create("ada")
    clock.advance(1000)
    session = manager.authenticate(session.token)
    assert clock() - session.authenticated_at == 1000
    session = manager.rotate(session)
    assert clock() - session.authenticated_at == 1000
    session = manager.rotate(session, user_id="ada")
    assert manager.authenticate(session.token).authenticated_at == clock()


def test_asvs_7_5_2_users_can_view_and_end_their_sessions(manager, clock):
    manager.create("ada", ip="192.0.2.7", user_agent="Phone")
    clock.advance(10)
    manager.create("ada", ip="192.0.2.8", user_agent="Laptop")
    manager.create("bob")
    laptop, phone = manager.list_user_sessions("ada")
    assert [(each.user_agent, each.ip, each.idle) for each in (laptop, phone)] == [
        ("Laptop", "192.0.2.8", 0),
        ("Phone", "192.0.2.7", 10),
    ]
    assert manager.kill(phone.session_id, user_id="ada")
    assert [each.user_agent for each in manager.list_user_sessions("ada")] == ["Laptop"]


def test_asvs_7_6_2_a_look_creates_no_session(manager, left):
    manager.authenticate(CHOSEN)
    manager.get("saa" + "0" * 25)
    manager.list_user_sessions("ada")
    assert manager.get_oldest_user_session("ada") is None
    assert left() == set()


def test_asvs_14_2_1_what_goes_into_urls_is_a_handle_that_signs_nobody_in(manager):
    session_id = manager.create("ada").session_id
    assert session_id.isascii()
    assert session_id.isalnum()
    assert manager.authenticate(session_id) is None


def test_asvs_16_2_5_what_is_logged_is_a_hash_from_which_no_way_leads_back(manager, caplog):
    caplog.set_level("DEBUG")
    session = manager.create("ada")
    session.kill()
    with pytest.raises(SessionGone) as raised:
        session.write()
    assert session.session_id in str(raised.value)
    assert session.token[3:] not in session.session_id
    assert session.token[3:] not in caplog.text


def test_owasp_cheat_sheet_ids_are_strict(manager, left):
    assert manager.authenticate(CHOSEN) is None
    assert manager.authenticate(CHOSEN) is None
    assert left() == set()


def test_owasp_cheat_sheet_life_cycle_events_carry_a_handle(manager):
    with manager.events() as events:
        session = manager.create("ada")
        manager.kill(session.session_id)
        created, killed = next(events), next(events)
    assert created.session_id == killed.session_id == session.session_id
    assert (created.user_id, killed.reason) == ("ada", "killed")


def test_nist_sp_800_63b_the_cookies_expiry_is_not_relied_on(manager, clock):
    session = manager.create("ada")
    clock.advance(session.ttl)
    assert manager.authenticate(session.token) is None  # however long a browser keeps sending it


def test_invariant_10_redis_away_is_an_error_and_its_cause_the_clients(make_manager, start_server):
    server = start_server()
    manager = make_manager(url=server.url, client_options={"retry": None})
    token = manager.create("ada").token
    server.stop()
    with pytest.raises(StoreUnavailable) as raised:
        manager.authenticate(token)
    assert isinstance(raised.value.__cause__, redis.RedisError)
