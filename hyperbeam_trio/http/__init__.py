"""HTTP: the server's front door, and the client."""
