"""Daemons in the foreground, as `numen up` runs them: a private house, its output, its end.

`session` is the run itself; `project` what is read from the file, `verdict` when it is over and with which exit status.
"""
