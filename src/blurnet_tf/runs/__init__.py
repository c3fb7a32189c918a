"""Runs: checkpoints and cells, stored whole, resumed after a kill, shared between processes."""
