"""distilrank.archives: single files out of archives and folders, good and bad."""

import bz2
import gzip
import hashlib
import io
import re
import stat
import tarfile
import zipfile

import pyarrow
import pytest
from tiny import names

from distilrank.archives import checked_blocks, member

BODY = b"2 qid:1 1:0.5\n" * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(name, content)


def write_tar(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


def write_plain_tar(path, files):
    write_tar(path, files, "w")


def write_xz(path, files):
    write_tar(path, files, "w:xz")


def write_bz2(path, files):
    write_tar(path, files, "w:bz2")


KINDS = pytest.mark.parametrize(
    "write", [write_zip, write_tar, write_plain_tar, write_xz, write_bz2]
)


def read(archive, path):
    with member(archive, path) as stream:
        return stream.read()


# Random-looking bytes: their compressed form is long enough to cut and to garble.
NOISE = b"".join(hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(2000))
FILES = [("rel-1/Fold1/train.txt", BODY), ("rel-1/Fold1/test.txt", NOISE), ("rel-1/readme", b"r")]


@pytest.fixture
def archive(tmp_path):
    return tmp_path / "data.archive"


@KINDS
def test_one_file_of_an_archive(archive, write):
    write(archive, FILES)
    assert read(archive, "rel-1/Fold1/train.txt") == BODY
    assert read(archive, "Fold1/test.txt") == NOISE
    assert read(archive, "readme") == b"r"
    with member(archive, "Fold1/train.txt") as stream:
        assert list(stream)[-1] == b"2 qid:1 1:0.5\n"
    assert names(archive.parent) == [archive.name]


@KINDS
def test_leading_folders_may_be_left_out(archive, write):
    """Some people pack `./`, some a folder in a folder."""
    write(archive, [("./a/b/Fold1/train.txt", BODY), ("./a/b/otherFold1/train.txt", b"no")])
    for path in ("a/b/Fold1/train.txt", "b/Fold1/train.txt", "Fold1/train.txt"):
        assert read(archive, path) == BODY
    with pytest.raises(ValueError, match=r"holds 2 files named train\.txt, expected one"):
        read(archive, "train.txt")


@KINDS
@pytest.mark.parametrize("path", ["Fold1/vali.txt", "rain.txt", "Fold1", "rel-1/Fold1/", ""])
def test_a_file_that_is_not_there(archive, write, path):
    write(archive, FILES)
    with pytest.raises(ValueError) as raised:
        read(archive, path)
    assert str(raised.value).startswith(f"{archive} holds no file named {path}; it holds rel-1/")


def test_the_nearest_names_are_shown(archive):
    write_zip(archive, [(f"other{n}", b"") for n in range(100)] + [("Fold1/Train.txt", b"")])
    with pytest.raises(ValueError, match=r"it holds Fold1/Train\.txt, \.\.\.$"):
        read(archive, "Fold1/train.txt")
    write_zip(archive, [])
    with pytest.raises(ValueError, match=r"it holds none$"):
        read(archive, "Fold1/train.txt")


@KINDS
def test_an_exact_name_comes_first(archive, write):
    write(archive, [*FILES, ("Fold1/train.txt", b"0 qid:1 1:9\n")])
    assert read(archive, "Fold1/train.txt") == b"0 qid:1 1:9\n"


@KINDS
@pytest.mark.parametrize("other", ["rel-2/Fold1/train.txt", "rel-1/Fold1/train.txt"])
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_such_files(archive, write, other):
    write(archive, [*FILES, (other, b"0 qid:1 1:9\n")])
    with pytest.raises(ValueError) as raised:
        read(archive, "Fold1/train.txt")
    assert str(raised.value) == f"{archive} holds 2 files named Fold1/train.txt, expected one"


EVIL = ["../evil.txt", "a/../../evil.txt", "/tmp/evil.txt", "C:/evil.txt", "..\\evil.txt"]


@KINDS
@pytest.mark.parametrize("name", EVIL)
def test_a_name_that_leads_out_of_the_archive_is_never_read(archive, write, tmp_path, name):
    write(archive, [(name, b"evil"), *FILES])
    before = sorted(tmp_path.parent.rglob("*"))
    for path in (name.replace("\\", "/"), "evil.txt"):
        with pytest.raises(ValueError, match="under a name that leads out of the archive; only"):
            read(archive, path)
    assert read(archive, "Fold1/train.txt") == BODY
    assert sorted(tmp_path.parent.rglob("*")) == before


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_a_link_or_device_in_a_tar_is_never_read(archive, kind):
    with tarfile.open(archive, "w") as opened:
        entry = tarfile.TarInfo("Fold1/train.txt")
        entry.type, entry.linkname = kind, "/etc/hostname"
        opened.addfile(entry)
    with pytest.raises(ValueError, match=r"Fold1/train\.txt as a link or a device; only plain"):
        read(archive, "Fold1/train.txt")


def test_a_link_in_a_zip_is_never_read(archive):
    with zipfile.ZipFile(archive, "w") as opened:
        info = zipfile.ZipInfo("Fold1/train.txt")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        opened.writestr(info, "/etc/hostname")
    with pytest.raises(ValueError, match=r"Fold1/train\.txt as a link or a device; only plain"):
        read(archive, "Fold1/train.txt")


def zstd(content):
    return pyarrow.compress(content, codec="zstd", asbytes=True)


COMPRESS = {".gz": gzip.compress, ".bz2": bz2.compress, ".zst": zstd}


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("where", ["zip", "tar", "folder"])
def test_a_compressed_file_is_decompressed(tmp_path, suffix, where):
    """Several frames one after another are one file, as the formats say."""
    name = f"train.txt{suffix}"
    content = COMPRESS[suffix](BODY) + COMPRESS[suffix](NOISE)
    source = pack(tmp_path, where, name, content)
    assert read(source, name) == BODY + NOISE


def pack(tmp_path, where, name, content):
    source = tmp_path / "data"
    if where == "folder":
        source.mkdir(exist_ok=True)
        (source / name).write_bytes(content)
    else:
        (write_zip if where == "zip" else write_tar)(source, [(name, content)])
    return source


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("where", ["zip", "folder"])
def test_a_cut_or_garbled_compressed_file_is_refused(tmp_path, suffix, where):
    name = f"train.txt{suffix}"
    whole = COMPRESS[suffix](NOISE)
    for bad in (*(whole[:cut] for cut in (1, 9, 1000, len(whole) - 1)), b"<html>" + whole):
        source = pack(tmp_path, where, name, bad)
        with pytest.raises(ValueError) as raised:
            read(source, name)
        assert str(raised.value).startswith(f"{name} in {source} is damaged or cut short (")


@pytest.fixture
def small_limit(monkeypatch):
    """A megabyte in place of a gibibyte, so that the bombs are small."""
    monkeypatch.setattr("distilrank.archives._ALWAYS_ALLOWED", 1 << 20)


@pytest.mark.parametrize("kind", ["zip", "tar", "gz", "nested", "chain"])
def test_a_bomb_is_stopped_while_it_expands(tmp_path, small_limit, kind):
    zeros = bytes(40 << 20)
    source, name = tmp_path / "bomb", "train.txt"
    if kind == "zip":
        write_zip(source, [(name, zeros)])
    elif kind == "tar":
        write_tar(source, [(name, zeros)])
    elif kind == "gz":
        name = "train.txt.gz"
        source = pack(tmp_path, "folder", name, gzip.compress(zeros))
    elif kind == "nested":
        name = "train.txt.gz"
        write_zip(source, [(name, gzip.compress(zeros))])
    else:  # nothing but empty frames: what counts is what the zip itself expands to
        name = "train.txt.gz"
        write_zip(source, [(name, gzip.compress(b"") * (1 << 20))])
    with member(source, name) as stream:
        came = 0
        with pytest.raises(ValueError) as raised:
            while block := stream.read(1 << 16):
                came += len(block)
    assert came < 12 << 20
    assert f"{name} in {source} expands to more than 0.0" in str(raised.value)
    assert "set largest_file_gb of its data set" in str(raised.value)


def test_the_limit_is_the_configs(archive):
    write_zip(archive, FILES)
    with member(archive, "Fold1/train.txt", len(BODY) / 1e9) as stream:
        assert stream.read() == BODY
    with (
        pytest.raises(ValueError, match="expands to more than"),
        member(archive, "Fold1/train.txt", (len(BODY) - 1) / 1e9) as stream,
    ):
        stream.read()


def test_a_folder_is_read_like_an_archive(tmp_path):
    folder = tmp_path / "data"
    (folder / "Fold1").mkdir(parents=True)
    (folder / "Fold1" / "train.txt").write_bytes(BODY)
    assert read(folder, "Fold1/train.txt") == BODY
    assert read(folder, str(folder / "Fold1" / "train.txt")) == BODY
    with pytest.raises(ValueError) as raised:
        read(folder, "Fold1/vali.txt")
    assert str(raised.value) == (
        f"{folder} holds no file named Fold1/vali.txt; it holds Fold1/train.txt"
    )
    with pytest.raises(ValueError, match="holds no file named Fold1; it holds Fold1/train"):
        read(folder, "Fold1")


def test_a_source_that_is_not_there(archive):
    with pytest.raises(ValueError, match=f"{re.escape(str(archive))} is not there: it should be"):
        read(archive, "train.txt")


def test_an_encrypted_zip_is_refused(archive):
    write_zip(archive, [("train.txt", NOISE)])
    content = bytearray(archive.read_bytes())
    content[6] |= 1  # the flag in the file's own header, and in the directory
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    with pytest.raises(ValueError, match="password"):
        read(archive, "train.txt")


@KINDS
def test_a_cut_archive_is_refused(archive, write):
    """Plain tar has no checksum: a file cut in its middle must not pass for a whole one."""
    write(archive, FILES)
    whole = archive.read_bytes()
    # Only zeros fill the end of a tar's last block: without them nothing is lost.
    length = len(whole.rstrip(b"\0"))
    # Without checksums nobody sees a cut behind the file that is wanted, and nothing is lost.
    late = [] if write is write_plain_tar else [0.999]
    for share in (0, 0.001, 0.01, 0.2, 0.5, 0.9, *late):
        archive.write_bytes(whole[: int(share * length)])
        with pytest.raises(ValueError, match=re.escape(str(archive))):
            read(archive, "Fold1/test.txt")


@KINDS
def test_a_garbled_archive_is_refused_or_read_as_it_was(archive, write):
    write(archive, FILES)
    whole = bytearray(archive.read_bytes())
    for at in range(600, len(whole), len(whole) // 80):
        garbled = bytearray(whole)
        garbled[at] ^= 0xFF
        archive.write_bytes(garbled)
        try:
            content = read(archive, "Fold1/test.txt")
        except ValueError as error:
            assert str(archive) in str(error)
        else:
            # Plain tar has no checksum, and gzip's stands behind the last file: the check of
            # each file's own sha256 is what protects these two.
            assert content == NOISE or write in (write_plain_tar, write_tar)


@pytest.mark.parametrize("content", [b"", b"<html>", BODY, b"PK\x03\x04", b"\x1f\x8b\x08"])
def test_what_is_no_archive(archive, content):
    archive.write_bytes(content)
    with pytest.raises(ValueError) as raised:
        read(archive, "Fold1/train.txt")
    assert str(archive) in str(raised.value)


def test_garbled_deflate_data_is_damage(archive):
    write_zip(archive, [("train.txt", NOISE * 2)])
    content = bytearray(archive.read_bytes())
    content[40:2000] = b"\xff" * 1960
    archive.write_bytes(content)
    with pytest.raises(ValueError) as raised:
        read(archive, "train.txt")
    assert str(raised.value).startswith(f"train.txt in {archive} is damaged or cut short (")
    assert str(raised.value).endswith("); replace it and run again")


def test_a_readers_own_error_passes_through(archive):
    write_zip(archive, FILES)
    with pytest.raises(KeyError), member(archive, "Fold1/train.txt"):
        raise KeyError("mine")


def test_blocks_are_checked_at_their_end():
    assert b"".join(checked_blocks(io.BytesIO(BODY), SHA256, "train.txt")) == BODY
    assert list(checked_blocks(io.BytesIO(b"a\nb"), None, "train.txt", 2)) == [b"a\n", b"b"]
    blocks = checked_blocks(io.BytesIO(BODY + b"x"), SHA256, "train.txt", len(BODY))
    assert [next(blocks), next(blocks)] == [BODY, b"x"]
    with pytest.raises(ValueError) as raised:
        next(blocks)
    found = hashlib.sha256(BODY + b"x").hexdigest()
    assert str(raised.value) == f"train.txt has sha256 {found}, expected {SHA256}"


def test_an_empty_file_is_checked_too():
    with pytest.raises(ValueError, match=r"train\.txt has sha256 e3b0c442"):
        list(checked_blocks(io.BytesIO(b""), SHA256, "train.txt"))
