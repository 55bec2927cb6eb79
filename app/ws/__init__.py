"""The Gateway protocol over WebSocket (contract, WebSocket)."""
