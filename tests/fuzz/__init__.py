"""Damaged and hostile inputs over every entry point; `python -m tests.fuzz` runs many of them, each by its number."""
