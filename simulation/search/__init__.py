"""The search: many runs of one scenario, in an order that finds violations soon."""
