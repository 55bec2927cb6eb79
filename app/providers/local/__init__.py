"""A small bundled model that runs in a process of its own and needs no key."""
