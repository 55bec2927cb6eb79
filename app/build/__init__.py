"""Parts of the bootstrap: families of concrete classes, put together."""
