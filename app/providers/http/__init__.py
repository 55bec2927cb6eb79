"""HTTP to model providers, whatever wire format they speak: what a provider's own package builds on.

`transport` sends a request and reads its answer, over connections from `pool`; `deadlines` bounds each read;
`status_errors` turns a status other than 200 into an error; `sse` decodes a stream of server-sent events. A
package for one wire format (such as `openai_chat`) has `provider.py`, `request.py` and `stream.py`.
"""
