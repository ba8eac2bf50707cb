"""Every key of the configuration, described once; validation, JSON Schema and documentation follow."""

from __future__ import annotations

from agent.config import formats, sshkeys
from agent.config.foreign import FOREIGN
from agent.config.kinds import Boolean, Choice, ListOf, Text
from agent.config.networkkeys import NETWORK
from agent.config.payload import ADDONS, STATE
from agent.config.records import Key, Record
from agent.config.registrykeys import REGISTRIES
from agent.config.updatekeys import METRICS, UPDATE

HEADER = "#cloud-config"
IMAGES = "/mnt/data/images"
EXTENSIONS = "/mnt/data/extensions"

HOST_NAME = Text(
    "a host name: a-z, 0-9 and '-', at most 63 characters (RFC 1123)", formats.NAME, formats.host_name, 253
)
SAN = Text(
    "a host name or an address, such as node.example.com or 203.0.113.7",
    formats.SAN,
    formats.name_or_address,
    253,
)
EDGE = Text("letters, digits and signs without blanks", "[!#-&(-~]+", longest=4096, empty=True)
SSH_KEYS = ListOf(Text(sshkeys.ALLOWED, r"[^\x00-\x1f]+", sshkeys.check), 64)
NTP_SERVER = Text(
    "a name or an address, such as pool.ntp.org; with another port, name:port",
    formats.SERVER,
    formats.server,
    253,
)
EDGE_ID = 'The ID of this node in Portainer; `""` is none.'
EDGE_KEY = (
    "The key that Portainer gives for the node. A secret: it goes by a file that only root reads, "
    "never by a command line."
)
EDGE_ASYNC = "Whether Portainer's agent works in asynchronous mode."

