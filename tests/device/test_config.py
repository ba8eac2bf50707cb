"""Stage 45: which configuration is found, that it is read once, and what a bad one leaves in force."""

from __future__ import annotations

import hashlib

import pytest

from tests.device.fakeroot import FakeRoot
from tests.device.test_system import done

FILE = "mnt/data/etc-kubesolo/cloud-init.yaml"
RESULT = "run/kubesolo/cloud-init"
# In the place of Python: notes its arguments, and makes of a file what agent.apply would.
PYTHON = """
python3() {
    echo "python3 $*" >>"$ROOT/calls"
    out=
    while [ $# -gt 0 ]; do
        case $1 in
        --out) out=$2 ;;
        --file | --user-data) file=$2 ;;
        esac
        shift
    done
    grep -q crash "$file" && { echo "Traceback"; echo "Error: crash"; return 1; }
    mkdir -p "$out"
    sed -n 's/^hostname: //p' "$file" >"$out/hostname"
    sed -n 's/^bad: //p' "$file" >"$out/problems"
}
"""


@pytest.fixture(autouse=True)
def _python(root: FakeRoot) -> None:
    root.write("fakes/python3", PYTHON)
    root.write("usr/lib/os-release", "VERSION_ID=1\n")


def runs(root: FakeRoot) -> int:
    return len(root.called("python3"))


def boot_again(root: FakeRoot) -> str:
    """What is below /run is gone."""
    root.shell('rm -rf "$ROOT/run/kubesolo/cloud-init" "$ROOT/run/kubesolo/problems"')
    return done(root, "45-cloud-init")


def begin(root: FakeRoot) -> None:
    """What stage 20 does at its end."""
    ran = root.shell('. "$ROOT/run/kubesolo-init/lib/stage.sh"; . "$SHARE/config.sh"; begin_reading; wait')
    assert ran.returncode == 0, ran.stderr


def test_a_node_without_one_does_not_start_python(root: FakeRoot) -> None:
    begin(root)
    assert "WARN" not in done(root, "45-cloud-init")
    assert runs(root) == 0


def test_a_file_is_read_once_for_each_content(root: FakeRoot) -> None:
    root.write(FILE, "hostname: one\n")
    done(root, "45-cloud-init")
    assert root.read(f"{RESULT}/hostname") == "one\n"
    boot_again(root)
    assert root.read(f"{RESULT}/hostname") == "one\n"
    assert runs(root) == 1
    root.write(FILE, "hostname: two\n")
    boot_again(root)
    assert root.read(f"{RESULT}/hostname") == "two\n"
    root.write("usr/lib/os-release", "VERSION_ID=2\n")
    boot_again(root)
    assert runs(root) == 3, "another version may understand more"


def test_reading_begins_as_soon_as_the_data_are_there(root: FakeRoot) -> None:
    root.write(FILE, "hostname: one\n")
    begin(root)
    assert runs(root) == 1
    done(root, "45-cloud-init")
    assert root.read(f"{RESULT}/hostname") == "one\n"
    assert runs(root) == 1, "what was begun is taken"
    root.write(FILE, "hostname: two\n")
    boot_again(root)
    assert root.read(f"{RESULT}/hostname") == "two\n"
    assert runs(root) == 2, "what was begun counts once"


def test_what_was_begun_with_another_file_does_not_count(root: FakeRoot) -> None:
    root.write(FILE, "hostname: one\n")
    root.write("mnt/data/other.yaml", "hostname: other\n")
    begin(root)
    root.write("run/kubesolo/settings", "KUBESOLO_CLOUDINIT=/mnt/data/other.yaml\n")
    done(root, "45-cloud-init")
    assert root.read(f"{RESULT}/hostname") == "other\n"


def test_a_file_that_was_taken_away_is_no_configuration(root: FakeRoot) -> None:
    root.write(FILE, "hostname: one\n")
    done(root, "45-cloud-init")
    (root.path / FILE).unlink()
    assert "defaults are in force" in boot_again(root)
    assert not (root.path / RESULT / "hostname").exists()


def test_what_can_not_be_applied_leaves_the_last_one_in_force(root: FakeRoot) -> None:
    root.write(FILE, "hostname: one\n")
    done(root, "45-cloud-init")
    root.write(FILE, "crash\n")
    log = boot_again(root)
    assert "can not be applied: Error: crash" in log
    assert "the last configuration stays in force" in log
    assert root.read(f"{RESULT}/hostname") == "one\n"


UNREADABLE = """
cat() {
    case "$*" in
    *cloud-init.yaml*) echo 'cat: read error: I/O error' >&2; return 1 ;;
    *) command cat "$@" ;;
    esac
}
"""


def test_what_can_not_be_read_leaves_the_last_one_in_force(root: FakeRoot) -> None:
    root.write(FILE, "hostname: one\n")
    done(root, "45-cloud-init")
    root.write("fakes/cat", UNREADABLE)
    log = boot_again(root)
    assert "the data partition can not be read" in log
    assert "the last configuration stays in force" in log
    assert root.read(f"{RESULT}/hostname") == "one\n"
    assert runs(root) == 1


