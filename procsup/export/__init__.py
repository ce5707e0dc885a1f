"""Export writes an application down for other engines: a picture of it in, files out. Nothing here touches the disk."""
