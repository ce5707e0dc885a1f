"""The command line: parses, calls, renders, and decides nothing."""
