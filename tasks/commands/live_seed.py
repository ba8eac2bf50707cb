"""A medium that configures a Live CD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.lib.engine.command import Command, option
from tasks.lib.errors import BuildError
from tasks.lib.paths import OUTPUT

DESCRIPTION = """\
Writes an ISO labelled cidata, which cloud-init on the Live CD reads (NoCloud): attach it as a second CD or
write it to a stick. Without --key or --user-data, root gets the password root, which is for development
machines that nobody else reaches. With --key FILE, the key's owner logs in as root or as debian (who may use
sudo), and no password exists. --user-data takes your own file for cloud-init as it is.
"""


class Plugin(Command):
    """Write a NoCloud seed."""

    doc_purpose = "write a medium (cidata) that configures a Live CD: names, users, keys"
    doc_description = DESCRIPTION
    cmd_options = (
        option("key", "", "file with SSH public keys, one a line"),
        option("hostname", "", "the machine's name [default: k8s-livecd]"),
        option("user-data", "", "your own user-data, instead of all that"),
        option("network-config", "", "your own network-config (YAML, version 2) [default: DHCP]"),
        option("out", "", "the file to write [default: output/k8s-livecd-seed.iso]"),
    )

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Check what was given, then write."""
        import yaml

        from dodo import LIVE
        from tasks import live, liveseed

        options = dict(opt_values)
        if options["user_data"] and (options["key"] or options["hostname"]):
            raise BuildError("live-seed: --user-data is the whole file", "put key and host name into it")
        if options["user_data"]:
            text = liveseed.read_user_data(Path(options["user_data"]))
        else:
            keys = liveseed.read_keys(Path(options["key"])) if options["key"] else ()
            text = liveseed.Seed(checked_name(options["hostname"] or live.ID), keys).user_data()
        network = {}
        if options["network_config"]:
            try:
                network = yaml.safe_load(Path(options["network_config"]).read_text())
            except (OSError, ValueError, yaml.YAMLError) as error:
                raise BuildError(f"{options['network_config']}: can not be read: {error}") from error
            if not isinstance(network, dict):
                raise BuildError(f"{options['network_config']}: not a network-config")
        out = Path(options["out"] or OUTPUT / "k8s-livecd-seed.iso")
        liveseed.write_seed(text, network, out, LIVE.epoch)
        print(f"live-seed: {out}")
        if not options["user_data"] and not options["key"]:
            print(
                "  root has the password root: for a development machine alone; --key FILE puts a key instead"
            )
        return 0


def checked_name(name: str) -> str:
    """A host name (RFC 1123); BuildError when it is none."""
    import re

    if not re.fullmatch(r"(?=.{1,63}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?", name):
        raise BuildError(f"{name!r} is no host name", "small letters, digits and dashes, at most 63")
    return name
