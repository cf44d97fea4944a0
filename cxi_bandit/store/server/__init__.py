"""The embedded PostgreSQL server, and the programs that copy a database away and bring it back."""