KUBESOLO = Record(
    Key(
        "path",
        Text("an absolute path", formats.PATH, formats.path_below(STATE, "/mnt/data"), 1024),
        "Folder of the cluster's state. Everything of the node expects the default.",
        default=f'"{STATE}"',
    ),
    Key(
        "apiserver-extra-sans",
        ListOf(SAN, 64, single=True),
        "More names and addresses that the API's certificate is valid for. Those of the node are in it "
        "anyway; the names "
        "of all sources add up.",
        default="[]",
        example='["edge-node-01.local", "203.0.113.7"]',
    ),
    Key(
        "extra-sans",
        ListOf(SAN, 64, single=True),
        "The same as `apiserver-extra-sans`.",
        example='["edge-node-01.local"]',
        alias="apiserver-extra-sans",
    ),
    Key(
        "pod-cidr",
        Text(
            "an IPv4 network, such as 10.42.0.0/16, with a prefix length of at most 25",
            formats.IPV4_NETWORK,
            formats.cluster_network(1, 25),
            18,
        ),
        "The network of the pods. Counts before the first start only; a cluster keeps its networks.",
        default='"10.42.0.0/16"',
    ),
    Key(
        "service-cidr",
        Text(
            "an IPv4 network, such as 10.43.0.0/16, with a prefix length from 12 to 28",
            formats.IPV4_NETWORK,
            formats.cluster_network(12, 28),
            18,
        ),
        "The network of the services; cluster DNS is its tenth address. Counts before the first start only.",
        default='"10.43.0.0/16"',
    ),
    Key(
        "local-storage",
        Boolean(),
        "Volumes on the data partition, by the local-path provisioner.",
        default="true",
    ),
    Key(
        "local-storage-shared-path",
        Text("an absolute path", formats.PATH, formats.path_below("/mnt"), 1024, empty=True),
        "Folder of volumes that several nodes may write to (`ReadWriteMany`), such as a mount of a file "
        'server; `""` is none.',
        default='""',
        example='"/mnt/shared"',
    ),
    Key("portainer-edge-id", EDGE, EDGE_ID + " The same as `portainer.edge-id`.", default='""'),
    Key(
        "portainer-edge-key", EDGE, EDGE_KEY + " The same as `portainer.edge-key`.", default='""', secret=True
    ),
    Key(
        "portainer-edge-async",
        Boolean(),
        EDGE_ASYNC + " The same as `portainer.edge-async`.",
        default="false",
    ),
    Key(
        "disable-addons",
        ListOf(Choice(*ADDONS), 16, single=True),
        "Add-ons that are not wanted: their objects are removed. See [addons.md](addons.md).",
        default="[]",
        example='["metrics"]',
    ),
    Key("debug", Boolean(), "Everything that the components say goes into the log.", default="false"),
    Key(
        "pprof-server", Boolean(), "Go profiles on port 6060 of the node's loopback address.", default="false"
    ),
    Key("load-balancer", Boolean(), "Services of type LoadBalancer get the node's address.", default="false"),
    Key("disable-ipv6", Boolean(), "Kubernetes ignores the node's IPv6 addresses.", default="false"),
    Key(
        "db-wal-repair",
        Boolean(),
        "The database's log is checked and repaired before each start.",
        default="false",
    ),
    Key("full", Boolean(), "All controllers, and speed rather than memory.", default="false"),
    Key(
        "extra-flags",
        Text("flags of the payload, such as --debug --full", r"[^'\x00-\x1f]*", longest=4096, empty=True),
        "The same flags as on a command line, separated by blanks or commas. For whoever has such a line "
        "already; a "
        "flag that the payload does not know is refused, as the payload would not start with it.",
        default='""',
        example='"--debug --full"',
        secret=True,
    ),
)
PORTAINER = Record(
    Key("edge-id", EDGE, EDGE_ID, default='""', example='"8a3f6c1e-9d52-4b7a-a1c4-2e5d7f9b0c3d"'),
    Key(
        "edge-key",
        EDGE,
        EDGE_KEY,
        default='""',
        example='"aHR0cHM6Ly9wb3J0YWluZXIuZXhhbXBsZS5jb20"',
        secret=True,
    ),
    Key("edge-async", Boolean(), EDGE_ASYNC, default="false"),
)
SSH = Record(
    Key("enabled", Boolean(), "SSH for root on port 22, with keys only.", default="false"),
    Key(
        "authorized_keys",
        SSH_KEYS,
        "Public keys that may log in, one line each.",
        default="[]",
        example='["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEomZZsWxLBx5lCQHAfcLaiY9K2BiqwB0q2mQ7lf0bOe '
        'admin@example"]',
        secret=True,
    ),
)
NTP = Record(
    Key(
        "servers",
        ListOf(NTP_SERVER, 16),
        "Time servers. Without any: those of the lease, else pool.ntp.org.",
        default='["pool.ntp.org"]',
        example='["ntp1.example.com", "192.168.1.1"]',
    ),
    Key(
        "enabled",
        Boolean(),
        "`false`: no time server is asked, the hardware clock alone counts.",
        default="true",
    ),
)
AIRGAP = Record(
    Key(
        "import_images",
        Boolean(),
        "Archives of images in `images_dir`, and on a medium labelled KSOLOIMAGES, are imported, each once.",
        default="true",
    ),
    Key(
        "images_dir",
        Text("an absolute path below /mnt/data", formats.PATH, formats.path_below("/mnt/data"), 1024),
        "Folder of the image archives, on the data partition.",
        default=f'"{IMAGES}"',
    ),
)
EXTENSION = Record(
    Key(
        "file",
        Text(
            "the name of a file in /mnt/data/extensions that ends in .squashfs",
            r"[A-Za-z0-9_][A-Za-z0-9_.+-]*\.squashfs",
            longest=128,
        ),
        "Name of an image in `/mnt/data/extensions`.",
        example='"tools.squashfs"',
    ),
    Key(
        "sha256",
        Text("64 hexadecimal digits", formats.SHA256, formats.digest, 64, 64),
        "Its SHA-256.",
        example='"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"',
    ),
    needed=("file", "sha256"),
)
KUBECONFIG = Record(
    Key(
        "enabled",
        Boolean(),
        "Offer the admin kubeconfig once, on port 8080, to whoever has the token. "
        "Without it, it "
        "is `true` if there is a token.",
        default="false",
    ),
    Key(
        "token",
        Text("16 to 128 printable characters without blanks", formats.TOKEN, None, 128, 16),
        "The one-time token. Without it, the node makes one and shows it on its console.",
        example='"correct-horse-battery"',
        secret=True,
    ),
)
ROOT = Record(
    Key(
        "hostname",
        HOST_NAME,
        "The node's name, also in Kubernetes. A domain is cut off, capitals become "
        "small letters. "
        "A node that has a cluster keeps its name.",
        example='"edge-node-01"',
    ),
    Key(
        "network",
        NETWORK,
        "The network, in the simple form (one card, or `cards`) or in netplan's. "
        "Without it: DHCP on "
        "the first card with a link.",
        default='{"mode": "dhcp"}',
    ),
    Key("kubesolo", KUBESOLO, "Kubernetes: the flags of the payload."),
    Key("portainer", PORTAINER, "Portainer's Edge agent."),
    Key("ssh", SSH, "SSH, which is off unless it is asked for."),
    Key(
        "ssh_authorized_keys",
        SSH_KEYS,
        "cloud-init's name of `ssh.authorized_keys`; the keys of both add up.",
        secret=True,
    ),
    Key("ntp", NTP, "The clock."),
    Key("airgap", AIRGAP, "Container images without a network."),
    Key(
        "registries",
        REGISTRIES,
        "Container registries by name: mirrors of them, logins, certificate authorities.",
    ),
    Key("extensions", ListOf(EXTENSION, 32), "Images with programs, merged read-only into `/usr/local`."),
    Key("kubeconfig", KUBECONFIG, "Hand-over of the admin kubeconfig, which is off unless it is asked for."),
    Key("update", UPDATE, "Updates of the system; `/etc/kubesolo/update.conf` on the node goes before it."),
    Key("metrics", METRICS, "What the node tells of itself."),
    foreign=FOREIGN,
)
# A file meta-data of NoCloud; clouds add keys of their own, so nothing in it is refused.
INSTANCE_ID = Text("a text without control characters", longest=256)
META_DATA = Record(
    Key("instance-id", INSTANCE_ID, "Which instance this is; a node is not made anew for another one."),
    Key("local-hostname", HOST_NAME, "The node's name, unless user-data has one."),
    Key("hostname", HOST_NAME, "The same, after `local-hostname`."),
    open_=True,
)
