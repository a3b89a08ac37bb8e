"""Workers in different styles, none written for this harness: each is one module with `main`."""
