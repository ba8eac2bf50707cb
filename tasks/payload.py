"""The payload: what runs on the node. Every provider makes two tars of files laid out as on the node: the
program that is the payload, and its helpers, which an edit of the program leaves as they are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks.lib.engine import Build, artifact
from tasks.lib.formats.tree import Tree
from tasks.lib.go.patch import Patch
from tasks.lib.go.program import Program, compile_program
from tasks.lib.paths import TOP
from tasks.lib.provider import Inputs, Provider, choose
from tasks.lib.release.imagenames import VERSIONS
from tasks.lib.target import Target

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
# kine takes every error of a write for a conflict with another one. On a full disk the API server would then
# try again at once, for ever, instead of telling its client.
HONEST_ERRORS = Patch(
    "github.com/k3s-io/kine",
    "pkg/logstructured/logstructured.go",
    (
        (
            """\trev, err = l.log.Append(ctx, deleteEvent)
\tif err != nil {""",
            1,
            """\trev, err = l.log.Append(ctx, deleteEvent)
\tif err != nil && err != server.ErrKeyExists {
\t\treturn 0, nil, false, err
\t}
\tif err != nil {""",
        ),
        (
            """\trev, err = l.log.Append(ctx, updateEvent)
\tif err != nil {""",
            1,
            """\trev, err = l.log.Append(ctx, updateEvent)
\tif err != nil && err != server.ErrKeyExists {
\t\treturn 0, nil, false, err
\t}
\tif err != nil {""",
        ),
    ),
)
# Of two writes that are confirmed at the same time, kine may keep the lower revision as the current one:
# clients that wait for the higher one wait until the next write. What is committed together is confirmed at
# the same time.
LATEST_REVISION = Patch(
    "github.com/k3s-io/kine",
    "pkg/logstructured/sqllog/sql.go",
    (
        ("s.currentRev.CompareAndSwap(currentRev, rev)", 1, "s.advance(rev)"),
        ("s.currentRev.CompareAndSwap(pollRevision, rev)", 1, "s.advance(rev)"),
        ("\tcurrentRev := s.currentRev.Load()\n\trev, err := s.d.Insert(", 1, "\trev, err := s.d.Insert("),
        (
            "// scan scans the current row's columns",
            1,
            """// advance makes rev the current revision unless a later one is.
func (s *SQLLog) advance(rev int64) {
\tfor known := s.currentRev.Load(); known < rev; known = s.currentRev.Load() {
\t\tif s.currentRev.CompareAndSwap(known, rev) {
\t\t\treturn
\t\t}
\t}
}

// scan scans the current row's columns""",
        ),
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
    patches=(LOOPBACK_KEYS, UNREAD_COUNT, HONEST_ERRORS, LATEST_REVISION, TRANSLATIONS),
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


def build_upstream(go: tuple[tuple[str, str], ...], b: Build) -> None:
    """Kubernetes, containerd and kine in one program, with the helpers that containers need."""
    main, helpers = Tree(), Tree()
    for path, program in {COMMAND: KUBESOLO, **HELPERS}.items():
        out = b.scratch / Path(path).name
        b.note(f"compiling {out.name}")
        compile_program(MODULE, program, out, go, b.progress)
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
        tree.write_tar(out, b.epoch)


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


def upstream_inputs(target: Target) -> Inputs:
    """The payload's module."""
    return Inputs(go_files(), (MODULE / "internal", MODULE / "manifests"))


# Every provider's first tar has at least usr/bin/kubesolo, a program that takes the command line of kubesolo,
# appends its milestones to /run/kubesolo/milestones and ends on SIGTERM.
PROVIDERS = {
    "upstream": Provider(
        "Kubernetes in one process",
        lambda target: partial(build_upstream, target.arch.go),
        upstream_inputs,
    ),
    "stub": Provider(
        "a stand-in that boots in seconds",
        lambda target: build_stub,
        lambda target: Inputs((STUB,)),
    ),
}
# Those that run no containers, and need no images.
WITHOUT_CONTAINERS = ("stub",)


def archive(target: Target) -> Path:
    """Where the tar with the program lies."""
    return target.payload_folder / "payload.tar"


def helpers(target: Target) -> Path:
    """Where the tar with the other programs lies."""
    return target.payload_folder / "helpers.tar"


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """The tars of the payload."""
    provider = choose("payload", target.payload, PROVIDERS)
    inputs = provider.inputs(target)
    yield artifact(
        target.task("payload"),
        doc=f"payload of provider {target.payload}: {provider.doc}",
        build=provider.recipe(target),
        targets=[archive(target), helpers(target)],
        files=inputs.files,
        trees=inputs.trees,
        tools=inputs.tools,
        values={"epoch": target.epoch},
        group=target.group,
    )
