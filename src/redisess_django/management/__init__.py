"""What `manage.py` finds here: the commands, and what they share."""
