"""The smallest MCP server: one tool, on standard input and output, without any library.

`examples/mcp.json5` gives it to an agent. Servers of your own are best made with an SDK of
https://modelcontextprotocol.io.
"""

import json
import random
import sys

ROLL = {
    "name": "roll",
    "description": "Roll dice.",
    "inputSchema": {
        "type": "object",
        "properties": {"dice": {"type": "integer", "minimum": 1, "maximum": 100}},
        "required": ["dice"],
    },
}


def result_of(method, params):
    if method == "initialize":
        about = {"name": "dice", "version": "1.0"}
        return {
            "protocolVersion": params["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": about,
        }
    if method == "tools/list":
        return {"tools": [ROLL]}
    if method == "tools/call":
        rolled = [random.randint(1, 6) for _ in range(params["arguments"]["dice"])]
        return {
            "content": [{"type": "text", "text": f"{rolled}, {sum(rolled)} in all"}],
            "structuredContent": {"rolled": rolled, "sum": sum(rolled)},
        }
    return {}


for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:  # a notification has none, and gets no answer
        answer = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            answer["result"] = result_of(message["method"], message.get("params", {}))
        except Exception as error:
            answer["error"] = {"code": -32603, "message": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)
