"""What the tests stand on: a real server, one body for both managers, a clock to set, a look at the wire."""
