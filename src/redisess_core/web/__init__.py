"""What the web adapters share."""
