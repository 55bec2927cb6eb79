"""`POST /v1/chat/completions` (contract, HTTP sections 4 to 8)."""
