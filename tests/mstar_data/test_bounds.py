"""What the paths of a data set may lead to: links inside of what is allowed, and never out of it."""

import os
import threading
from pathlib import Path

import pytest

from mstar.errors import InvalidDataset
from mstar.reach import Reach
from mstar_data import bounds as module
from mstar_data.bounds import Bounds, OutOfBounds, bounds_of, walked


def put(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def read(bounds: Bounds, path: Path) -> bytes:
    with bounds.open(path) as file:
        return file.read()


def test_the_deepest_folder_that_holds_a_path_decides(tmp_path: Path) -> None:
    home = tmp_path / "runs"
    reach = Reach(root=tmp_path, home=home, closed=(tmp_path / "projects",))
    run = home / "r-0123456789abcd"
    for own, path, admitted in (
        ("set", "set/train/0.png", True),
        ("set", "shared/0.png", True),
        ("set", "projects/blue/0.png", False),
        ("set", "runs/notes/0.png", True),
        ("set", "runs/r-0123456789abcd/cot/0.png", False),
        ("set", "runs/.mstar/imports/0.png", False),
        ("runs/r-0123456789abcd/cot", "runs/r-0123456789abcd/cot/0.png", True),
        ("runs/r-0123456789abcd/cot", "runs/r-0123456789abcd/prm/0.png", False),
        (".", "set/0.png", True),
        (".", "projects/blue/0.png", False),
        (".", f"runs/{run.name}/0.png", False),
        ("set", "../0.png", False),
    ):
        found = Bounds((tmp_path / own,), reach).admits((tmp_path / path).resolve())
        assert found is admitted, (own, path)


def test_a_home_that_is_the_root_itself_keeps_its_runs_closed(tmp_path: Path) -> None:
    bounds = Bounds((tmp_path / "own" / "a",), Reach(root=tmp_path, home=tmp_path))
    assert bounds.admits(tmp_path / "own" / "b" / "0.png")
    assert not bounds.admits(tmp_path / "r-0123456789abcd" / "policy" / "0.png")
    assert not bounds.admits(tmp_path / ".mstar" / "images" / "0.png")


def test_what_binds_holds_for_a_source_that_leads_elsewhere_by_now(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", put(tmp_path / "secret" / "0.png")
    put(root / "set" / "0.png", "own")
    for binding, said in ((True, None), (False, b"x")):
        bounds = bounds_of(root / "set", Reach(root=root, binding=binding))
        assert read(bounds, root / "set" / "0.png") == b"own"
        (root / "set").rename(root / "away")
        (root / "set").symlink_to(secret.parent)
        with pytest.raises(OutOfBounds):
            bounds.open(root / "set" / "0.png")
        # A person may name a link on their own machine; a service opens what was admitted.
        late = bounds_of(root / "set", Reach(root=root, binding=binding))
        if said is None:
            with pytest.raises(OutOfBounds):
                late.open(root / "set" / "0.png")
        else:
            assert read(late, root / "set" / "0.png") == said
        (root / "set").unlink()
        (root / "away").rename(root / "set")


def test_a_path_that_becomes_a_link_while_it_is_opened_is_refused(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", put(tmp_path / "secret" / "0.png")
    real = put(root / "set" / "images" / "0.png", "own")
    bounds = bounds_of(root / "set", Reach(root=root))
    assert bounds.found(real) == real
    (root / "set" / "images").rename(root / "set" / "before")
    (root / "set" / "images").symlink_to(secret.parent)
    # As between the comparison and the opening: the path was found to be inside, and is a link now.
    for base in (root, root / "set"):
        with pytest.raises(OSError, match=r"Not a directory|symbolic links"):
            module._opened(base, real)
    (root / "set" / "images").unlink()
    (root / "set" / "before").rename(root / "set" / "images")
    real.unlink()
    real.symlink_to(secret)
    with pytest.raises(OSError, match="symbolic links"):
        module._opened(root, real)


def test_swapping_links_all_the_time_never_opens_what_is_outside(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", put(tmp_path / "secret" / "0.png", "secret")
    put(root / "inside" / "0.png", "own")
    link, other = root / "link", root / "other"
    link.symlink_to("inside")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for target in (secret.parent, root / "inside"):
                other.symlink_to(target)
                other.replace(link)

    thread = threading.Thread(target=swap)
    thread.start()
    bounds, read = bounds_of(root / "link" / "..", Reach(root=root)), []
    try:
        for _ in range(2000):
            try:
                with Bounds((root,), bounds.reach).open(link / "0.png") as file:
                    read.append(file.read())
            except (OSError, OutOfBounds):
                continue
    finally:
        stop.set()
        thread.join()
    assert read and set(read) == {b"own"}


def test_a_pipe_in_the_place_of_a_file_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "0.png")
    with pytest.raises(OSError, match="not a file"):
        bounds_of(tmp_path).open(tmp_path / "0.png")


def test_a_folder_that_may_be_passed_but_not_listed_is_passed(tmp_path: Path) -> None:
    put(tmp_path / "set" / "0.png")
    (tmp_path / "set").chmod(0o111)
    try:
        assert read(bounds_of(tmp_path), tmp_path / "set" / "0.png") == b"x"
    finally:
        (tmp_path / "set").chmod(0o755)


def test_a_file_of_a_hubs_cache_leads_to_its_blobs(tmp_path: Path) -> None:
    snapshot = tmp_path / "datasets--a--b" / "snapshots" / "1234" / "data"
    put(tmp_path / "datasets--a--b" / "blobs" / "abcd")
    snapshot.mkdir(parents=True)
    (snapshot / "train.parquet").symlink_to("../../../blobs/abcd")
    for source in (snapshot.parent, snapshot, snapshot / "train.parquet"):
        assert read(bounds_of(source), snapshot / "train.parquet") == b"x"


def test_what_lies_beyond_the_source_is_noted(tmp_path: Path) -> None:
    put(tmp_path / "shared" / "0.png")
    put(tmp_path / "set" / "1.png")
    bounds = bounds_of(tmp_path / "set", Reach(root=tmp_path))
    bounds.open(tmp_path / "set" / "1.png").close()
    assert bounds.beyond == set()
    bounds.open(tmp_path / "set" / ".." / "shared" / "0.png").close()
    assert bounds.beyond == {tmp_path / "shared"}


def test_a_walk_follows_links_inside_of_the_bounds_and_ends(tmp_path: Path) -> None:
    source = tmp_path / "root" / "set"
    put(source / "train" / "a.jsonl")
    put(source / ".hidden" / "b.jsonl")
    put(tmp_path / "root" / "more" / "c.jsonl")
    put(tmp_path / "secret" / "d.jsonl")
    (source / "validation").symlink_to("../more")
    (source / "again").symlink_to(".")
    (tmp_path / "root" / "more" / "back").symlink_to("../set")
    (source / "test").symlink_to("../../secret")
    (source / "nowhere").symlink_to("nothing")
    bounds = bounds_of(source, Reach(root=tmp_path / "root"))
    found = sorted(str(path.relative_to(source)) for path in walked(bounds, source))
    assert found == ["test", "train/a.jsonl", "validation/c.jsonl"]
    assert ".hidden/b.jsonl" in {str(path.relative_to(source)) for path in walked(bounds, source, hidden=True)}


def test_links_to_links_without_end_are_refused(tmp_path: Path) -> None:
    for number in range(16):
        (tmp_path / str(number)).mkdir()
    for number in range(15):
        for name in ("a", "b", "c"):
            (tmp_path / str(number) / name).symlink_to(tmp_path / str(number + 1))
    with pytest.raises(InvalidDataset, match="more than 10000 linked folders"):
        list(walked(bounds_of(tmp_path / "0", Reach(root=tmp_path)), tmp_path / "0"))
