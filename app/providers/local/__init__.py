"""The small model that comes with the gateway: real answers without a key, from a process of its own."""
