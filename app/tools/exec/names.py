"""Names for background commands that a model can repeat without a mistake: `brisk-otter`."""

from __future__ import annotations

import random
from collections.abc import Container

_QUALITIES = """
amber brave brisk calm clear cool crisp deep eager early fair fast fine fresh gentle glad gold grand
green keen kind late light lively lucky mellow mild neat nimble noble oaken pale plain proud quick quiet
rapid ready rosy royal salty sharp silent silver smart soft solid steady still sunny sure swift tidal
tidy vivid warm wild wise
"""
_THINGS = """
acorn anchor badger basin beacon birch bison breeze brook canyon cedar cliff cloud comet coral crane creek
dune eagle ember falcon fern finch fjord forest gecko glade harbor hawk heron island juniper lagoon lark lemur
lotus maple marsh meadow mesa moss nova ocean orbit otter panda pebble pine prairie raven reef ridge river
"""


def new_name(taken: Container[str]) -> str:
    """Two words, and a number if that name is taken."""
    chosen = name = f"{random.choice(_QUALITIES.split())}-{random.choice(_THINGS.split())}"  # noqa: S311 - no secret
    number = 1
    while name in taken:
        number += 1
        name = f"{chosen}-{number}"
    return name
