"""`procsup upgrade`: one version hands all that it has to another, in the same process."""
