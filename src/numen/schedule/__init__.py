"""When something is to run, and what follows of its running: intervals, calendars, overlap, missed runs, retries."""
