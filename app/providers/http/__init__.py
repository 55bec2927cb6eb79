"""HTTP to model providers, whatever wire format they speak: what a provider's own package builds on.

`transport` sends a request over a connection from `pool`; `response` reads its answer with `parser`, and
`deadlines` bounds each read; `status_errors` turns a status that is no success into an error; `sse` decodes a
stream of server-sent events, `lenient_json` their data, `content_encoding` what is compressed. A package for
one wire format (such as `openai_chat`) has `provider.py`, `request.py` and `stream.py`.
"""
