"""`GET /openapi.json`: the HTTP API as an OpenAPI 3.1 document, made from the marshmallow schemas."""
