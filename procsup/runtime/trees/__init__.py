"""What belongs to us: whole trees of processes, also those whose parent is gone. Found, counted, weighed and ended."""
