"""distilrank.download: a server that misbehaves, and archives that do."""

import hashlib
import io
import re
import tarfile
import zipfile

import pytest
from tiny import names

from distilrank.download import checked_blocks, download, member, package_url

BODY = b"2 qid:1 1:0.5\n" * 1000
SHA256 = hashlib.sha256(BODY).hexdigest()
FORBIDDEN = b"<html><body>403 Forbidden</body></html>"


def test_a_file_is_fetched(web, tmp_path):
    web.pages["/data.zip?id=1"] = (200, BODY)
    download([web.url("/data.zip?id=1")], SHA256, tmp_path / "raw" / "data.zip")
    assert (tmp_path / "raw" / "data.zip").read_bytes() == BODY
    assert names(tmp_path / "raw") == ["data.zip"]


def test_a_file_that_is_there_already_is_kept(web, tmp_path):
    (tmp_path / "data.zip").write_bytes(BODY)
    download([web.url("/data.zip")], SHA256, tmp_path / "data.zip")
    assert web.asked == []


def test_a_wrong_file_that_is_there_already_is_replaced(web, tmp_path):
    (tmp_path / "data.zip").write_bytes(FORBIDDEN)
    web.pages["/data.zip"] = (200, BODY)
    download([web.url("/data.zip")], SHA256, tmp_path / "data.zip")
    assert (tmp_path / "data.zip").read_bytes() == BODY


@pytest.mark.parametrize(
    ("status", "body"),
    [(403, FORBIDDEN), (404, b""), (500, BODY), (200, FORBIDDEN), (200, BODY[:-1]), (200, b"")],
)
def test_a_wrong_answer_is_never_saved_and_the_next_source_is_tried(web, tmp_path, status, body):
    web.pages |= {"/first": (status, body), "/second": (200, BODY)}
    with pytest.raises(ValueError) as raised:
        download([web.url("/first")], SHA256, tmp_path / "data.zip")
    assert names(tmp_path) == []
    assert web.url("/first") in str(raised.value)
    download([web.url("/first"), web.url("/second")], SHA256, tmp_path / "data.zip")
    assert (tmp_path / "data.zip").read_bytes() == BODY
    assert names(tmp_path) == ["data.zip"]


def test_all_failures_are_listed_with_what_to_do(web, tmp_path):
    web.pages |= {"/first": (403, FORBIDDEN), "/second": (200, FORBIDDEN)}
    # Nobody listens on port 9 of this machine.
    sources = [web.url("/first"), web.url("/second"), "http://127.0.0.1:9/third"]
    with pytest.raises(ValueError) as raised:
        download(sources, SHA256, tmp_path / "data.zip")
    sentence = str(raised.value)
    assert sentence.startswith(
        f"data.zip could not be fetched. Put the file with sha256 {SHA256} at "
        f"{tmp_path / 'data.zip'} by hand. Tried: {sources[0]}: 403"
    )
    assert hashlib.sha256(FORBIDDEN).hexdigest() in sentence
    assert all(source in sentence for source in sources)
    assert names(tmp_path) == []


def test_a_password_in_a_source_is_not_shown(web, tmp_path, caplog):
    web.pages["/data.zip"] = (403, FORBIDDEN)
    source = web.url("/data.zip").replace("http://", "http://someone:secret@")
    with caplog.at_level("DEBUG"), pytest.raises(ValueError) as raised:
        download([source], SHA256, tmp_path / "data.zip")
    assert "secret" not in str(raised.value) + caplog.text
    assert "403" in str(raised.value)


def test_a_release_is_found_on_the_index_that_pip_uses(web, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", web.url("/simple"))
    links = "".join(
        f'<a href="/files/{name}">{name}</a>'
        for name in ("tiny-0.1.tar.gz", "tiny-0.2.tar.gz", "tiny-0.2-py3-none-any.whl")
    )
    web.pages["/simple/tiny/"] = (200, f"<html><body>{links}</body></html>".encode())
    assert package_url("tiny", "0.2") == web.url("/files/tiny-0.2.tar.gz")
    with pytest.raises(ValueError) as raised:
        package_url("tiny", "0.3")
    assert str(raised.value) == "the package index has no source archive of tiny 0.3"
    with pytest.raises(ValueError, match="no source archive of other 1"):
        package_url("other", "1")


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
@pytest.mark.parametrize("path", ["Fold1/vali.txt", "train.txt", "Fold1", "rel-1/Fold1/", ""])
def test_a_file_that_is_not_there(archive, write, path):
    write(archive, FILES)
    with pytest.raises(ValueError) as raised:
        read(archive, path)
    assert str(raised.value) == f"{archive} holds 0 files named {path}, expected one"


@KINDS
@pytest.mark.parametrize("other", ["rel-2/Fold1/train.txt", "Fold1/train.txt"])
def test_two_such_files(archive, write, other):
    write(archive, [*FILES, (other, b"0 qid:1 1:9\n")])
    with pytest.raises(ValueError) as raised:
        read(archive, "Fold1/train.txt")
    assert str(raised.value) == f"{archive} holds 2 files named Fold1/train.txt, expected one"


@KINDS
def test_a_path_out_of_the_archive_is_never_written(archive, write, tmp_path):
    write(archive, [("../evil.txt", b"evil"), ("/tmp/evil.txt", b"evil"), *FILES])
    before = sorted(tmp_path.parent.rglob("*"))
    assert read(archive, "../evil.txt") == b"evil"
    assert read(archive, "Fold1/train.txt") == BODY
    assert sorted(tmp_path.parent.rglob("*")) == before


def test_a_link_in_a_tar_is_no_file(archive):
    with tarfile.open(archive, "w") as opened:
        entry = tarfile.TarInfo("Fold1/train.txt")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/hostname"
        opened.addfile(entry)
    with pytest.raises(ValueError, match=r"holds 0 files named Fold1/train\.txt"):
        read(archive, "Fold1/train.txt")


@KINDS
def test_a_cut_archive_is_refused(archive, write):
    """Plain tar has no checksum: a file cut in its middle must not pass for a whole one."""
    write(archive, FILES)
    whole = archive.read_bytes()
    # Only zeros fill the end of a tar's last block: without them nothing is lost.
    length = len(whole.rstrip(b"\0"))
    for share in (0, 0.01, 0.2, 0.5, 0.9):
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
    assert str(raised.value).startswith(f"{archive} is damaged (")
    assert str(raised.value).endswith("; delete it and run again")


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
