"""The measurements of numen beside its rivals: `python -m bench` prints them, a module a table."""
