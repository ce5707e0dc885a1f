"""Control lets other terminals ask: JSON-RPC over a private Unix socket."""
