"""Pictures from outside: what they are, and fetching them without being led into the local network."""
