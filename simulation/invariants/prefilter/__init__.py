"""The prefilter: skips event families that no invariant can reject."""
