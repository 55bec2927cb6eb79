"""Any server with OpenAI's Chat Completions API."""
