"""One session manager over Redis, for any framework."""
