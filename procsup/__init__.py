"""procsup runs the processes of a Procfile, keeps them running, scales them and stops them clean."""

__version__ = "0.1.0"
