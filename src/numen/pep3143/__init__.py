"""python-daemon's names on numen's engine, so that a program written for python-daemon 3.1 runs unchanged.

`install()` puts them where such a program imports them; `python -m numen.pep3143 PROGRAM` does that and runs
the program. Each name lives in the module that it has there: `daemon`, `pidfile`, `pidlockfile`, `runner`.
What is kept, what is mended and what `switches` decides is told in docs/pep3143.md.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Unpack

    from .switches import Choices

SUBMODULES = ("daemon", "pidfile", "pidlockfile", "runner")
"""The modules of the package `daemon`, as python-daemon has had them from 1.5 to 3.1."""

__all__ = ["install"]


def install(**choices: "Unpack[Choices]") -> None:
    """Let `import daemon` mean this package, in all of this process; `choices` are switches by name.

    To be called before the program imports `daemon`. Raises BadOption for what is no switch.
    """
    import sys
    from importlib import import_module
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from . import switches
    from .daemon import DaemonContext

    switches.choose(**choices)
    spec = ModuleSpec("daemon", None, is_package=True)
    package = ModuleType("daemon", "python-daemon's names on numen's engine.")
    package.__dict__.update(__spec__=spec, __path__=[], __all__=["DaemonContext"], DaemonContext=DaemonContext)
    sys.modules["daemon"] = package
    for name in SUBMODULES:
        module = import_module(f".{name}", __name__)
        setattr(package, name, module)
        sys.modules[f"daemon.{name}"] = module
