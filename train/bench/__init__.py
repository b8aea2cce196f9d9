"""Edge Digits beside what else a user could pick: measured in one run, side by side. `make bench`."""
