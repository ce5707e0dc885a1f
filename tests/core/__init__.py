"""Tests of the core: milliseconds, no processes, no clock."""
