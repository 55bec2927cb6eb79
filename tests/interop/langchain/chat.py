"""ChatOpenAI against the gateway: answers, a stream, a tool loop. Prints one JSON object."""

import json
import os
import sys

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

WEATHER = {"Paris": "sunny", "Rome": "rain"}

model = ChatOpenAI(
    model="openclaw:main",
    base_url=f"{os.environ['GATEWAY_URL']}/v1",
    api_key=os.environ["GATEWAY_TOKEN"],
    max_retries=0,
    stream_usage=True,
)


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return WEATHER[city]


def invoke() -> dict:
    answer = model.invoke("hi")
    return {
        "text": answer.content,
        "usage": answer.usage_metadata,
        "reason": answer.response_metadata["finish_reason"],
    }


def stream() -> dict:
    chunks = list(model.stream("hi"))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return {"pieces": [chunk.content for chunk in chunks if chunk.content], "usage": whole.usage_metadata}


def tools(question: str) -> dict:
    messages = [HumanMessage(question)]
    with_tools = model.bind_tools([get_weather])
    asked = with_tools.invoke(messages)
    messages.append(asked)
    for call in asked.tool_calls:
        messages.append(ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]))
    calls = [[call["id"], call["name"], call["args"]] for call in asked.tool_calls]
    return {"calls": calls, "text": with_tools.invoke(messages).content}


print(json.dumps({"invoke": invoke, "stream": stream, "tools": tools}[sys.argv[1]](*sys.argv[2:])))
