"""distilrank.download: servers that misbehave."""

import hashlib
import socket

import pytest
import requests
from served import Page
from tiny import names

from distilrank import download as module
from distilrank.download import download, package_url

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
    (tmp_path / ".data.zip.part").write_bytes(BODY[:10])
    download([web.url("/data.zip")], SHA256, tmp_path / "data.zip")
    assert web.asked == []
    assert names(tmp_path) == ["data.zip"], "what a download left is of no more use"


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
    web.pages |= {"/first": (403, FORBIDDEN), "/second": Page(FORBIDDEN, kind="text/html")}
    # Nobody listens on port 9 of this machine.
    sources = [web.url("/first"), web.url("/second"), "http://127.0.0.1:9/third"]
    with pytest.raises(ValueError) as raised:
        download(sources, SHA256, tmp_path / "data.zip", len(BODY))
    sentence = str(raised.value)
    assert sentence.startswith(
        f"data.zip could not be fetched. Put the file with sha256 {SHA256} and 14,000 bytes at "
        f"{tmp_path / 'data.zip'} by hand. Tried: {sources[0]}: 403 Forbidden, text/html, "
        f"39 bytes, beginning '403 Forbidden'; {sources[1]}: 200 OK, text/html, 39 bytes, "
        f"expected 14,000, beginning '403 Forbidden'; {sources[2]}: "
    )
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (Page(FORBIDDEN), "200 OK, application/zip, 39 bytes: a web page, not the file, beginning"),
        (Page(b"  <!DOCTYPE html><p>Sign in", length=None), "zip: a web page, not the file, "
         "beginning 'Sign in'"),
        (Page(b""), "200 OK, application/zip, 0 bytes: it sent nothing"),
        (Page(b"x" * 14000), f"it has sha256 {hashlib.sha256(b'x' * 14000).hexdigest()}, expected "
         f"{SHA256}; 200 OK, application/zip, 14,000 bytes, beginning 'xxx"),
        (Page(bytes([200, 1] * 7000)), "application/zip, 14,000 bytes"),
        (Page(b"no such key", 404, "text/plain"), "404 Not Found, text/plain, 11 bytes, beginning "
         "'no such key'"),
    ],
)  # fmt: skip
def test_a_source_that_is_wrong_is_described(web, tmp_path, page, said):
    web.pages["/data"] = page
    with pytest.raises(ValueError) as raised:
        download([web.url("/data")], SHA256, tmp_path / "data.zip")
    assert said in str(raised.value)
    assert names(tmp_path) == []


@pytest.mark.parametrize("length", [-1, None])
@pytest.mark.parametrize("body", [BODY + b"x", BODY[:-1]])
def test_a_file_of_another_size_is_refused(web, tmp_path, body, length):
    """With the length said beforehand nothing is read; without, no more than the size."""
    web.pages["/data"] = Page(body, length=length)
    with pytest.raises(ValueError) as raised:
        download([web.url("/data")], SHA256, tmp_path / "data.zip", len(BODY))
    assert "expected 14,000" in str(raised.value) or "of 14,000 bytes" in str(raised.value)
    assert not (tmp_path / "data.zip").exists()


def test_a_server_without_end_is_left_at_the_size(web, tmp_path):
    web.pages["/data"] = Page(b"x" * (64 << 20), length=None)
    with pytest.raises(ValueError, match=r"it has [0-9,]+ bytes, expected 14,000"):
        download([web.url("/data")], SHA256, tmp_path / "data.zip", len(BODY))
    assert names(tmp_path) == []


BIG = hashlib.sha256(b"").digest() * 100_000  # 3.2 MB
BIG_SHA256 = hashlib.sha256(BIG).hexdigest()


@pytest.fixture
def waited(monkeypatch):
    """The waits between tries, which take no time here."""
    found = []
    monkeypatch.setattr(module.time, "sleep", found.append)
    return found


TAGS = pytest.mark.parametrize(
    "told",
    [{}, {"etag": '"v1"'}, {"etag": 'W/"v1"', "modified": "Tue, 24 Nov 2026 18:42:01 GMT"}],
    ids=["nothing", "etag", "weak etag"],
)


@TAGS
@pytest.mark.parametrize("size", [None, len(BIG)])
def test_a_server_that_breaks_off_is_asked_to_go_on(web, tmp_path, waited, told, size):
    web.pages["/big"] = Page(BIG, breaks=[2_000_000, 100, 50], **told)
    download([web.url("/big")], BIG_SHA256, tmp_path / "big.zip", size)
    assert (tmp_path / "big.zip").read_bytes() == BIG
    assert web.ranges == [None, "bytes=2000000-", "bytes=2000100-", "bytes=2000150-"]
    assert waited == [1, 3, 10]
    assert names(tmp_path) == ["big.zip"]


def test_a_server_that_breaks_off_again_and_again_is_given_up(web, tmp_path, waited):
    web.pages |= {"/big": Page(BIG, breaks=[10] * 100), "/whole": Page(BIG)}
    download([web.url("/big"), web.url("/whole")], BIG_SHA256, tmp_path / "big.zip")
    assert (tmp_path / "big.zip").read_bytes() == BIG
    assert web.asked == ["/big"] * (1 + len(module.WAITS)) + ["/whole"]
    assert web.ranges[-1] == "bytes=40-", "another source goes on where the first one ended"


