"""The pages in a real Chromium: both widths, both themes, live, by keyboard, silent, and with nothing from afar."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from coordinator_bench import MemoryPublisher
from finished_run import finished
from pages_bench import client_of, indexed, start, work

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="the pages were not tried in a browser: no playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the pages were not tried: no axe-core")
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(CHROMIUM is None, reason="the pages were not tried in a browser: apt-get install chromium"),
]
WIDTHS = (1440, 390)
SECONDS = 60_000
"""Milliseconds, generous: the machine may be busy."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chromium")


@pytest.fixture(scope="module")
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


@pytest.fixture(scope="module")
def client(home: Path, publisher: MemoryPublisher) -> Iterator[httpx2.Client]:
    yield from client_of(home, publisher)


@pytest.fixture(scope="module")
def ended(client: httpx2.Client, publisher: MemoryPublisher, home: Path) -> list[str]:
    """Two runs that are done to their end, whose recipes differ."""
    return [finished(client, publisher, home, seed=1, changes=one) for one in ({}, {"evolution.n": 8})]


@pytest.fixture(scope="module")
def run_id(client: httpx2.Client, publisher: MemoryPublisher, home: Path, ended: list[str]) -> str:
    """A run with hostile questions in the index, which goes on. Begun after `ended`, which does every step it finds."""
    made = start(client)
    work(client, publisher, home, "it01/generate/0000")
    indexed(client, f"/runs/{made}/responses")
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield made
        made.close()


@contextmanager
def watched(browser: "playwright.Browser", width: int, theme: str) -> Iterator["playwright.Page"]:
    """A page of that width and theme; whatever it complains of or asks of another host fails the test."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
    context.set_default_timeout(SECONDS)
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda asked: wrong.append(f"a dialog: {asked.message}"))
    page.on("request", lambda asked: wrong.append(asked.url) if _is_foreign(asked.url) else None)
    yield page
    context.close()
    # The example's images are content hashes without a picture behind them.
    assert [one for one in wrong if "404" not in one] == []


def _is_foreign(url: str) -> bool:
    return urlsplit(url).hostname not in ("127.0.0.1", None)


def pages(run_id: str, ended: list[str]) -> tuple[str, ...]:
    run, done = f"/runs/{run_id}", f"/runs/{ended[0]}"
    side_by_side = "/compare?" + "&".join(f"run={one}" for one in ended)
    responses = (f"{run}/responses?text=step", f"{done}/responses?iteration=1")
    return ("/runs", "/new?recipe=demo", run, done, *responses, f"{run}/clone", "/compare", side_by_side, "/studies")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_is_silent_and_has_no_serious_barrier(
    browser: "playwright.Browser", client: httpx2.Client, run_id: str, ended: list[str], width: int, theme: str
) -> None:
    with watched(browser, width, theme) as page:
        for path in pages(run_id, ended):
            page.goto(f"{client.base_url}".rstrip("/") + path, wait_until="load")
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{path} is {wide} pixels wider than {width}"
            found = axe.Axe().run(page).response["violations"]
            serious = [one for one in found if one["impact"] in ("serious", "critical")]
            assert {one["id"]: one["nodes"][0]["html"][:200] for one in serious} == {}, path


def test_a_run_is_seen_to_change_without_a_reload(browser: "playwright.Browser", client: httpx2.Client) -> None:
    run_id = start(client)
    with watched(browser, 1440, "light") as page:
        page.goto(f"{client.base_url}".rstrip("/") + f"/runs/{run_id}", wait_until="load")
        page.get_by_text("running", exact=True).wait_for()
        client.patch(f"/v1/runs/{run_id}", json={"tags": ["seen"]})
        client.post(f"/v1/runs/{run_id}/cancel", json={})
        page.get_by_text("cancelled", exact=True).wait_for()
        page.get_by_role("link", name="seen").wait_for()


def test_the_keyboard_reaches_every_question(browser: "playwright.Browser", client: httpx2.Client, run_id: str) -> None:
    with watched(browser, 1440, "light") as page:
        page.goto(f"{client.base_url}".rstrip("/") + f"/runs/{run_id}/responses?iteration=1", wait_until="load")
        focused = "[...document.querySelectorAll('.sample')].indexOf(document.activeElement)"
        places = []
        for key in ("j", "j", "j", "k"):
            page.keyboard.press(key)
            places.append(page.evaluate(focused))
        assert places == [0, 1, 1, 0]
        page.keyboard.press("?")
        assert page.locator("#keys").is_visible()
        page.keyboard.press("Escape")
        page.keyboard.press("/")
        page.keyboard.type("absent")
        page.keyboard.press("Enter")
        page.get_by_text("No response meets this filter").wait_for()
        assert urlsplit(page.url).query == "iteration=1&text=absent", "only what is set is in the address"


def test_marked_runs_are_compared(browser: "playwright.Browser", client: httpx2.Client, ended: list[str]) -> None:
    with watched(browser, 1440, "light") as page:
        page.goto(f"{client.base_url}".rstrip("/") + "/runs", wait_until="load")
        for run in ended:
            page.locator(f"input[value='{run}']").check()
        page.get_by_role("button", name="Compare the marked runs").click()
        page.get_by_role("heading", name="Where the recipes differ").wait_for()
        assert page.get_by_role("img", name="accuracy, %").count() == 2
        page.get_by_role("link", name="put first").click()
        page.wait_for_url(lambda url: [one for _, one in parse_qsl(urlsplit(url).query)] != ended[::-1])
