"""Make one archive of container images for nodes without a network."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from tasks.lib.engine.command import Command, option
from tasks.lib.errors import BuildError

DESCRIPTION = """\
Takes images from registries by their names, and from archives (OCI layouts and those of `docker save`; .tar,
.tar.gz, .tar.zst), and writes them into one archive, output/airgap-NAME.tar, with its SHA-256 beside it. Copy
it to /mnt/data/images on a node, or to a stick labelled KSOLOIMAGES.

Registries that want a login: --authfile, or what `docker login` has left in ~/.docker/config.json. A registry
with a certificate authority of its own: SSL_CERT_FILE=FILE. Proxies: HTTPS_PROXY.
"""


class Plugin(Command):
    """Write the archive."""

    doc_purpose = "container images in one archive, for nodes without a network"
    doc_usage = "IMAGE… | FILE…"
    doc_description = DESCRIPTION
    cmd_options = (
        option("name", "", "the archive is output/airgap-NAME.tar [default: the first image's name]"),
        option("arch", "amd64", "architecture of the nodes: amd64 or arm64"),
        option("all", False, "all platforms that an image has"),
        option("authfile", "", "credentials of registries, as docker login keeps them"),
        option("insecure", False, "registries without TLS, or with a certificate that nobody vouches for"),
    )

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Collect, write beside its place, rename; raises BuildError."""
        from tasks.lib.airgap.bundle import Layout, Options
        from tasks.lib.airgap.names import full_name
        from tasks.lib.config import load_config
        from tasks.lib.paths import OUTPUT
        from tasks.lib.release.manifest import checksums

        if not pos_args:
            raise BuildError("airgap-bundle needs an image or a file", "such as nginx:1.29 or images.tar")
        options = Options(
            opt_values["arch"], opt_values["all"], opt_values["authfile"], opt_values["insecure"]
        )
        if options.architecture not in ("amd64", "arm64"):
            raise BuildError(f"airgap-bundle: no node is of {options.architecture}", "amd64 or arm64")
        # Refused before anything is fetched.
        sources = [(word, Path(word) if Path(word).is_file() else None) for word in pos_args]
        names = {word: full_name(word) for word, path in sources if path is None}
        title = opt_values["name"] or title_of(pos_args[0])
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", title):
            raise BuildError(f"{title!r} can not be part of a file's name", "use letters, digits, . _ -")
        OUTPUT.mkdir(parents=True, exist_ok=True)
        out = OUTPUT / f"airgap-{title}.tar"
        with tempfile.TemporaryDirectory(prefix=".airgap-", dir=OUTPUT) as folder:
            layout = Layout(Path(folder))
            for word, path in sources:
                print(f"airgap-bundle: {word}")
                if path is None:
                    layout.pull(f"docker://{names[word]}", names[word], options)
                else:
                    layout.take(path, options)
            made = Path(folder, out.name)
            layout.write(made, load_config().os.epoch)
            sums = Path(f"{out}.sha256")
            sums.unlink(missing_ok=True)
            made.rename(out)
            sums.write_text(checksums([(out.name, out)]))
        for name in sorted(layout.entries):
            print(f"  {name}")
        print(f"{out}: {out.stat().st_size / 1e6:.0f} MB")
        return 0


def title_of(word: str) -> str:
    """What an archive is called after its first source: nginx for docker.io/library/nginx:1."""
    name = word.partition("@")[0].rpartition("/")[2]
    return re.sub(r"\.(tar|tgz|gz|zst|zstd)\b", "", name).partition(":")[0]
