"""The core decides: pure, synchronous, no clock and no I/O; facts in, orders out."""
