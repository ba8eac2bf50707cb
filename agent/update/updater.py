"""The updater: takes an offer to the other slot, and makes it the next one to start."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from agent.node import Node as RunningNode
from agent.update import boot, chunks, gates, manifest, offer, slot, source, state, trust
from agent.update.chunks import Place
from agent.update.conf import Conf
from agent.update.errors import Busy, NothingToDo, Refused, UpdateError
from agent.update.fetch import Fetcher
from agent.update.manifest import Manifest
from agent.update.offer import Offer
from agent.update.slot import Disk
from agent.update.source import Source
from agent.update.state import State
from agent.update.version import Version

LOCK = "run/kubesolo/update.lock"
PROGRESS_SECONDS = 2.0
NOTED_SECONDS = 10.0
# Of what the slots hold; the memory of a node is small, and these indexes are not signed.
MOST_CHUNKS = 20_000


@dataclass
class Updater:
    """One run of the agent on a node whose root is `root`; say: for people; place: of another record."""

    root: Path
    conf: Conf
    force: bool = False
    say: Callable[[str], None] = print
    place: str = ""
    state: State = field(init=False)

    def __post_init__(self) -> None:
        self.state = state.load(self.root, self.place)

    def node(self) -> gates.Node:
        """What the gates know."""
        release = RunningNode(self.root).release()
        try:
            version = Version(release.get("VERSION_ID", ""))
        except ValueError as error:
            raise UpdateError(f"this node does not know its version: {error}") from error
        architecture = release.get("ARCHITECTURE", "")
        return gates.Node(version, architecture, self.conf, self.state, self.force, int(time.time()))

    def save(self, phase: str, **changes: object) -> None:
        """Note how far it has come, on the disk."""
        self.state.phase = phase
        for name, value in changes.items():
            setattr(self.state, name, value)
        state.save(self.root, self.state, self.place)
        from agent.update import metrics

        metrics.write(self.root, state.as_json(self.state))

    def check(self) -> Offer:
        """What is offered; nothing but the record is written."""
        node = self.node()
        keys = trust.trusted(self.root, self.conf.pubkey)
        try:
            with source.opened(self.root, self.conf, node.architecture) as place:
                found = offer.find(place, keys, node)
        except NothingToDo:
            self.note_available("")
            raise
        self.note_available(found.manifest.version.text)
        return found

    def note_available(self, version: str) -> None:
        """For status and metrics; whoever else writes the record is not disturbed."""
        with suppress(Busy), self.alone():
            if self.state.available != version:
                self.save(self.state.phase, available=version)

    def apply(self) -> bool:
        """Bring what is offered into the other slot; False when it is there already."""
        self.settle_first()
        with self.alone():
            node = self.node()
            gates.in_window(node)
            keys = trust.trusted(self.root, self.conf.pubkey)
            with source.opened(self.root, self.conf, node.architecture) as place:
                with self.checking():
                    found = offer.find(place, keys, node)
                    disk = self.gates_of_the_node(found.manifest)
                if self.is_staged(disk, found.manifest):
                    return False
                self.stage(place, found, disk)
        return True

    def settle_first(self) -> None:
        """What has become of the last update counts before the next one is taken."""
        if self.state.phase in state.UNSETTLED:
            from agent.update.settle import settle

            settle(self)

    @contextmanager
    def checking(self) -> Iterator[None]:
        """Say so meanwhile, unless the record has something of more weight to say."""
        before = self.state.phase
        if before in ("staged", "activated", "verifying"):
            yield
            return
        self.save("checking")
        try:
            yield
        finally:
            self.save(before)

    def gates_of_the_node(self, wanted: Manifest) -> Disk:
        """Room, label, and no trial that runs."""
        disk = slot.find_disk(self.root)
        slot.room(self.root, disk, wanted)
        self.refuse_when_blocked()
        with boot.environment(self.root, disk) as point:
            if boot.on_trial(boot.variables(point)):
                raise Refused("an update is on trial; wait until it is confirmed or given up")
        return disk

    def is_blocked(self) -> bool:
        """Whether an operator has labelled the node; a node whose API is down may need the update."""
        from agent.update import drain

        try:
            return drain.blocked(self.root)
        except (UpdateError, OSError) as error:
            self.say(f"whether the node is labelled cannot be asked: {error}")
            return False

    def is_staged(self, disk: Disk, wanted: Manifest) -> bool:
        """Whether the other slot holds it, whole."""
        if (self.state.phase, self.state.to) != ("staged", wanted.version.text):
            return False
        with slot.mounted(self.root, disk.device(disk.other), "other", write=False) as folder:
            try:
                return slot.verify(folder) == wanted.version.text
            except UpdateError:
                return False

    def stage(self, place: Source, found: Offer, disk: Disk) -> None:
        """Download, verify, and make it the content of the other slot."""
        wanted = found.manifest
        again = self.state.to == wanted.version.text
        self.save(
            "downloading",
            frm=str(self.node().version),
            to=wanted.version.text,
            slot=disk.other,
            attempts=self.state.attempts + 1 if again else 1,
            error="",
            started=int(time.time()),
            done=0,
            total=wanted.size,
        )
        try:
            self.fill(place, wanted, disk)
            trust.accept(self.root, wanted.keys)
        except (UpdateError, OSError) as error:
            self.save("failed", error=str(error))
            raise
        seen = {**self.state.newest, wanted.channel: found.latest.released}
        floor = max(self.node().floor, wanted.floor, key=lambda version: version.key)
        self.save("staged", newest=seen, floor=floor.text, done=wanted.size)
        self.say(f"version {wanted.version} is in slot {disk.other}")

    def fill(self, place: Source, wanted: Manifest, disk: Disk) -> None:
        """Write the slot."""
        device = disk.device(disk.other)
        slot.prepare(self.root, device, f"KSOLO{disk.other}")
        with (
            slot.mounted(self.root, disk.device(disk.running), "running", write=False) as running,
            slot.mounted(self.root, device, "other", write=True) as other,
        ):
            slot.make_room(other, wanted)
            progress = Progress(wanted.size, self)
            fetcher = Fetcher(
                place,
                {name: [running / name, other / name] for name in wanted.files},
                lambda: self.known_chunks(place, wanted, running, other),
                progress.add,
            )
            for name, file in wanted.files.items():
                fetcher.obtain(name, file, slot.part(other, name))
            slot.switch(other, wanted)
            progress.finish()

    def known_chunks(self, place: Source, wanted: Manifest, *folders: Path) -> dict[str, Place]:
        """Chunks of what the slots hold, if the source still knows these versions."""
        found: dict[str, Place] = {}
        for folder in reversed(folders):
            version, _ = slot.held(folder)
            try:
                Version(version)
                data = source.read_small(place, f"{version}.json", manifest.LARGEST)
                known = manifest.parse(data)
                for name, file in known.files.items():
                    if file.chunks and name in wanted.files and len(found) < MOST_CHUNKS:
                        # Not signed here: every chunk is compared with its digest before it is used.
                        index = source.read_small(place, file.chunks.path, chunks.LARGEST_INDEX)
                        found.update(chunks.places(folder / name, chunks.parse(index, file.size)))
            except (UpdateError, ValueError):
                continue
        return found

    def activate(self) -> None:
        """Start the other slot at the next boot; it has to be confirmed."""
        with self.alone():
            disk = slot.find_disk(self.root)
            if self.state.phase in ("activated", "verifying") and disk.running == self.state.slot:
                raise Refused(
                    f"version {self.state.to} runs on trial; wait until it is confirmed or given up"
                )
            self.may_start_over()
            if self.state.phase == "activated":
                return
            if self.state.phase != "staged":
                raise NothingToDo("no update has been taken; `kubesolo-update apply` takes one")
            if self.state.slot != disk.other:
                raise Refused(f"slot {self.state.slot} runs already")
            with slot.mounted(self.root, disk.device(disk.other), "other", write=False) as folder:
                if slot.verify(folder) != self.state.to:
                    raise UpdateError(f"slot {disk.other} does not hold version {self.state.to}; apply again")
            # First the record: a cut between the two leaves an intent that settle() takes back.
            self.state.note("activated")
            self.save("activated", error="", health_failures=0)
            with boot.environment(self.root, disk) as point:
                boot.put_on_trial(point, disk.other, self.state.to)
        self.say(f"version {self.state.to} in slot {disk.other} starts at the next boot")

    def may_start_over(self) -> None:
        """Window and label count again, as a download may take hours."""
        gates.in_window(self.node())
        self.refuse_when_blocked()

    def refuse_when_blocked(self) -> None:
        """An operator keeps the node as it is; force goes before that."""
        if not self.force and self.is_blocked():
            raise Refused("the node is labelled updates.kubesolo.io/block=true (--force does it anyway)")

    def rollback(self) -> str:
        """Go back to the other slot's older version; returns it."""
        with self.alone():
            disk = slot.find_disk(self.root)
            with slot.mounted(self.root, disk.device(disk.other), "other", write=False) as folder:
                version = slot.verify(folder)
            running = str(self.node().version)
            if not self.force and (version in self.state.refused or not Version(version) < Version(running)):
                raise Refused(
                    f"slot {disk.other} holds version {version}, which is none to go back to from {running} "
                    "(--force starts it all the same)"
                )
            if Version(version) < self.node().floor:
                raise Refused(
                    f"version {version} is below {self.state.floor}, the lowest that this node may have"
                )
            self.state.note("rollback asked for")
            self.state.refuse(running, "an operator has gone back from it")
            self.save("activated", frm=running, to=version, slot=disk.other, error="", attempts=1)
            with boot.environment(self.root, disk) as point:
                boot.put_on_trial(point, disk.other, version)
        self.say(f"version {version} in slot {disk.other} starts at the next boot")
        return version

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other updater at the same time; raises Busy."""
        path = self.root / LOCK
        os.makedirs(path.parent, exist_ok=True)
        with path.open("a") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Busy("another updater is at work") from None
            # What the other one has written since.
            self.state = state.load(self.root, self.place)
            slot.release(self.root)
            yield


@dataclass
class Progress:
    """Says how far a download is, every other second."""

    total: int
    updater: Updater
    done: int = 0
    fetched: int = 0
    said: float = field(default_factory=time.monotonic)
    noted: float = field(default_factory=time.monotonic)
    began: float = field(default_factory=time.monotonic)

    def add(self, count: int, from_source: bool) -> None:
        """So many bytes more."""
        self.done += count
        self.fetched += count if from_source else 0
        now = time.monotonic()
        if now - self.said >= PROGRESS_SECONDS:
            self.said = now
            self.show(now)
        if now - self.noted >= NOTED_SECONDS:
            self.noted = now
            self.updater.save("downloading", done=self.done)

    def show(self, now: float) -> None:
        """Per cent, MB/s, time left."""
        speed = max(self.done, 1) / (now - self.began + 0.001)
        left = (self.total - self.done) / speed
        self.updater.say(
            f"{self.done * 100 // self.total} % of {self.total >> 20} MB, {speed / 1e6:.1f} MB/s, "
            f"{left:.0f} s left"
        )

    def finish(self) -> None:
        """What it took."""
        seconds = time.monotonic() - self.began
        self.updater.say(
            f"{self.fetched / 1e6:.1f} of {self.total / 1e6:.1f} MB were fetched, all in {seconds:.0f} s"
        )
