"""An app of the tests: users with UUIDs for keys and emails for names."""
