"""Coverage of a search: distinct behaviours, transitions of the event model, and an estimate of what is unseen."""
