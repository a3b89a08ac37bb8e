"""The world of a run: broker, network, consumers, and the faults injected into them."""
