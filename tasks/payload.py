"""The payload: what runs on the node. Every provider makes two tars of files laid out as on the node: the
program that is the payload, and its helpers, which an edit of the program leaves as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.config import load_config
from tasks.lib.engine import Build, artifact
from tasks.lib.formats.tree import Tree
from tasks.lib.go.patch import Patch
from tasks.lib.go.program import Program, compile_program
from tasks.lib.paths import BUILD, TOP
from tasks.lib.release.imagenames import VERSIONS

MODULE = TOP / "payload"
STUB = MODULE / "stub" / "kubesolo"
COMMAND = "usr/bin/kubesolo"
KUBERNETES = "1.36.3"
CONTAINERD = "2.3.7"
VERSION_PACKAGE = "k8s.io/component-base/version"
# The API server makes a certificate for talking to itself at every start, and two RSA keys for it: a tenth of
# a second each on hardware, but seconds under emulation. Keys on P-256 take no time.
LOOPBACK_KEYS = Patch(
    "k8s.io/client-go",
    "util/cert/cert.go",
    (
        ('"crypto/rsa"', 1, '"crypto/ecdsa"\n\t"crypto/elliptic"'),
        (
            "rsa.GenerateKey(cryptorand.Reader, 2048)",
            2,
            "ecdsa.GenerateKey(elliptic.P256(), cryptorand.Reader)",
        ),
        ("keyutil.RSAPrivateKeyBlockType", 1, "keyutil.ECPrivateKeyBlockType"),
        ("x509.MarshalPKCS1PrivateKey(priv)", 1, "ecPrivateKey(priv)"),
        (
            "func ipsToStrings(",
            1,
            """// ecPrivateKey fails for no key on a named curve.
func ecPrivateKey(key *ecdsa.PrivateKey) []byte {
\tder, err := x509.MarshalECPrivateKey(key)
\tif err != nil {
\t\tpanic(err)
\t}
\treturn der
}

func ipsToStrings(""",
        ),
    ),
)
# kine asks for the number of its rows before it knows whether it needs it, and then never reads the answer.
# The open answer keeps a connection, and SQLite from ever starting its write-ahead log anew: it would grow
# without end.
UNREAD_COUNT = Patch(
    "github.com/k3s-io/kine",
    "pkg/drivers/generic/generic.go",
    (
        (
            'countKine = d.queryRow(ctx, query.New("SELECT COUNT(*) FROM kine", "?", false, ""))',
            1,
            'countKine = query.New("SELECT COUNT(*) FROM kine", "?", false, "")',
        ),
        ("countKine.Scan(&count)", 1, "d.queryRow(ctx, countKine).Scan(&count)"),
    ),
)
# kubectl reads its translations, for a fifth of a second under emulation, before any program that contains it
# begins. No node has a language set; without translations kubectl speaks English.
TRANSLATIONS = Patch(
    "k8s.io/kubectl",
    "pkg/util/i18n/i18n.go",
    (('return LoadTranslations("kubectl", nil)', 1, "return nil"),),
)
KUBESOLO = Program(
    patches=(LOOPBACK_KEYS, UNREAD_COUNT, TRANSLATIONS),
    tags=("providerless", "no_btrfs", "no_zfs", "no_devmapper", "no_aufs", "grpcnotrace", "nri_no_wasm"),
    variables=(
        (f"{VERSION_PACKAGE}.gitVersion", f"v{KUBERNETES}"),
        (f"{VERSION_PACKAGE}.gitMajor", KUBERNETES.split(".")[0]),
        (f"{VERSION_PACKAGE}.gitMinor", KUBERNETES.split(".")[1]),
        (f"{VERSION_PACKAGE}.gitTreeState", "clean"),
        ("github.com/containerd/containerd/v2/version.Version", f"v{CONTAINERD}"),
    ),
)
CNI = "github.com/containernetworking/plugins/plugins"
# Small programs of their own, as one that is started for every pod or container must not be the big one.
HELPERS = {
    "usr/bin/containerd-shim-runc-v2": Program(
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"
    ),
    "usr/libexec/cni/bridge": Program(f"{CNI}/main/bridge"),
    "usr/libexec/cni/host-local": Program(f"{CNI}/ipam/host-local"),
    # containerd brings up a pod's loopback by itself; this is for network lists that name the plugin.
    "usr/libexec/cni/loopback": Program(f"{CNI}/main/loopback"),
    "usr/libexec/cni/portmap": Program(f"{CNI}/meta/portmap"),
}


@dataclass(frozen=True)
class Provider:
    """Who provides the payload.

    build: recipe that writes the tars; the first has at least usr/bin/kubesolo, a program that takes the
    command line of kubesolo, appends its milestones to /run/kubesolo/milestones and ends on SIGTERM.
    files, trees: what the recipe reads.
    """

    doc: str
    build: Callable[[Build], None]
    files: tuple[Path, ...] = ()
    trees: tuple[Path, ...] = ()


def build_upstream(b: Build) -> None:
    """Kubernetes, containerd and kine in one program, with the helpers that containers need."""
    main, helpers = Tree(), Tree()
    for path, program in {COMMAND: KUBESOLO, **HELPERS}.items():
        out = b.scratch / Path(path).name
        b.note(f"compiling {out.name}")
        compile_program(MODULE, program, out, b.progress)
        (main if path == COMMAND else helpers).add_file(path, out, 0o755)
    main.add_symlink("usr/bin/kubectl", "kubesolo")
    write_payload(main, helpers, b)


def build_stub(b: Build) -> None:
    """A few lines of shell that reach the milestones at once, for tests of the boot logic."""
    main = Tree()
    main.add_file(COMMAND, STUB, 0o755)
    write_payload(main, Tree(), b)


def write_payload(main: Tree, helpers: Tree, b: Build) -> None:
    """Write the provider's tars."""
    for tree, out in zip((main, helpers), b.outs, strict=True):
        tree.write_tar(out, load_config().os.epoch)


def go_files() -> tuple[Path, ...]:
    """The files of the payload's module that are not in one of its folders; image recipes are modules of
    their own."""
    return (
        *sorted(MODULE.glob("*.go")),
        MODULE / "go.mod",
        MODULE / "go.sum",
        MODULE / "images" / "images.go",
        VERSIONS,
    )


def providers() -> dict[str, Provider]:
    """All providers by the name that versions.toml gives them."""
    return {
        "upstream": Provider(
            "Kubernetes in one process",
            build_upstream,
            go_files(),
            (MODULE / "internal", MODULE / "manifests"),
        ),
        "stub": Provider("a stand-in that boots in seconds", build_stub, (STUB,)),
    }


def archive(provider: str) -> Path:
    """Where the tar with a provider's program lies."""
    return BUILD / f"payload-{provider}.tar"


def helpers(provider: str) -> Path:
    """Where the tar with a provider's other programs lies."""
    return BUILD / f"helpers-{provider}.tar"


def task_payload() -> Iterator[dict[str, object]]:
    """The tars of every provider."""
    chosen = load_config().payload.provider
    for name, provider in providers().items():
        yield artifact(
            "payload" if name == chosen else f"payload-{name}",
            doc=f"payload of provider {name}: {provider.doc}",
            build=provider.build,
            targets=[archive(name), helpers(name)],
            files=provider.files,
            trees=provider.trees,
            values={"epoch": load_config().os.epoch},
            group="parts" if name == chosen else "tests",
        )
