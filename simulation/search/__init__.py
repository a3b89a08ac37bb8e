"""The search: many runs of one scenario, in whatever order finds what is wrong soonest."""
