"""The world of a run: broker, network, consumers, and what is injected into them."""
