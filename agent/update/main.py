"""The command `kubesolo-update`: updates of the whole system, with a way back."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from agent.durable import replace_file
from agent.update import conf, state
from agent.update.errors import (
    DONE,
    FAILED,
    WRONG_USAGE,
    NothingToDo,
    Refused,
    Unverified,
    UpdateError,
    UsageError,
)

if TYPE_CHECKING:
    from agent.update.updater import Updater

USAGE = """\
usage: kubesolo-update COMMAND [OPTIONS]

  check           say what is offered
  apply           bring it into the slot that does not run; with --activate, start it too
  activate        drain the node and start the other slot, on trial
  rollback        drain the node and go back to the other slot's version
  healthcheck     say what of the node is not well
  status          say how far an update has come
  metrics         print the metrics; with --listen [ADDRESS]:PORT, serve them

  --server URL --usb --directory DIR --channel NAME --pubkey KEY|FILE --maintenance-window HH:MM-HH:MM
  --auto-rollback-after SECONDS --probe-url URL --proxy URL --ca FILE --conf FILE --state FILE
  --force         do what is only refused for the sake of order; never what is not signed
  --no-reboot     leave the reboot to somebody else
  --json          for programs

Settings: /etc/kubesolo/update.conf. Exit status: 0 done, 1 failed, 2 wrong usage, 3 nothing to do, 4 refused,
5 source unreachable, 6 not verified, 7 no room, 8 another updater is at work.
"""
TRIAL_SETTINGS = "mnt/data/update/trial.conf"
SWITCHES = {"--json", "--force", "--activate", "--no-reboot", "--usb"}
VALUES = {"--conf", "--state", "--listen", *(f"--{name}" for name in (*conf.NAMES, *conf.NOT_YET))} - SWITCHES


@dataclass
class Options:
    """A command line."""

    command: str
    switches: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, str]:
        """Those that conf knows, if only to refuse them."""
        known = {*conf.NAMES, *conf.NOT_YET}
        found = {key[2:]: value for key, value in self.values.items() if key[2:] in known}
        return {**found, **({"usb": "yes"} if "--usb" in self.switches else {})}


def parse(arguments: Sequence[str]) -> Options:
    """A command line; UsageError for what is not known."""
    words = list(arguments)
    options = Options(words.pop(0))
    while words:
        word, equals, value = words.pop(0).partition("=")
        if word in VALUES:
            if not equals and not words:
                raise UsageError(f"{word} needs a value")
            options.values[word] = value if equals else words.pop(0)
        elif word in SWITCHES and not equals:
            options.switches.add(word)
        else:
            raise UsageError(f"{word} is no option of kubesolo-update; --help lists them")
    return options


def main(arguments: Sequence[str], root: Path = Path("/")) -> int:
    """Run a command; returns the exit status."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        sys.stdout.write(USAGE)
        return DONE if arguments else WRONG_USAGE
    as_json = "--json" in arguments
    for number in (signal.SIGTERM, signal.SIGHUP):
        # What is mounted must be unmounted, whoever ends this.
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        options = parse(arguments)
        if options.command not in COMMANDS:
            raise UsageError(f"no command {options.command!r}; --help lists them")
        return COMMANDS[options.command](options, root)
    except UpdateError as error:
        report(error, arguments[0], as_json=as_json)
        return error.status
    except OSError as error:
        wrong = UpdateError(f"{error.filename or 'a file'}: {error.strerror or error}")
        report(wrong, arguments[0], as_json=as_json)
        return FAILED


def report(error: UpdateError, command: str, *, as_json: bool) -> None:
    """One sentence, for people or for programs."""
    if as_json:
        print(
            json.dumps(
                {"ok": False, "status": error.status, "error": str(error), "kind": type(error).__name__}
            )
        )
    elif isinstance(error, NothingToDo):
        print(str(error))
    else:
        sys.stderr.write(f"kubesolo-update: {command}: {error}\n")


def updater(options: Options, root: Path) -> Updater:
    """The updater that a command line asks for."""
    from agent.update.updater import Updater

    settings = conf.load(root, options.settings, options.values.get("--conf", ""))
    quiet = "--json" in options.switches
    speak = (lambda _: None) if quiet else say
    return Updater(root, settings, "--force" in options.switches, speak, options.values.get("--state", ""))


def say(text: str) -> None:
    """At once, also into a pipe."""
    print(text, flush=True)


def done(options: Options, text: str, **values: object) -> int:
    """The end of a command that has succeeded."""
    if "--json" in options.switches:
        print(json.dumps({"ok": True, "status": DONE, **values}))
    elif text:
        say(text)
    return DONE


def check(options: Options, root: Path) -> int:
    """What is offered."""
    found = updater(options, root).check()
    about = found.manifest
    text = f"version {about.version} is offered ({about.size >> 20} MB)"
    if found.latest != about:
        text += f", on the way to {found.latest.version}"
    if about.notes:
        text += f": {about.notes}"
    return done(
        options,
        text,
        version=str(about.version),
        latest=str(found.latest.version),
        bytes=about.size,
        notes=about.notes,
    )


