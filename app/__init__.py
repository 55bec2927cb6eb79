"""The OpenClaw Gateway: agents behind the OpenAI API and the Gateway protocol.

`ARCHITECTURE.md` says which package does what and who may import whom.
"""

VERSION = "0.1.0"