def test_problems_are_said_and_kept_for_the_screen(root: FakeRoot) -> None:
    root.write(FILE, "hostname: one\n" + "".join(f"bad: problem {n}\n" for n in range(7)))
    log = done(root, "45-cloud-init")
    assert "[WARN] problem 0" in log
    assert "[WARN] problem 4" in log
    assert "[WARN] problem 5" not in log
    assert root.read("run/kubesolo/problems/config").startswith("configuration: problem 0 (and 6 more")
    root.write(FILE, "hostname: one\n")
    boot_again(root)
    assert not (root.path / "run/kubesolo/problems/config").exists()


def test_a_file_that_a_parameter_names_and_that_is_not_there_is_said(root: FakeRoot) -> None:
    root.write("run/kubesolo/settings", "KUBESOLO_CLOUDINIT='/mnt/data/other.yaml'\n")
    assert "kubesolo.cloudinit=/mnt/data/other.yaml: there is no such file" in done(root, "45-cloud-init")
    root.write("mnt/data/other.yaml", "hostname: other\n")
    boot_again(root)
    assert root.read(f"{RESULT}/hostname") == "other\n"


WGET = """
wget() {
    echo "wget $*" >>"$ROOT/calls"
    for url; do :; done
    cat "$ROOT/served/${url##*/}" 2>/dev/null
}
"""


def serve(root: FakeRoot, text: str, digest: str = "") -> str:
    """A file on a server; returns its address with the digest."""
    root.write("served/c.yaml", text)
    root.write("fakes/wget", WGET)
    root.program("usr/lib/kubesolo-os/keep", ":\n")
    address = f"http://10.0.0.1/c.yaml#sha256={digest or hashlib.sha256(text.encode()).hexdigest()}"
    root.write("run/kubesolo/settings", f"KUBESOLO_CLOUDINIT='{address}'\n")
    return address


def test_a_file_from_a_server_is_fetched_once_for_each_digest(root: FakeRoot) -> None:
    serve(root, "hostname: served\n")
    done(root, "45-cloud-init")
    assert root.read(f"{RESULT}/hostname") == "served\n"
    boot_again(root)
    assert root.read(f"{RESULT}/hostname") == "served\n"
    assert len(root.called("wget")) == 1


def test_another_file_than_that_of_the_digest_is_refused(root: FakeRoot) -> None:
    serve(root, "hostname: served\n", "0" * 64)
    assert "is not the file of #sha256=" in done(root, "45-cloud-init")
    assert not (root.path / RESULT / "hostname").exists()


def test_a_server_that_does_not_answer_is_no_end(root: FakeRoot) -> None:
    serve(root, "")
    assert "http://10.0.0.1/c.yaml can not be fetched" in done(root, "45-cloud-init")


def test_an_address_without_a_digest_is_refused(root: FakeRoot) -> None:
    serve(root, "x", "123")
    assert "needs the file's digest" in done(root, "45-cloud-init")
    assert root.called("wget") == []


MEDIUM = """
for point; do :; done
cp -R "$ROOT/stick/." "$point/"
"""


def stick(root: FakeRoot, label: str, **files: str) -> None:
    root.write("sys/class/block/sdb/size", "20480\n")
    root.write("dev/sdb", "")
    root.write(
        "fakes/blkid",
        f'blkid() {{ shift 4; for d; do echo "$d: LABEL=\\"{label}\\""; done; }}\n',
    )
    root.fake("mount", MEDIUM)
    for name, text in files.items():
        root.write(f"stick/{name}", text)


def test_a_stick_is_read_and_may_be_pulled(root: FakeRoot) -> None:
    stick(root, "KSOLOCONF", **{"cloud-init.yaml": "hostname: stick\n"})
    done(root, "45-cloud-init")
    assert root.read(f"{RESULT}/hostname") == "stick\n"
    (root.path / "sys/class/block/sdb/size").unlink()
    root.shell('rm -rf "$ROOT/run/kubesolo/config"')
    assert "the last configuration stays in force" in boot_again(root)
    assert root.read(f"{RESULT}/hostname") == "stick\n"


def test_all_files_of_a_nocloud_medium_are_handed_on(root: FakeRoot) -> None:
    stick(root, "cidata", **{"user-data": "hostname: cloud\n", "meta-data": "instance-id: i\n"})
    done(root, "45-cloud-init")
    assert root.read(f"{RESULT}/hostname") == "cloud\n"
    (call,) = root.called("python3")
    assert "--user-data" in call
    assert "--meta-data" in call
    assert "--network-config" not in call


def test_the_data_partition_goes_before_a_stick(root: FakeRoot) -> None:
    stick(root, "KSOLOCONF", **{"cloud-init.yaml": "hostname: stick\n"})
    root.write(FILE, "hostname: data\n")
    done(root, "45-cloud-init")
    assert root.read(f"{RESULT}/hostname") == "data\n"


def test_a_labelled_medium_without_files_is_said(root: FakeRoot) -> None:
    stick(root, "CIDATA", readme="x")
    assert "(CIDATA) has none of the files of a configuration" in done(root, "45-cloud-init")
