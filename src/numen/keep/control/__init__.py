"""The control socket, and what clients ask on it."""
