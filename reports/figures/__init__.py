"""Pictures made by matplotlib: of a run, a sweep, a search for fault points."""
