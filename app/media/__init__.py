"""Images in requests: their types and limits, and fetching them without access to the local network."""
