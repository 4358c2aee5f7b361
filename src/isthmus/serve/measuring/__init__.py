"""Load for a server, and a server in a process of its own."""
