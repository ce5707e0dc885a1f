"""Export says the same application in the words of other engines: project in, text of their files out."""
