"""Output carries what the children say from their pipes to where people read it."""