def apply(options: Options, root: Path) -> int:
    """Stage it; with --activate, start it."""
    from agent.update import events

    agent = updater(options, root)
    try:
        new = agent.apply()
    except (Refused, Unverified) as error:
        tell_kubernetes(root, events.REFUSED, str(error))
        raise
    if "--activate" in options.switches:
        return activate(options, root)
    text = "" if new else f"version {agent.state.to} is in slot {agent.state.slot} already"
    return done(options, text, version=agent.state.to, slot=agent.state.slot)


def activate(options: Options, root: Path) -> int:
    """Start the other slot."""
    agent = updater(options, root)
    agent.activate()
    keep_trial_settings(root, options.settings)
    return start_over(agent, options)


def keep_trial_settings(root: Path, settings: dict[str, str]) -> None:
    """What of the command line is for the trial, where the node's update-conf.sh finds it."""
    lines = [f"{key}={settings[key]}\n" for key in ("auto-rollback-after", "probe-url") if key in settings]
    path = root / TRIAL_SETTINGS
    if lines:
        replace_file(str(path), "".join(lines).encode(), 0o600)
    else:
        path.unlink(missing_ok=True)


def rollback(options: Options, root: Path) -> int:
    """Start the other slot's older version."""
    agent = updater(options, root)
    agent.rollback()
    return start_over(agent, options)


def start_over(agent: Updater, options: Options) -> int:
    """Drain and reboot, unless somebody else does that."""
    state_of = {"version": agent.state.to, "slot": agent.state.slot}
    if "--no-reboot" in options.switches or not agent.conf.reboot:
        return done(options, "the node has to be restarted", **state_of, rebooting=False)
    import subprocess

    from agent.update import drain

    try:
        for name in drain.drain(agent.root):
            agent.say(f"pod {name} did not go in time: deleted")
    except (UpdateError, OSError) as error:
        # The payload stops what runs when the machine goes down.
        agent.say(f"the node is not drained: {error}")

    subprocess.run(["reboot"], stdin=subprocess.DEVNULL, check=False)
    return done(options, "the node restarts", **state_of, rebooting=True)


def settle(options: Options, root: Path) -> int:
    """Put the record in order after a boot; for the boot's own scripts."""
    from agent.update import events
    from agent.update.settle import settle as settled
    from agent.update.updater import Updater

    # A mistake in the settings must not keep the record as it is not.
    agent = Updater(root, conf.Conf(), say=say)
    before = agent.state.phase
    text = settled(agent)
    if agent.state.phase in ("success", "rolled_back", "failed"):
        (root / TRIAL_SETTINGS).unlink(missing_ok=True)
    if agent.state.phase != before and (reason := events.REASONS.get(agent.state.phase)):
        tell_kubernetes(root, reason, text)
    else:
        events.tell_again(root)
    return done(options, text)


def tell_kubernetes(root: Path, reason: str, text: str) -> None:
    """An event on the node, as soon as its API server takes one."""
    from agent.update import events

    with suppress(UpdateError, OSError):
        events.tell(root, reason, text)


def healthcheck(options: Options, root: Path) -> int:
    """What is not well."""
    from agent.update import health

    settings = conf.load(root, options.settings, options.values.get("--conf", ""))
    failures = health.check(root, {"probe-url": settings.probe, "ca": settings.ca})
    if failures:
        raise UpdateError("; ".join(failures))
    return done(options, "the node is well")


def status(options: Options, root: Path) -> int:
    """How far an update has come."""
    record = state.load(root, options.values.get("--state", ""))
    if "--json" in options.switches:
        print(json.dumps(state.as_json(record), indent=2))
        return DONE
    print(in_words(record))
    return DONE


def in_words(record: state.State) -> str:
    """For people."""
    import time

    def when(seconds: int) -> str:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds)) if seconds else "never"

    rows = [("Phase", record.phase)]
    if record.to:
        rows.append(("Update", f"{record.frm} -> {record.to}, slot {record.slot}, attempt {record.attempts}"))
    if record.phase == "downloading":
        rows.append(("Download", f"{record.done >> 20} of {record.total >> 20} MB"))
    if record.available:
        rows.append(("Offered", record.available))
    if record.error:
        rows.append(("Error", record.error))
    rows += [("Started", when(record.started)), ("Updated", when(record.updated))]
    rows += [("Refused", f"{version}: {reason}") for version, reason in record.refused.items()]
    rows += [("Log", line) for line in record.last_log]
    return "\n".join(f"{name:9} {value}" for name, value in rows)


def metrics(options: Options, _: Path) -> int:
    """Print or serve the metrics."""
    from agent.update import metrics as module

    listen = options.values.get("--listen")
    return module.main(["--listen", listen] if listen is not None else [])


COMMANDS: dict[str, Callable[[Options, Path], int]] = {
    "check": check,
    "apply": apply,
    "activate": activate,
    "rollback": rollback,
    "settle": settle,
    "healthcheck": healthcheck,
    "status": status,
    "metrics": metrics,
}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
