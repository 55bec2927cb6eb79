"""Tools of MCP servers (https://modelcontextprotocol.io): a client of our own, and the tools that agents get.

From the ground up: `protocol`, `names`, `results` are pure; `stdio` and `http` carry messages; `peer` pairs
answers with requests; `server` is the life of one server; `source` offers the tools of all to agents.
"""
