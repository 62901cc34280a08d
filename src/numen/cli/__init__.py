"""The front door: the `numen` command, one small module a subcommand, no logic of its own."""
