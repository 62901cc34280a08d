"""The supervisors: numen beside supervisor, circus, s6, runit and daemontools, each with the same daemons."""
