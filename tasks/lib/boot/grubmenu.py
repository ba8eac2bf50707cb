"""GRUB's configuration: the entries of the boot menu, chosen in a way that can not hang.

GRUB's own menu waits for ever once a key has come, be it line noise on a serial port. While it counts down
without showing the menu ("timeout_style", GRUB manual), it takes hotkeys only and goes on counting. So every
choice is such a countdown: Tab, then the letter of an entry, then y; every other key at the second and third
step, and the end of each countdown, start the first entry. Noise does not get through all three by chance.
"""

from __future__ import annotations

import string
from collections.abc import Callable

from tasks.lib.boot.menu import ENTRIES, INITRAMFS, KERNEL, TIMEOUT_SECONDS, VOLUME_LABEL, Entry

ESCAPE = "\x1b"
CHOOSE_SECONDS = 10
CONFIRM_SECONDS = 5
MENU_KEY = "m"
MENU_TITLE = "GRUB's menu, to edit parameters: waits for you"
# What GRUB's parser takes as a word without quotes.
KEYS = string.ascii_letters + string.digits + ".,-_/+=:"

Lines = list[str]
Body = Callable[[Entry], Lines]


def from_medium(entry: Entry) -> Lines:
    """The commands that load an entry's kernel, where root is the medium."""
    return [f"linux {KERNEL} {entry.parameters}", f"initrd {INITRAMFS}"]


def grub_cfg(
    product: str, entries: tuple[Entry, ...] = ENTRIES, body: Body = from_medium, script: str = ""
) -> str:
    """grub.cfg (GRUB manual, "Writing full configuration files directly") with isolinux's entries.

    body: what loads an entry's kernel. script: what that needs, such as functions of its own.
    """
    lines = [f"# {product}", "set gfxpayload=keep", *serial_line(), "set default=0"]
    lines += [*script.splitlines(), *starters(entries, body)]
    lines += ["", "clear", *said([product, "", *titles(entries), "", welcome(entries[0])])]
    lines += [*countdown(TIMEOUT_SECONDS), *start_at(ESCAPE, entries[0], entries[0].title)]
    lines += block('submenu "Other ways to start" --hotkey=tab', choice(entries, body))
    return "\n".join(lines) + "\n"


def welcome(first: Entry) -> str:
    """What can be done at the first countdown."""
    return f"{first.label} starts in {TIMEOUT_SECONDS} s, or at once with Esc. Tab: other ways to start."


def serial_line() -> Lines:
    """The first serial port as one more terminal, where there is one."""
    setup = ["terminal_input console serial", "set serial=yes"]
    return ["if serial --unit=0 --speed=115200; then", *indented(setup), "fi"]


def said(texts: Lines) -> Lines:
    """Say lines on the screen and on the serial port; in blocks, as firmware may show it there, too."""
    spoken = [f'echo "{text}"' for text in texts]
    serial = ["terminal_output serial", *spoken, "terminal_output console"]
    return ['if [ "$serial" = yes ]; then', *indented(serial), "fi", *spoken]


def titles(entries: tuple[Entry, ...]) -> Lines:
    """One line for each entry."""
    width = max(len(entry.label) for entry in entries)
    return [f"  {entry.label:{width}}   {entry.title}" for entry in entries]


def starters(entries: tuple[Entry, ...], body: Body) -> Lines:
    """A function for each entry that loads its kernel; GRUB then starts it."""
    lines: Lines = []
    for entry in entries:
        lines += ["", *block(f"function {starter(entry)}", body(entry))]
    return lines


def starter(entry: Entry) -> str:
    """The name of an entry's function."""
    return "start_" + entry.label.replace("-", "_")


def countdown(seconds: int) -> Lines:
    """The settings of a menu that only counts down and takes hotkeys."""
    return [f"set timeout={seconds}", "set timeout_style=countdown"]


def start_at(key: str, entry: Entry, title: str) -> Lines:
    """An entry that starts when the key is pressed; the first one of a menu also at its end."""
    return block(f'menuentry "{title}" --hotkey="{key}"', [starter(entry)])


def choice(entries: tuple[Entry, ...], body: Body) -> Lines:
    """The second countdown: a letter for each other entry and for GRUB's own menu."""
    first, *others = entries
    letters = {letter(entry): entry for entry in others}
    rows = [f"  {key}   {entry.label}: {entry.title}" for key, entry in letters.items()]
    lines = said(["", *rows, f"  {MENU_KEY}   {MENU_TITLE}", "", f"{CHOOSE_SECONDS} seconds to choose."])
    lines += [*countdown(CHOOSE_SECONDS), *start_at(ESCAPE, first, first.title)]
    for key, entry in letters.items():
        lines += block(f'submenu "{entry.label}" --hotkey={key}', confirmation(entry, first))
    lines += block(f'submenu "{MENU_TITLE}" --hotkey={MENU_KEY}', own_menu(entries, first, body))
    return [*lines, *any_other([*letters, MENU_KEY], first)]


def letter(entry: Entry) -> str:
    """The key of an entry: the first letter of what distinguishes its label."""
    return entry.label.partition("-")[2][0]


def confirmation(entry: Entry, first: Entry) -> Lines:
    """The third countdown: y, or it was not meant."""
    return [
        *said([f"{entry.label}: press y within {CONFIRM_SECONDS} seconds."]),
        *countdown(CONFIRM_SECONDS),
        *start_at(ESCAPE, first, first.title),
        *start_at("y", entry, entry.title),
        *any_other(["y"], first),
    ]


def own_menu(entries: tuple[Entry, ...], first: Entry, body: Body) -> Lines:
    """GRUB's own menu, asked for and confirmed by a person: it waits."""
    menu = ["set timeout=-1", "set timeout_style=menu"]
    for entry in entries:
        menu += block(f'menuentry "{entry.label}: {entry.title}" --id {entry.label}', body(entry))
    return [
        *said([f"GRUB's menu: press y within {CONFIRM_SECONDS} seconds."]),
        *countdown(CONFIRM_SECONDS),
        *start_at(ESCAPE, first, first.title),
        *block('submenu "menu" --hotkey=y', menu),
        *any_other(["y"], first),
    ]


def any_other(taken: Lines, first: Entry) -> Lines:
    """Every key that is not taken starts the first entry: what comes is noise, or was a slip."""
    keys = " ".join(key for key in KEYS if key not in taken)
    body = block(f'menuentry "{first.title}" --hotkey="$key"', [starter(first)])
    return [f"for key in {keys}; do", *indented(body), "done"]


def block(head: str, body: Lines) -> Lines:
    """A command with a body."""
    return [f"{head} {{", *indented(body), "}"]


def block_if(condition: str, body: Lines) -> Lines:
    """Commands that are executed when the condition is true."""
    return [f"if [ {condition} ]; then", *indented(body), "fi"]


def indented(lines: Lines) -> Lines:
    """The body of a block."""
    return [f"  {line}" for line in lines]


def grub_early_cfg(label: str = VOLUME_LABEL) -> str:
    """The configuration inside GRUB's own image: find the medium by its label, go on with its grub.cfg."""
    return (
        f"search --no-floppy --set=root --label {label}\n"
        "set prefix=($root)/boot/grub\n"
        "configfile $prefix/grub.cfg\n"
    )
