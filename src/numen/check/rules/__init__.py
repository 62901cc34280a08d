"""The rules, one module a step or a piece of good practice. Each is a function of the facts; it reads nothing."""

from . import (  # noqa: F401 - importing them registers their rules
    boot,
    descriptors,
    detach,
    errors,
    network,
    pidfile,
    privileges,
    program,
    resources,
    signals,
    surroundings,
)
