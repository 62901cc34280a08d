"""The words in which people write settings: durations, sizes, signals, limits, environments; and the places."""
