"""The official download of LISA: a small tree like it, as a folder and as a zip, whole and damaged in every way."""

import json
import shutil
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import __version__ as pillow_version

from blurnet_tf.data import lisa
from blurnet_tf.data.folder import resize
from blurnet_tf.data.lisa_official import prepare, read_official
from blurnet_tf.data.lisa_report import KINDS, Fault
from experiments import data as program

HEADER = (
    "Filename;Annotation tag;Upper left corner X;Upper left corner Y;Lower right corner X;Lower right corner Y;"
    "Occluded,On another road;Origin file;Origin frame number;Origin track;Origin track frame number"
)
FOLDER = "vid0/frameAnnotations-a.avi_annotations"
HEIGHT, WIDTH = 60, 80
OUTSIDE = "box outside the frame"


def frame_name(track: int, number: int) -> str:
    return f"{FOLDER}/warning_{track}.avi_image{number}.png"


def line(frame: str, label: str = "stop", box: tuple[object, ...] = (5, 6, 45, 30), track: str = "t0.avi") -> str:
    return ";".join([frame, label, *map(str, box), "0,0", "vid0/a.avi", "17", track, "3"])


class Download:
    """A download in a folder: four tracks of two frames, two signs a frame."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lines = []
        rng = np.random.default_rng(0)
        (root / FOLDER).mkdir(parents=True)
        for track in range(4):
            for number in range(2):
                name = frame_name(track, number)
                image = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
                assert cv2.imwrite(str(root / name), image[..., ::-1])
                self.lines.append(line(name, "stop", (5, 6, 45, 30), f"t{track}.avi"))
                self.lines.append(line(name, "dip", (0, 0, WIDTH, HEIGHT), f"t{track}.avi"))
        self.write()

    def write(self, header: str = HEADER, end: str = "\n") -> None:
        (self.root / "allAnnotations.csv").write_bytes((end.join([header, *self.lines]) + end).encode())

    def zipped(self, top: str = "") -> Path:
        path = self.root.with_suffix(".zip")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(self.root.rglob("*")):
                if file.is_file():
                    archive.write(file, top + file.relative_to(self.root).as_posix())
        return path


@pytest.fixture
def download(tmp_path: Path) -> Download:
    return Download(tmp_path / "LISA")


def only_fault(download: Download) -> Fault:
    """The fault of the last line; the other 16 rows must have come through."""
    download.write()
    prepared, report = read_official(download.root)
    assert len(prepared) == 16
    assert report.rows == 17
    (fault,) = report.faults
    assert fault.line == 18
    assert report.counts == {kind: int(kind == fault.kind) for kind in KINDS}
    assert str(fault) in str(report)
    return fault


def test_the_pixels_are_the_resized_box_of_the_frame(download: Download) -> None:
    prepared, report = read_official(download.root)
    assert len(prepared) == 16
    for index in range(16):
        frame = cv2.imread(str(download.root / frame_name(index // 4, index // 2 % 2)))[..., ::-1]
        crop = frame if index % 2 else frame[6:30, 5:45]
        np.testing.assert_array_equal(prepared.images[index], resize(crop))
    assert prepared.labels.tolist() == ["stop", "dip"] * 8  # whatever the file is called
    assert prepared.track.tolist() == [f"vid0/t{index // 4}.avi" for index in range(16)]
    assert prepared.csv_row.tolist() == list(range(16))
    assert set(prepared.source.tolist()) == {"native"}
    assert prepared.split.tolist() == lisa.split_column(prepared.labels, prepared.track).tolist()
    assert (report.rows, report.frames, report.tracks, report.images) == (16, 8, 4, 16)
    assert report.classes == {"dip": 8, "stop": 8}
    (absent,) = [line for line in str(report).splitlines() if line.startswith("no image of: ")]
    assert len(absent.split(", ")) == 16
    assert "stop," not in absent
    assert report.faults == ()
    assert str(report).splitlines()[0] == "16 images of 2 classes in 4 tracks, from 16 rows"
    assert "no output of the model, so not trained on: 8 (dip 8)" in str(report)
    assert "left out: 0 rows" in str(report)


@pytest.mark.parametrize("top", ["", "signDatabasePublicFramesOnly/"])
def test_a_zip_is_read_in_place(download: Download, top: str) -> None:
    expected, expected_report = read_official(download.root)
    path = download.zipped(top)
    shutil.rmtree(download.root)
    prepared, report = read_official(path)
    assert report == expected_report
    for name in lisa.ARRAYS:
        np.testing.assert_array_equal(getattr(prepared, name), getattr(expected, name))
    assert [entry.name for entry in path.parent.iterdir()] == ["LISA.zip"]


def test_a_zip_with_backslashes(download: Download) -> None:
    path = download.root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(download.root.rglob("*")):
            if file.is_file():
                archive.write(file, "LISA\\" + str(file.relative_to(download.root)).replace("/", "\\"))
    assert len(read_official(path)[0]) == 16


def test_a_folder_inside_the_folder(download: Download) -> None:
    assert len(read_official(download.root.parent)[0]) == 16


def test_line_ends_byte_order_marks_blank_lines_and_backslashes(download: Download) -> None:
    download.lines[3] = download.lines[3].replace("/", "\\")
    download.lines.insert(5, "")
    download.write(header="\ufeff" + HEADER, end="\r\n")
    prepared, report = read_official(download.root)
    assert prepared.csv_row.tolist() == list(range(16))
    assert (report.rows, report.faults) == (16, ())


def test_columns_are_found_by_name(download: Download) -> None:
    expected, _ = read_official(download.root)
    download.lines = [";".join(reversed(text.split(";"))) for text in download.lines]
    download.write(header=";".join(reversed(HEADER.split(";"))))
    np.testing.assert_array_equal(read_official(download.root)[0].images, expected.images)


def test_each_frame_is_read_once_with_progress(download: Download, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded, calls = [], []
    decode = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *arguments: decoded.append(1) or decode(*arguments))
    download.lines = [*download.lines[::2], *download.lines[1::2]]  # the rows of a frame apart
    download.write()
    prepared, _ = read_official(download.root, progress=lambda *arguments: calls.append(arguments))
    assert len(decoded) == 8
    assert prepared.labels.tolist() == ["stop"] * 8 + ["dip"] * 8
    assert [call[:2] for call in calls] == [(number, 8) for number in range(1, 9)]
    assert calls[0][2] == frame_name(0, 0)


def test_a_grey_frame_gives_three_equal_channels(download: Download) -> None:
    name = frame_name(0, 0)
    grey = cv2.imread(str(download.root / name), cv2.IMREAD_GRAYSCALE)
    assert cv2.imwrite(str(download.root / name), grey)
    image = read_official(download.root)[0].images[0]
    np.testing.assert_array_equal(image, resize(grey[6:30, 5:45, None].repeat(3, 2)))


@pytest.mark.parametrize(
    ("text", "frame", "reason"),
    [
        ("a.png;stop;1", "a.png", "must have 11 fields separated by semicolons. Received: 3"),
        (line("a.png") + ";more", "a.png", "must have 11 fields separated by semicolons. Received: 12"),
        (
            line("a.png").replace(";", ","),
            "",
            "must have 11 fields separated by semicolons. Received: 1, separated by commas",
        ),
        (
            line("a.png").replace(";", "\t"),
            "",
            "must have 11 fields separated by semicolons. Received: 1, separated by tabs",
        ),
        ('"quotation', "", "must have 11 fields separated by semicolons. Received: 1"),
        (line(""), "", "`Filename` must be a path inside the download. Received: ''"),
        (line("../a.png"), "../a.png", "`Filename` must be a path inside the download. Received: '../a.png'"),
        (line("/a.png"), "/a.png", "`Filename` must be a path inside the download. Received: '/a.png'"),
        (line("C:\\a.png"), "C:\\a.png", "`Filename` must be a path inside the download. Received: 'C:/a.png'"),
        (line("a\0.png"), "a\0.png", "`Filename` must be a path inside the download. Received: 'a\\x00.png'"),
        (line("a.png", ""), "a.png", "`Annotation tag` must be a word. Received: ''"),
        (line("a.png", "st\xf6p"), "a.png", "`Annotation tag` must be a word. Received: 'st\xf6p'"),
        (line("a.png", box=(5, "six", 45, 30)), "a.png", "`Upper left corner Y` must be an integer. Received: 'six'"),
        (line("a.png", box=(5, 6, "", 30)), "a.png", "`Lower right corner X` must be an integer. Received: ''"),
        (line("a.png", box=(5, 6, 45, "3e1")), "a.png", "`Lower right corner Y` must be an integer. Received: '3e1'"),
        (line("a.png", track=""), "a.png", "`Origin track` must not be empty"),
    ],
)
def test_a_garbled_row_is_reported(download: Download, text: str, frame: str, reason: str) -> None:
    download.lines.append(text)
    assert only_fault(download) == Fault("garbled row", 18, frame, reason)


@pytest.mark.parametrize(
    ("box", "kind", "reason"),
    [
        ((5, 6, 5, 30), "empty box", "the box from (5, 6) to (5, 30) is empty"),
        ((5, 30, 45, 6), "empty box", "the box from (5, 30) to (45, 6) is empty"),
        ((-1, 6, 45, 30), OUTSIDE, "the box from (-1, 6) to (45, 30) is not inside the frame of 80 x 60 pixels"),
        ((5, 6, 81, 30), OUTSIDE, "the box from (5, 6) to (81, 30) is not inside the frame of 80 x 60 pixels"),
        ((5, 6, 45, 61), OUTSIDE, "the box from (5, 6) to (45, 61) is not inside the frame of 80 x 60 pixels"),
    ],
)
def test_a_wrong_box_is_reported(download: Download, box: tuple[int, ...], kind: str, reason: str) -> None:
    download.lines.append(line(frame_name(0, 0), box=box))
    assert only_fault(download) == Fault(kind, 18, frame_name(0, 0), reason)


@pytest.mark.parametrize("name", ["absent.png", f"{FOLDER}/absent.png", frame_name(0, 0) + "/below.png"])
def test_a_missing_frame_is_reported(download: Download, name: str) -> None:
    download.lines.append(line(name))
    assert only_fault(download) == Fault("missing frame", 18, name, "is not there")


def png() -> bytes:
    image = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    return bytes(cv2.imencode(".png", image)[1])


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is an empty file"),
        (b"hello", "is no PNG image"),
        (bytes(cv2.imencode(".jpg", np.zeros((9, 9, 3), np.uint8))[1]), "is no PNG image"),
        (png()[: len(png()) // 2], "is cut short"),
        (png()[:-12], "is cut short"),
        (flipped(png()), "has a wrong checksum at byte "),
        (png()[:8] + png()[-12:], "cannot be decoded"),  # every checksum is right, but there is no image
    ],
)
def test_a_damaged_frame_is_reported(download: Download, data: bytes, reason: str) -> None:
    (download.root / FOLDER / "bad.png").write_bytes(data)
    download.lines.append(line(f"{FOLDER}/bad.png"))
    fault = only_fault(download)
    assert (fault.kind, fault.frame) == ("damaged frame", f"{FOLDER}/bad.png")
    assert fault.reason.startswith(reason)


def test_a_frame_that_cannot_be_read_is_reported(download: Download) -> None:
    (download.root / FOLDER / "folder.png").mkdir()
    download.lines.append(line(f"{FOLDER}/folder.png"))
    fault = only_fault(download)
    assert fault.kind == "damaged frame"
    assert fault.reason.startswith("is no file")


def test_every_row_of_a_lost_frame_is_reported(download: Download) -> None:
    (download.root / frame_name(1, 0)).unlink()
    prepared, report = read_official(download.root)
    assert prepared.csv_row.tolist() == [0, 1, 2, 3, *range(6, 16)]
    assert report.faults == (
        Fault("missing frame", 6, frame_name(1, 0), "is not there"),
        Fault("missing frame", 7, frame_name(1, 0), "is not there"),
    )
    assert report.counts["missing frame"] == 2


def test_a_damaged_member_of_a_zip_is_reported(download: Download) -> None:
    path = download.root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.write(download.root / "allAnnotations.csv", "allAnnotations.csv")
        for file in sorted((download.root / FOLDER).iterdir()):
            archive.write(file, f"{FOLDER}/{file.name}")
        place = archive.getinfo(frame_name(0, 1)).header_offset + 1000
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    prepared, report = read_official(path)
    assert len(prepared) == 14
    assert report.counts["damaged frame"] == 2
    assert report.faults[0].reason.startswith("BadZipFile: Bad CRC-32")


def test_the_report_names_the_first_of_many(download: Download) -> None:
    download.lines += [line(f"absent{number}.png") for number in range(7)]
    download.write()
    _, report = read_official(download.root)
    assert str(report).splitlines()[-8:] == [
        "left out: 7 rows",
        "  missing frame: 7",
        *(f"    line {18 + number}, absent{number}.png: is not there" for number in range(5)),
        "    and 2 more",
    ]
    assert "absent6.png" in str(report.faults[-1])


def test_a_root_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        read_official(tmp_path / "none")
    assert str(caught.value) == f"{tmp_path / 'none'} is not there: name the folder of the LISA download, or its zip."


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_no_annotations(download: Download, form: str) -> None:
    (download.root / "allAnnotations.csv").unlink()
    root = download.root if form == "folder" else download.zipped()
    with pytest.raises(FileNotFoundError) as caught:
        read_official(root)
    assert str(caught.value) == f"{root} has no allAnnotations.csv, neither at its top nor in a folder there."


def test_two_annotations(download: Download) -> None:
    shutil.copytree(download.root, download.root.parent / "again")
    with pytest.raises(ValueError, match="must have one") as caught:
        read_official(download.root.parent)
    assert str(caught.value) == (
        f"{download.root.parent} must have one allAnnotations.csv. "
        "Received: LISA/allAnnotations.csv, again/allAnnotations.csv"
    )


@pytest.mark.parametrize("damage", ["text", "cut"])
def test_a_damaged_zip(download: Download, damage: str) -> None:
    path = download.zipped()
    path.write_bytes(b"hello" if damage == "text" else path.read_bytes()[:-400])
    with pytest.raises(ValueError, match="zip") as caught:
        read_official(path)
    assert str(caught.value) == (f"{path} must be a folder or a readable zip archive. Received: File is not a zip file")


def test_damaged_annotations_in_a_zip(download: Download) -> None:
    path = download.root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(download.root / "allAnnotations.csv", "allAnnotations.csv")
    data = bytearray(path.read_bytes())
    data[500] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="must be readable") as caught:
        read_official(path)
    assert str(caught.value).startswith(f"{path}/allAnnotations.csv must be readable. Received: BadZipFile: Bad CRC")


@pytest.mark.parametrize(("delimiter", "words"), [(",", "commas"), ("\t", "tabs"), ("|", "bars")])
def test_a_wrong_delimiter(download: Download, delimiter: str, words: str) -> None:
    download.lines = [text.replace(";", delimiter) for text in download.lines]
    download.write(header=HEADER.replace(";", delimiter))
    with pytest.raises(ValueError, match="semicolons") as caught:
        read_official(download.root)
    message = str(caught.value)
    assert message.startswith(
        f"{download.root / 'allAnnotations.csv'} must begin with the names of its columns, separated by semicolons. "
        "Received: no 'Filename', 'Annotation tag', "
    )
    assert message.endswith(f", separated by {words}")


@pytest.mark.parametrize("content", ["", HEADER.replace("Origin track;", "")])
def test_missing_columns(download: Download, content: str) -> None:
    (download.root / "allAnnotations.csv").write_text(content)
    with pytest.raises(ValueError, match="must begin with the names of its columns") as caught:
        read_official(download.root)
    assert "'Origin track' in " in str(caught.value)


def test_no_row_that_gives_an_image(download: Download) -> None:
    shutil.rmtree(download.root / "vid0")
    with pytest.raises(ValueError, match="gives an image") as caught:
        read_official(download.root)
    assert str(caught.value) == (
        f"{download.root / 'allAnnotations.csv'} must have a row that gives an image. Received: 16 rows, all of them "
        f"left out, the first because of line 2, {frame_name(0, 0)}: is not there"
    )


# --- the prepared file, and when it is made again ---------------------------------------------------------------------


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_second_run_reads_and_writes_nothing(download: Download, tmp_path: Path, form: str) -> None:
    download.lines.append(line("absent.png"))
    download.write()
    root = download.root if form == "folder" else download.zipped()
    path = tmp_path / "data" / "lisa" / "lisa32.npz"
    report, made = prepare(root, path)
    assert made
    assert len(lisa.read_prepared(path)) == report.images == 16
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.parent.iterdir()}
    assert set(before) == {"lisa32.npz", "lisa32.json"}
    calls: list[object] = []
    assert prepare(root, path, progress=lambda *arguments: calls.append(arguments)) == (report, False)
    assert calls == []
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.parent.iterdir()} == before
    notes = json.loads((path.parent / "lisa32.json").read_text())
    assert notes["report"]["faults"] == [
        {"kind": "missing frame", "line": 18, "frame": "absent.png", "reason": "is not there"}
    ]


@pytest.mark.parametrize("change", ["annotations", "frame", "missing frame", "prepared", "notes", "no prepared"])
def test_what_changed_is_prepared_again(download: Download, tmp_path: Path, change: str) -> None:
    path = tmp_path / "lisa32.npz"
    download.lines.append(line("absent.png"))
    download.write()
    prepare(download.root, path)
    expected = 16
    if change == "annotations":
        download.lines.append(line(frame_name(0, 0), "yield"))
        download.write()
        expected = 17
    elif change == "frame":
        (download.root / frame_name(0, 0)).write_bytes(png())
    elif change == "missing frame":
        shutil.copy(download.root / frame_name(0, 0), download.root / "absent.png")
        expected = 17
    elif change == "prepared":
        path.write_bytes(path.read_bytes()[:-1])
    elif change == "notes":
        path.with_suffix(".json").write_text("{")
    else:
        path.unlink()
    report, made = prepare(download.root, path)
    assert made
    assert len(lisa.read_prepared(path)) == report.images == expected
    assert prepare(download.root, path) == (report, False)


def test_the_same_download_gives_the_same_bytes(download: Download, tmp_path: Path) -> None:
    for name in ("a", "b"):
        prepare(download.root, tmp_path / name / "lisa32.npz")
    for name in ("lisa32.npz", "lisa32.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_file_of_another_origin_is_not_overwritten(download: Download, tmp_path: Path) -> None:
    path = tmp_path / "lisa32.npz"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError) as caught:
        prepare(download.root, path)
    assert str(caught.value) == (
        f"{path} was not prepared here: there is no lisa32.json beside it. Move it away to prepare another."
    )
    assert path.read_bytes() == b"mine"


def test_an_error_leaves_the_older_file(download: Download, tmp_path: Path) -> None:
    path = tmp_path / "data" / "lisa32.npz"
    prepare(download.root, path)
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    shutil.rmtree(download.root / "vid0")
    with pytest.raises(ValueError, match="gives an image"):
        prepare(download.root, path)
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before


def test_the_program(download: Download, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download.lines.append(line("absent.png"))
    download.write()
    path = tmp_path / "data" / "lisa" / "lisa32.npz"
    for words in ("prepared", "up to date"):
        program.main(["--lisa-root", str(download.root), "--data-dir", str(tmp_path / "data")])
        output, errors = capsys.readouterr()
        assert "    line 18, absent.png: is not there" in output
        assert f"{path}: {words}; lisa32.json names all that was left out" in output
        assert "LISA, track split, as the file holds it: 6 training and 2 test images" in output
        assert errors == ""  # no terminal, no progress


def test_the_program_prints_no_codes_of_the_terminal(
    download: Download, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download.lines.append(line("\x1b]0;title\x07.png"))
    download.write()
    program.main(["--lisa-root", str(download.root), "--data-dir", str(tmp_path / "data")])
    output = capsys.readouterr().out
    assert r"line 18, \x1b]0;title\x07.png: " in output or r"line 18, \x1b]0: " in output
    assert "\x1b" not in output


def test_the_program_shows_progress_on_a_terminal(
    download: Download, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    program.main(["--lisa-root", str(download.root), "--data-dir", str(tmp_path / "data")])
    assert capsys.readouterr().err == f"\r\x1b[K8/8 {frame_name(3, 1)}\n"


def test_the_program_prepares_what_cannot_be_split(
    download: Download, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    download.lines = download.lines[:4]
    download.write()
    program.main(["--lisa-root", str(download.root), "--data-dir", str(tmp_path)])
    output, errors = capsys.readouterr()
    assert "lisa32.npz: prepared" in output
    assert errors.startswith("note: Both sides of the split must have images of the model's classes. Received: ")


@pytest.mark.realdata
def test_the_sample_of_the_official_download_pixel_for_pixel(lisa_folder: Path, lisa_sample: Path) -> None:
    reference = lisa.read_prepared(lisa_folder)
    whole = (lisa_folder / "allAnnotations.csv").read_text().splitlines()[1:]
    part = (lisa_sample / "allAnnotations.csv").read_text().splitlines()[1:]
    prepared, report = read_official(lisa_sample)
    assert report.faults == ()
    assert len(prepared) == report.rows == len(part) == 151
    row = {text: number for number, text in reversed(list(enumerate(whole)))}
    place = {number: index for index, number in enumerate(reference.csv_row.tolist())}
    expected = reference.take(np.array([place[row[part[number]]] for number in prepared.csv_row.tolist()]))
    if int(pillow_version.split(".")[0]) >= 13:
        np.testing.assert_array_equal(prepared.images, expected.images)
    else:  # the order of the two directions of some narrow crops: a level here and there
        assert np.abs(prepared.images.astype(int) - expected.images).max() <= 1
    for name in ("labels", "track", "source"):
        np.testing.assert_array_equal(getattr(prepared, name), getattr(expected, name))
        assert getattr(prepared, name).dtype.kind == "U"
    assert prepared.csv_row.dtype == reference.csv_row.dtype
