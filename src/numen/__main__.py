"""`python -m numen`: the same as the command `numen`."""

from .cli.main import main

raise SystemExit(main())
