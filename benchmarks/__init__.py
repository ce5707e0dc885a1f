"""What procsup claims to be fast at, measured beside the tools people use today: `python -m benchmarks --help`."""
