"""The command line, `blurnet`: arguments in, library calls, files out. A file for each command; `main` joins them."""
