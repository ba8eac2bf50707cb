"""After a boot: what has become of the update, and what was cut short put in order."""

from __future__ import annotations

from agent.update import boot, slot
from agent.update.errors import Refused
from agent.update.slot import Disk
from agent.update.state import UNSETTLED
from agent.update.updater import Updater

CUT_SHORT = {
    "checking": "the check was cut short; check again",
    "downloading": "the download was cut short; the next apply goes on with it",
}
REASONS = {
    "trial-not-confirmed": "it was started three times and never confirmed",
    "not-confirmed-three-times": "it was started three times in a row without a confirmation",
    "not-healthy": "it was not well until the deadline",
    "no-kernel": "its kernel could not be loaded",
}
LOG_LINES = 20


def settle(updater: Updater) -> str:
    """Bring the record in line with what runs; returns what happened, "" when there was nothing to settle."""
    with updater.alone():
        record = updater.state
        if record.phase not in UNSETTLED:
            return ""
        if record.phase in CUT_SHORT:
            record.note("interrupted")
            updater.save("failed", error=CUT_SHORT[record.phase])
            return record.error
        try:
            disk = slot.find_disk(updater.root)
        except Refused:
            return ""
        with boot.environment(updater.root, disk) as point:
            values, failure = boot.variables(point), boot.failure(point)
        if disk.running == record.slot:
            return settle_new(updater, values)
        return settle_old(updater, disk, values, failure)


def settle_new(updater: Updater, values: dict[str, str]) -> str:
    """The new version runs."""
    if boot.on_trial(values):
        if updater.state.phase != "verifying":
            updater.save("verifying")
        return ""
    updater.state.note("success")
    updater.state.refused.pop(updater.state.to, None)
    updater.save("success", error="", available="")
    return f"the update from version {updater.state.frm} to {updater.state.to} has succeeded"


def settle_old(updater: Updater, disk: Disk, values: dict[str, str], failure: dict[str, str]) -> str:
    """The old version runs: the new one was given up, or was never to be started."""
    record = updater.state
    if values.get("active_slot") == record.slot and boot.on_trial(values):
        return ""  # started by hand: the trial comes with the next boot
    if values.get(boot.TRIAL) != record.to or values.get("fallback_from") not in (None, record.slot):
        record.note("not activated", "the power was cut")
        updater.save("staged", error="the activation was cut short; activate again")
        return record.error
    if failure.get("slot") != disk.device(record.slot):
        failure = {}
    reason = why(values, failure)
    record.note("rolled back", reason)
    record.refuse(record.to, reason)
    record.health_failures += 1
    record.last_log = failure.get("log", "").splitlines()[-LOG_LINES:]
    updater.save("rolled_back", error=f"version {record.to} was given up: {reason}", available="")
    return f"version {record.to} was given up, {record.frm} runs again: {reason}"


def why(values: dict[str, str], failure: dict[str, str]) -> str:
    """In words."""
    code = values.get("fallback_reason", "")
    words = REASONS.get(code, code)
    if failure.get("reason"):
        return f"{failure.get('stage', '')}: {failure['reason']}" + (f" ({words})" if words else "")
    return words or "it did not start"
