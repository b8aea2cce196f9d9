"""The fault campaign: everything that a year under a shelf does to the daemon, in a quarter of an hour.

`python -m tests.daemon.faults` (or `make faults`) runs the daemon as it is installed, breaks one thing after the other,
and compares what was acknowledged outside with what is in the database. docs/faults.md has a run's table.
"""
