"""ChatOpenAI and a run whose agent uses a tool, its events asked for. Prints one JSON object."""

import json
import os
import sys

from langchain_openai import ChatOpenAI

model = ChatOpenAI(
    model="openclaw:main",
    base_url=f"{os.environ['GATEWAY_URL']}/v1",
    api_key=os.environ["GATEWAY_TOKEN"],
    max_retries=0,
    stream_usage=True,
    default_headers={"x-openclaw-events": "tools,approvals,reasoning"},
)

if sys.argv[1] == "stream":
    chunks = list(model.stream("hi"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
else:
    whole = model.invoke("hi")
print(json.dumps({"text": whole.content, "calls": whole.tool_calls}))
