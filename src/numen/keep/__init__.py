"""Keep: who starts the daemons, restarts them, holds their logs, and survives its own death."""
