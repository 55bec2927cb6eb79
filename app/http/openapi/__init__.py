"""`GET /openapi.json`: the HTTP surface as an OpenAPI 3.1 document, made from the marshmallow schemas."""
