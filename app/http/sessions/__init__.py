"""`/v1/sessions`: the caller's stored conversations (docs/sessions.md#over-http)."""
