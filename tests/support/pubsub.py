"""Workers of one process that tell each other things, in place of Redis."""

from __future__ import annotations

import json
from collections import defaultdict

from app.cluster.base import Handler, Message, Topic
from app.errors import ClusterUnavailable


class Exchange:
    """Where the workers meet. `is_away`: they cannot reach each other."""

    def __init__(self) -> None:
        self.members: list[MemberPubSub] = []
        self.is_away = False

    def join(self) -> MemberPubSub:
        self.members.append(MemberPubSub(self))
        return self.members[-1]


class MemberPubSub:
    """Implements `PubSub`: the others have a message when `publish` returns."""

    is_shared = True

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.handlers: dict[str, list[Handler]] = defaultdict(list)

    @property
    def is_away(self) -> bool:
        return self._exchange.is_away

    def publish(self, topic: Topic, message: Message) -> int:
        if self._exchange.is_away:
            raise ClusterUnavailable("The other workers cannot be reached.", retry_after=1)
        others = [one for one in self._exchange.members if one is not self]
        for other in others:
            for handler in other.handlers[topic]:
                handler(json.loads(json.dumps(message)))
        return len(others)

    def subscribe(self, topic: Topic, handler: Handler) -> None:
        self.handlers[topic].append(handler)
