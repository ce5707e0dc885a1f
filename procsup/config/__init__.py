"""Config reads: text in, frozen values out, every error at once."""
