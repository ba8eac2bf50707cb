"""The keys of updates and metrics: the names and meanings of /etc/kubesolo/update.conf."""

from __future__ import annotations

from agent.config import formats
from agent.config.kinds import Boolean, Text, Whole
from agent.config.records import Key, Record

URL = r"https?://[!#$&-;=?-Z_a-z~\x5b\x5d%]+"
KEEPS = "/etc/kubesolo, /mnt/data or /usr"
DAY = 86400

UPDATE = Record(
    Key(
        "server",
        Text("an http or https address", URL, formats.web_address, 2048),
        "Where updates come from: the folder that has the channels in it. Without it, what a command "
        "names counts.",
        example='"https://updates.example.com/kubesolo-os"',
    ),
    Key(
        "channel",
        Text("a word: a-z, 0-9, '.', '_' and '-', at most 32", "[a-z0-9][a-z0-9._-]{0,31}", longest=32),
        "Which updates are taken.",
        default='"stable"',
        example='"edge"',
    ),
    Key(
        "pubkey",
        Text(
            f"64 hexadecimal digits, or the path of a file in {KEEPS}",
            f"{formats.SHA256}|{formats.PATH}",
            formats.public_key,
            1024,
        ),
        "A further public key (Ed25519) that updates may be signed with, or a file of such keys.",
        example='"/etc/kubesolo/update.pub"',
    ),
    Key(
        "maintenance-window",
        Text("two times of the day in UTC, such as 22:00-04:30", formats.WINDOW, formats.window, 11),
        "When an update may be put in. One that ends before it begins goes over midnight. Default: any time.",
        example='"22:00-04:30"',
    ),
    Key(
        "auto-rollback-after",
        Whole(0, DAY, f"seconds from 60 to {DAY}, or 0 for never"),
        "Seconds after its start within which a new version must be well, or the node goes back.",
        default="600",
    ),
    Key(
        "probe-url",
        Text("an http or https address", URL, formats.web_address, 2048),
        "An address that must answer 200 before a new version may stay: what the node is there for.",
        example='"http://127.0.0.1:30080/healthz"',
    ),
    Key(
        "proxy",
        Text("an http or https address", URL, formats.web_address, 2048),
        "The proxy through which updates are fetched. With a password in it, it is a secret.",
        example='"http://proxy.example.com:3128"',
        secret=True,
    ),
    Key(
        "ca",
        Text(f"the path of a file in {KEEPS}", formats.PATH, formats.kept_file, 1024),
        "Certificates (PEM) that the server's is checked with, instead of the public ones.",
        example='"/etc/kubesolo/update-ca.pem"',
    ),
    Key(
        "reboot",
        Boolean(),
        "Whether the node starts over by itself when an update is in place. `false`: somebody has to do it.",
        default="true",
    ),
)
METRICS = Record(
    Key(
        "enabled",
        Boolean(),
        "Metrics for Prometheus on port 9100. Without it: where the system is on a disk.",
        example="false",
    ),
)
