"""An app of Django's own test project that puts our sessions under its tests."""
