"""Experiments and commands that are stopped at random moments, again and again; `make chaos` runs it."""
