"""`POST /v1/chat/completions` (docs/http.md)."""
