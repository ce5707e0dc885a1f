"""The soak: procsup with 60 processes, disturbed at random for minutes or hours, and what must hold all the while."""
