"""The logs: what the daemons write, moved from their FIFOs to NAME.log, and read there."""
