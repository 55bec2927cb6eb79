"""The Gateway protocol over WebSocket (docs/websocket.md).

`routes` refuses or accepts the upgrade, `connection` reads and writes frames, `dispatcher` finds the method
of a request (`methods/`), `feed` and `encoder` turn the events of runs into frames.
"""
