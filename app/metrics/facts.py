"""What all processes share, and is looked up when somebody asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from app.control import Brake, ControlStore, ControlUnavailable
from app.services.audit.spool import Missing, Spools
from app.services.brakes import Brakes

_BY = ("integration", "effect")


class Facts(Collector):
    """The brakes, from the control store, and the spools of the audit, from this machine's files."""

    def __init__(self, control: ControlStore, brakes: Brakes, spools: Spools, *, minutes: int) -> None:
        self._control = control
        self._brakes = brakes
        self._spools = spools
        self._minutes = minutes

    def collect(self) -> Iterator[Metric]:
        """The figures; those of the control store are missing while it can't be reached."""
        up = GaugeMetricFamily("landfall_control_up", "Whether the control store can be reached.")
        try:
            found = [self._spooled(self._control.audit.missing), *self._braking()]
        except ControlUnavailable:
            # Whatever is in a spool waits for it.
            found = [self._spooled(list)]
            up.add_metric((), 0)
        else:
            up.add_metric((), 1)
        yield up
        yield from found

    def _spooled(self, missing: Missing) -> Metric:
        state = self._spools.state(missing)
        family = GaugeMetricFamily(
            "landfall_audit_spool_records",
            "Records of writes that are on this machine and not in the audit trail: of writes under way, those that "
            "wait for the control store, and those without an outcome because their process has ended.",
            labels=("state",),
        )
        family.add_metric(("under_way",), state.under_way)
        family.add_metric(("waiting",), state.waiting)
        family.add_metric(("without_outcome",), state.without_outcome)
        return family

    def _braking(self) -> Iterator[Metric]:
        names = {one.id: one.name for one in self._control.list_integrations()}
        applied = {(brake.integration_id, brake.effect): brake for brake in self._control.brakes.applied()}
        spent, limits = self._control.brakes.spent(self._minutes), self._brakes.limits()
        spending = GaugeMetricFamily(
            "landfall_brake_spent",
            "What an integration has done in the window of what a brake limits; what a worker has reserved counts.",
            labels=_BY,
        )
        limit = GaugeMetricFamily("landfall_brake_limit", "How much of it stops the integration.", labels=_BY)
        for key in sorted(spent.keys() | applied.keys(), key=lambda key: (names.get(key[0], key[0]), key[1])):
            labels, most = (names.get(key[0], key[0]), key[1]), _limit(applied.get(key), limits.get(key[1]))
            spending.add_metric(labels, spent.get(key, 0))
            if most is not None:
                limit.add_metric(labels, most)
        yield from (spending, limit, self._applied(names, applied.values()))

    @staticmethod
    def _applied(names: dict[str, str], brakes: Iterable[Brake]) -> Metric:
        family = GaugeMetricFamily(
            "landfall_brake_applied_timestamp_seconds",
            "Since when a brake has stopped an integration; there is no sample when none does.",
            labels=_BY,
        )
        for brake in brakes:
            labels = (names.get(brake.integration_id, brake.integration_id), brake.effect)
            family.add_metric(labels, brake.applied.timestamp())
        return family


def _limit(brake: Brake | None, at_present: int | None) -> int | None:
    """The limit that was passed, else the one that holds now."""
    return at_present if brake is None else brake.limit
