"""Programs that the Makefile runs: command lines round calls of the library."""
