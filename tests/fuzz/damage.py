"""Ways to damage a file, or to make it hostile; all take their chances from one generator, so that a case repeats."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORDS: tuple[str, ...] = (
    "", " ", "0", "-1", "1e999", "nan", "9" * 400, "1_0", "٣", "true", "null", "../../outside", "/etc/passwd", "C:\\x",
    "=cmd|' /C calc'!A0", "@SUM(1)", "<script>alert(1)</script>", "| a | b |", "`x`", "\x1b[31mred", "a\x00b", "\u202e",
    "é" * 5000, "x" * 300, "%s%n{0}", "__class__", "🛑", ".", "..", "~", "$(touch x)", "--force", "\ufeff", "\r\n",
)  # fmt: skip
"""What may stand where a name or a number is expected."""

VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, 10**30, 10**400, 4 * 10**9, 0.5, [], {}, [[]], [None], {"": None}, "\ud800", *WORDS
)  # fmt: skip

BOMB = 64 << 20
"""Bytes that a bomb unpacks to: enough to be noticed by a limit, not enough to harm the machine."""


def flip(data: bytes, chance: random.Random) -> bytes:
    """Change one to eight bits."""
    content = bytearray(data or b"\0")
    for _ in range(chance.choice((1, 1, 1, 8))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content)


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def blank(data: bytes, chance: random.Random) -> bytes:
    """Overwrite a stretch with one byte."""
    start = chance.randrange(len(data) + 1)
    stretch = data[start : start + chance.choice((4, 64, 4096))]
    return data[:start] + bytes([chance.choice((0, 255))]) * len(stretch) + data[start + len(stretch) :]


def stuff(data: bytes, chance: random.Random) -> bytes:
    """Put something in between."""
    start = chance.randrange(len(data) + 1)
    return data[:start] + chance.randbytes(chance.choice((1, 7, 1000))) + data[start:]


def repeat(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data) + 1)
    return data[:start] + data[start:] * chance.choice((2, 5))


def replace(data: bytes, chance: random.Random) -> bytes:
    """Give something else altogether."""
    kinds: tuple[Callable[[], bytes], ...] = (
        lambda: b"", lambda: chance.randbytes(2000), lambda: b"\x80\x04cos\nsystem\n(S'touch pickled'\ntR.",
        lambda: b"\x89PNG\r\n\x1a\n", lambda: b"PK\x05\x06" + bytes(18), lambda: b"\x93NUMPY\x01\x00v\x00{'descr'",
        lambda: b"[" * 200_000, lambda: b"{\"a\":" * 100_000, lambda: "\ufeff,,\n".encode(), lambda: b"\xff\xfe\x00",
    )  # fmt: skip
    return chance.choice(kinds)()


def words(data: bytes, chance: random.Random) -> bytes:
    """Put a hostile word in place of a cell, a line or the end of a table or list."""
    lines = data.decode("utf-8", "replace").splitlines() or [""]
    number, word = chance.randrange(len(lines)), chance.choice(WORDS)
    separator = ";" if ";" in lines[number] else ","
    cells = lines[number].split(separator)
    cells[chance.randrange(len(cells))] = word
    kinds = (separator.join(cells), word, lines[number] + separator + word, f"{lines[number]}\n{lines[number]}")
    lines[number] = chance.choice(kinds)
    if chance.random() < 0.1:
        del lines[number]
    return "\n".join([*lines, ""]).encode("utf-8", "surrogatepass")


def values(data: bytes, chance: random.Random) -> bytes:
    """Put another value at one or two places of a JSON document, or leave one out."""
    content = json.loads(data)
    for _ in range(chance.choice((1, 1, 2))):
        places = list(_places(content))
        if not places:
            return json.dumps(chance.choice(VALUES)).encode()
        holder, key = chance.choice(places)
        if isinstance(holder, dict) and chance.random() < 0.2:
            del holder[key]
        else:
            holder[key] = chance.choice(VALUES)
    return json.dumps(content).encode()


def _places(content: Any) -> list[tuple[Any, Any]]:
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [place for key, value in inner for place in ((content, key), *_places(value))]


def members(data: bytes, chance: random.Random) -> bytes:
    """Damage what is inside of an archive, keeping the archive whole; or add a bomb or a path that leads out."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        content = {info.filename: archive.read(info) for info in archive.infolist()}
    if not content:
        return flip(data, chance)
    name = chance.choice(sorted(content))
    kind = chance.choice(("inner", "inner", "inner", "drop", "rename", "out", "bomb", "method", "twice"))
    if kind == "inner":
        change = chance.choice((flip, cut, blank, replace, values if name.endswith(".json") else words))
        content[name] = change(content[name], chance)
    elif kind in ("drop", "rename"):
        moved = content.pop(name)
        content |= {chance.choice(WORDS).replace("\0", "") or "x": moved} if kind == "rename" else {}
    elif kind == "out":
        content["../../outside.txt"] = b"x"
    elif kind == "bomb":
        content[name] = content[name][:200] + bytes(BOMB)
    method = chance.choice((zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)) if kind == "method" else zipfile.ZIP_DEFLATED
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for one, inside in content.items():
            archive.writestr(one, inside)
    return file.getvalue()


def picture(data: bytes, chance: random.Random) -> bytes:
    """Claim another size in the header of a PNG file, with a checksum that is right."""
    if not data.startswith(b"\x89PNG"):
        return flip(data, chance)
    sides = [chance.choice((0, 1, 31, 33, 20_000, 60_000, 2**31 - 1)).to_bytes(4, "big") for _ in range(2)]
    header = b"IHDR" + b"".join(sides) + data[24:29]
    return data[:12] + header + zlib.crc32(header).to_bytes(4, "big") + data[33:]


BYTES = (flip, cut, blank, stuff, repeat, replace)


def special(path: Path, chance: random.Random) -> str:
    """Put something that is no file in place of one; return what."""
    kind = chance.choice(("nothing", "folder", "pipe", "device", "loop", "broken link"))
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind != "nothing":
        path.symlink_to({"device": "/dev/zero", "loop": path.name, "broken link": "nowhere"}[kind])
    return kind


def harm(path: Path, chance: random.Random) -> str:
    """Damage a file by one of the ways that suit it; return which."""
    if chance.random() < 0.08:
        return special(path, chance)
    ways: list[Callable[[bytes, random.Random], bytes]] = [*BYTES]
    end = path.suffix
    own = {".json": values, ".csv": words, ".txt": words, ".keras": members, ".npz": members, ".zip": members}
    own |= dict.fromkeys((".png", ".jpg", ".ppm"), picture)
    if end in own:
        ways += [own[end]] * 6
    way = chance.choice(ways)
    path.write_bytes(way(path.read_bytes(), chance))
    return way.__name__


def copy(template: Path, folder: Path) -> None:
    shutil.copytree(template, folder, symlinks=True)
