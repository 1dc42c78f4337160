# The daily verbs. Without `just`, each is the one command below its name (`uvx --from rust-just just` runs it, too).

# Show the verbs.
default:
    @just --list

# Install everything into .venv, as locked.
setup:
    uv sync

# Run the tests: `just test tests/unit -k tokens`.
test *args:
    uv run pytest {{ args }}

# Run the core's tests on another server: `just test-on 6.2`, `just test-on 8`, `just test-on /path/to/redis-server`.
test-on server *args="tests/test_redis tests/properties":
    REDISESS_REDIS_SERVER={{ server }} uv run pytest {{ args }}

# Run the core's tests on a cluster: `just test-on-a-cluster tests/test_redis/test_session.py`.
test-on-a-cluster *args="tests/test_redis tests/properties":
    REDISESS_TOPOLOGY=cluster uv run pytest {{ args }}

# Let servers fail for a minute, and see what outlives that.
soak:
    uv run pytest -n0 -s -m soak tests/test_redis/test_soak.py

# Check style, format and who imports whom.
lint:
    uv run ruff check .
    uv run ruff format --check .
    uv run lint-imports

# Check types with both checkers.
types:
    uv run mypy
    uv run pyright

# Mend what can be mended by itself.
fix:
    uv run ruff check --fix .
    uv run ruff format .

# Show which lines no test runs.
cover *args:
    uv run coverage run -m pytest {{ args }}
    uv run coverage report --show-missing --skip-covered

# Run every benchmark, or the named ones: `just bench benchmarks/core.py`.
bench *files="benchmarks/*.py":
    @for file in {{ files }}; do echo "== $file"; uv run python "$file" || exit; done

# Start the demo, with everything in memory: no Redis needed.
demo *args:
    uv run redisess demo {{ args }}

# Run what decides whether a change lands.
ci:
    .ci/run
