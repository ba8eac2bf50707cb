"""What a plant without a network has: archives of images, and a registry with a login and a CA of its own."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tasks.lib.debian import tools
from tasks.lib.formats import oci
from tasks.lib.formats.tree import Tree
from tests.images.layout import read_layout
from tests.unit.registry import push, registry

# The host's loopback address, as QEMU's own network calls it.
HOST = "10.0.2.2"
USER, PASSWORD = "node", "correct horse"
# Of the password, by bcrypt, the only kind that the registry takes.
HTPASSWD = f"{USER}:$2b$04$mc9m0Pz5X8kANlybLXweOezwhuPOjBurHM1DknSCrdQyCBYe4O4.a\n"
DAYS = 3650


def named(archive: Path, name: str, *, nested: bool = False) -> bytes:
    """The image of an archive under another name; nested: below an index that has another platform too."""
    members = dict(read_layout(archive).members)
    entry = json.loads(members["index.json"])["manifests"][0]
    if nested:
        foreign = {
            **entry,
            "digest": f"sha256:{'0' * 64}",
            "platform": {"os": "linux", "architecture": "s390x"},
        }
        index = {"schemaVersion": 2, "mediaType": oci.INDEX_TYPE, "manifests": [foreign, entry]}
        text = oci.to_json(index)
        digest = hashlib.sha256(text).hexdigest()
        members[f"blobs/sha256/{digest}"] = text
        entry = {"mediaType": oci.INDEX_TYPE, "digest": f"sha256:{digest}", "size": len(text)}
    entry["annotations"] = {oci.CONTAINERD_NAME: name}
    members["index.json"] = oci.to_json({"schemaVersion": 2, "manifests": [entry]})
    out = archive.parent / f"{hashlib.sha256(name.encode()).hexdigest()[:12]}.named"
    oci.write_members(members, out, 1)
    try:
        return out.read_bytes()
    finally:
        out.unlink()


def archives(nginx: Path, folder: Path) -> dict[str, bytes]:
    """The operator's archives: good ones of two kinds, and a damaged one."""
    copy = folder / "nginx.tar"
    copy.write_bytes(nginx.read_bytes())
    whole = named(copy, "plant.example/damaged:1")
    return {
        "good.tar.gz": gzip.compress(named(copy, "plant.example/good:1"), 1),
        "nested.tar": named(copy, "plant.example/nested:1", nested=True),
        "damaged.tar": whole[: len(whole) // 2],
    }


def small_image(folder: Path, name: str) -> Path:
    """An archive with BusyBox alone."""
    tree = Tree()
    tree.add_file("bin/busybox", tools.tree("userland") / "usr/bin/busybox", 0o755)
    tree.add_symlink("bin/sh", "busybox")
    out = folder / "small.tar"
    oci.write_archive(oci.Image(name, tree, ("/bin/sh",)), out, 1, folder)
    with tarfile.open(out, "r:"):
        return out


def authority(folder: Path, place: x509.GeneralName) -> tuple[Path, Path]:
    """A certificate for a server's name or address, which vouches for itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "plant")])
    now = datetime(2020, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=DAYS * 3))
        .add_extension(x509.SubjectAlternativeName([place]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    certificate, private = folder / "plant.crt", folder / "plant.key"
    certificate.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return certificate, private


@contextmanager
def mirror(folder: Path, image: Path, repository: str) -> Iterator[tuple[str, str]]:
    """A registry with an image, as the node reaches it (host:port), and its certificate."""
    certificate, private = authority(folder, x509.IPAddress(ip_address(HOST)))
    users = folder / "htpasswd"
    users.write_text(HTPASSWD)
    more = (
        f"  tls: {{certificate: {certificate}, key: {private}}}\n"
        f"auth: {{htpasswd: {{realm: plant, path: {users}}}}}\n"
    )
    with registry(folder / "registry", more) as place:
        push(image, f"{place}/{repository}", "--dest-creds", f"{USER}:{PASSWORD}")
        yield f"{HOST}:{place.rpartition(':')[2]}", certificate.read_text()


def configuration(place: str, certificate: str) -> str:
    """Docker Hub is that registry, and nothing else."""
    lines = "".join(f"      {line}\n" for line in certificate.splitlines())
    return (
        "registries:\n"
        f'  docker.io: {{mirrors: ["https://{place}"], only-mirrors: true}}\n'
        f"  {place}:\n    username: {USER}\n    password: {PASSWORD}\n    ca: |\n{lines}"
    )