@TAGS
def test_the_next_run_goes_on_where_the_last_one_ended(web, tmp_path, waited, told):
    page = web.pages["/big"] = Page(BIG, breaks=[1_000_000, 0, 0, 0, 0], **told)
    with pytest.raises(ValueError) as raised:
        download([web.url("/big")], BIG_SHA256, tmp_path / "big.zip")
    assert "could not be fetched (1,000,000 bytes have come and are kept)" in str(raised.value)
    assert names(tmp_path) == [".big.zip.part", ".big.zip.part.json"]
    page.breaks.clear()
    web.ranges.clear()
    download([web.url("/big")], BIG_SHA256, tmp_path / "big.zip")
    assert web.ranges == ["bytes=1000000-"]
    assert (tmp_path / "big.zip").read_bytes() == BIG
    assert names(tmp_path) == ["big.zip"]


def test_a_server_that_ignores_ranges_starts_over(web, tmp_path, waited):
    web.pages["/big"] = Page(BIG, breaks=[2_000_000], ranges=False)
    download([web.url("/big")], BIG_SHA256, tmp_path / "big.zip")
    assert (tmp_path / "big.zip").read_bytes() == BIG
    assert web.ranges == [None, "bytes=2000000-"]


def test_a_server_that_always_starts_over_and_breaks_off_is_given_up(web, tmp_path, waited):
    """It swings between a little and much: that is no progress."""
    web.pages["/big"] = Page(BIG, breaks=[2_000_000, 10] * 50, ranges=False)
    with pytest.raises(ValueError, match="could not be fetched"):
        download([web.url("/big")], BIG_SHA256, tmp_path / "big.zip")
    assert waited == [1, 3, 10]


def test_a_file_that_changed_on_the_server_starts_over(web, tmp_path, waited):
    (tmp_path / ".big.zip.part").write_bytes(b"old" * 100)
    partial = module._Partial(tmp_path / "big.zip")
    partial.start(web.url("/big"), requests.structures.CaseInsensitiveDict(etag='"v1"'))
    partial.file.write_bytes(b"old" * 100)
    web.pages["/big"] = Page(BIG, etag='"v2"')
    download([web.url("/big")], BIG_SHA256, tmp_path / "big.zip")
    assert (tmp_path / "big.zip").read_bytes() == BIG
    assert web.ranges == ["bytes=300-"], "one request was enough: If-Range said so"


def test_an_older_part_that_does_not_fit_is_fetched_anew(web, tmp_path):
    """No tag tells: the checksum of the whole does, and the source gets a second chance."""
    (tmp_path / ".big.zip.part").write_bytes(b"old" * 100)
    web.pages["/big"] = Page(BIG)
    download([web.url("/big")], BIG_SHA256, tmp_path / "big.zip")
    assert (tmp_path / "big.zip").read_bytes() == BIG
    assert web.ranges == ["bytes=300-", None]


@pytest.mark.parametrize("part", [BIG, BIG + b"x" * 5, b"x" * len(BIG)], ids=["all", "more", "bad"])
@pytest.mark.parametrize("size", [None, len(BIG)])
def test_a_part_beyond_the_servers_end(web, tmp_path, part, size):
    """416: all has come already, or what has come is of another file."""
    (tmp_path / ".big.zip.part").write_bytes(part)
    web.pages["/big"] = Page(BIG)
    download([web.url("/big")], BIG_SHA256, tmp_path / "big.zip", size)
    assert (tmp_path / "big.zip").read_bytes() == BIG
    assert names(tmp_path) == ["big.zip"]


def test_a_web_page_in_place_of_the_rest_keeps_what_has_come(web, tmp_path, waited):
    """A source that now wants a login must not cost the two gigabytes that are there."""
    (tmp_path / ".big.zip.part").write_bytes(BIG[:1000])
    pages = (Page(FORBIDDEN, ranges=False), Page(FORBIDDEN), Page(FORBIDDEN, 403), Page(b"", 206))
    web.pages |= {f"/{place}": page for place, page in enumerate(pages)}
    with pytest.raises(ValueError, match="1,000 bytes have come and are kept"):
        download([web.url(path) for path in web.pages], BIG_SHA256, tmp_path / "big.zip")
    assert (tmp_path / ".big.zip.part").read_bytes() == BIG[:1000]


def test_a_wrong_file_that_is_there_stays_until_a_right_one_has_come(web, tmp_path):
    (tmp_path / "data.zip").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"Tried: .*data\.zip itself: it has sha256 "):
        download([web.url("/gone")], SHA256, tmp_path / "data.zip")
    assert (tmp_path / "data.zip").read_bytes() == b"mine"


def test_a_full_disk_is_no_fault_of_the_source(web, tmp_path, monkeypatch):
    web.pages |= {"/first": Page(BODY), "/second": Page(BODY)}

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_save", full)
    with pytest.raises(OSError, match="No space left"):
        download([web.url("/first"), web.url("/second")], SHA256, tmp_path / "data.zip")
    assert web.asked == ["/first"]


def test_a_server_that_falls_silent_is_left(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TIMEOUT", (1, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/data"
        with pytest.raises(ValueError, match="timed out"):
            download([address], SHA256, tmp_path / "data.zip")


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
