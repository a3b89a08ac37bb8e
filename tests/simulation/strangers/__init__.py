"""Workers of different authors and habits, none of whom had this harness in mind: each is one module with `main`."""
