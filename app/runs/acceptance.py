"""Where a run is stored and takes its place in its session's queue: from there on it is not lost."""

from __future__ import annotations

from collections.abc import Callable

from app.runs.drive import RunSlots, input_of
from app.runs.earlier import Earlier
from app.runs.own_run import OwnRun
from app.runs.run import Run
from app.runs.stored_request import comes_back, dump_request, may_be_resumed
from app.sessions.agent_lanes import AgentLanes
from app.sessions.base import RunStore
from app.sessions.lanes import Place, SessionLanes
from app.sessions.stored import AcceptedRun, NewRun


class Acceptance:
    """`check` and `is_shared` as in `RunService`."""

    def __init__(
        self,
        store: RunStore,
        lanes: SessionLanes,
        agents: AgentLanes,
        check: Callable[[], object],
        *,
        is_shared: bool,
    ) -> None:
        self._store = store
        self._lanes = lanes
        self._check = check
        self._is_shared = is_shared
        self._agent_lanes = agents

    def accept(self, run: Run) -> RunSlots:
        """Take the run's place in its session's lane, and store its new messages."""
        request = run.request
        if not request.is_stored:
            return RunSlots(None, None, self._agent_lanes)
        given, kept = input_of(request), None
        if may_be_resumed(request, is_shared=self._is_shared):
            kept = dump_request(request, given)
        place = self._lanes.join(run.session_key)
        try:
            accepted = self._store.accept(
                run.id,
                run.session_key,
                run.agent.id,
                request.route.label,
                request.source,
                given,
                NewRun(
                    hidden=request.route.stateless,
                    request=kept,
                    max_waiting=place.max_waiting,
                    waits=bool(run.agent.max_concurrent),
                    key=request.key,
                    started_at=int(run.started_at * 1000),
                ),
            )
            if accepted.has_steps:
                left = self._store.left(run.id)
                run.earlier = Earlier(left.input, left.steps, model=left.model)
        except BaseException:
            place.leave()
            raise
        return self._slots(run, place, accepted)

    def slots(self, run: Run, accepted: AcceptedRun) -> RunSlots:
        """The place of a run that another worker had accepted."""
        return self._slots(run, self._lanes.join(run.session_key), accepted)

    def _slots(self, run: Run, place: Place, accepted: AcceptedRun) -> RunSlots:
        run.fence = accepted.fence
        place.stored(run.id, accepted)
        own = OwnRun(
            *(self._store, self._check, run.id, run.session_key, accepted),
            ends_when_shown=self._is_shared and run.request.streams and not comes_back(run.request),
        )
        return RunSlots(place, own, self._agent_lanes)
