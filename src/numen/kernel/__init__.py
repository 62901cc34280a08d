"""The ground: system calls that Python lacks, and the reading of /proc, under their manual pages' names."""
