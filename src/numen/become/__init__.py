"""Become: the eight steps by which a process becomes a daemon, one module a step or a pair of steps.

`context` puts them in order for the running Python program, `command` for any other program; `launch` is
the side that waits and learns the outcome. Of numen this room needs `settings` and `kernel`, and beyond
numen the standard library alone.
"""
