"""Step 7: errors go to the system log; `system_log` is where to begin."""
