"""One module for each family of rows; each has `rows(bench)`, which measures and returns the lines of the table."""
