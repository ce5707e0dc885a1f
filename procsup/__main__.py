"""`python -m procsup` is the same as `procsup`."""

from procsup.cli.main import main

main()
