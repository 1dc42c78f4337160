"""The `redisess` command."""


def main() -> None:
    """Run the command."""
