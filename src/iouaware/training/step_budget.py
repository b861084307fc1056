"""``--minutes`` turned into a number of steps, once, from the time that the first ones take."""

from __future__ import annotations

# steps before it is done; the first ones only warm caches up
TIMED_STEPS, WARM_STEPS = 10, 3
# share of --minutes for the steps; the rest is for validation
STEPS_SHARE = 0.9


class StepBudget:
    """Listens to the ends of the first steps of a sitting."""

    def __init__(self, minutes: float) -> None:
        """Begin with no step heard of."""
        self.minutes = minutes
        self.seconds_per_step = 0.0
        self._ends: list[float] = []

    def affordable_steps(self, now: float) -> int | None:
        """Take the end of a step, s; return the steps that fit, None while it is too early."""
        self._ends.append(now)
        if len(self._ends) <= TIMED_STEPS:
            return None
        self.seconds_per_step = (now - self._ends[WARM_STEPS]) / (TIMED_STEPS - WARM_STEPS)
        return int(STEPS_SHARE * 60 * self.minutes / self.seconds_per_step)
