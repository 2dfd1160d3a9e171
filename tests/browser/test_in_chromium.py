"""The pages in a real Chromium: both widths, both themes, live, by keyboard, silent, and with nothing from afar."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx2
import pytest

from coordinator_bench import SMALL, MemoryPublisher
from door_bench import BOOTSTRAP, door
from fake_prm import VERSION, fake_prm
from finished_evaluation import begun, evaluated
from finished_run import finished, finished_study
from mstar_coordinator.export.report import render_report
from pages_bench import client_of, indexed, start, work
from publish_bench import finished_run, sample
from small_png import small_png
from tour import asked, save, walk
from web_bench import serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="the pages were not tried in a browser: no playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="the pages were not tried: no axe-core")
pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(CHROMIUM is None, reason="the pages were not tried in a browser: apt-get install chromium"),
]
WIDTHS = (1440, 390)
BAD = ("serious", "critical")
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
    with serving(fake_prm()) as prm:
        yield from client_of(home, publisher, prm_url=prm)


@pytest.fixture(scope="module")
def ended(client: httpx2.Client, publisher: MemoryPublisher, home: Path) -> list[str]:
    """Two runs that are done to their end, whose recipes differ."""
    return [finished(client, publisher, home, seed=1, changes=one) for one in ({}, {"evolution.n": 8})]


@pytest.fixture(scope="module")
def measured(client: httpx2.Client, publisher: MemoryPublisher, home: Path, ended: list[str]) -> list[str]:
    """Evaluations: one that is done, whose items are hostile, and one that was cancelled before it began."""
    done = evaluated(client, publisher, home, begun(client, home, samples=4))
    indexed(client, f"/runs/{done}/responses")
    other = begun(client, home, sets=["ai2d"])
    client.post(f"/v1/evaluations/{other}/cancel", json={})
    return [done, other]


@pytest.fixture(scope="module")
def study_id(client: httpx2.Client, publisher: MemoryPublisher, home: Path, ended: list[str]) -> str:
    """A study that is done, with its comparisons."""
    return finished_study(client, publisher, home)


@pytest.fixture(scope="module")
def run_id(client: httpx2.Client, publisher: MemoryPublisher, home: Path, measured: list[str], study_id: str) -> str:
    """A run with hostile questions in the index, which goes on. Begun last: the others do every step they find."""
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
    # Chromium logs every answer above 399: images that a test left out, and what it was refused for.
    assert [one for one in wrong if not re.search(r"status of 4(01|04|22)", one)] == []


def _is_foreign(url: str) -> bool:
    return urlsplit(url).hostname not in ("127.0.0.1", None)


def serious(page: "playwright.Page") -> dict[str, str]:
    """What axe-core finds on a page that bars somebody from it: rule and the first place."""
    found = axe.Axe().run(page).response["violations"]
    return {one["id"]: one["nodes"][0]["html"][:200] for one in found if one["impact"] in BAD}


def pages(run_id: str, ended: list[str], measured: list[str], study_id: str) -> tuple[str, ...]:
    run, done = f"/runs/{run_id}", f"/runs/{ended[0]}"
    side_by_side = "/compare?" + "&".join(f"run={one}" for one in ended)
    responses = (f"{run}/responses?text=step", f"{done}/responses?iteration=1")
    steps = (f"{run}/steps?stage=it01/generate", f"{done}/steps?step=it01/select/0000")
    return (
        "/runs",
        "/new?recipe=demo",
        run,
        done,
        *responses,
        *steps,
        f"{run}/clone",
        "/compare",
        side_by_side,
        "/evaluations",
        *(f"/runs/{one}" for one in measured),
        f"/runs/{measured[0]}/responses?iteration=1",
        "/studies",
        f"/studies/{study_id}",
        "/scoring",
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_is_silent_and_has_no_serious_barrier(
    browser: "playwright.Browser",
    client: httpx2.Client,
    run_id: str,
    ended: list[str],
    measured: list[str],
    study_id: str,
    width: int,
    theme: str,
) -> None:
    with watched(browser, width, theme) as page:
        for path in pages(run_id, ended, measured, study_id):
            page.goto(f"{client.base_url}".rstrip("/") + path, wait_until="load")
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{path} is {wide} pixels wider than {width}"
            assert serious(page) == {}, path


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_report_fits_a_phone_and_has_no_serious_barrier(
    browser: "playwright.Browser", tmp_path: Path, theme: str
) -> None:
    run = finished_run().model_copy(update={"name": "n" * 80})
    shown = [sample([f"{'step' * 30}\n\n## Answer\n\n42", "B"], [True, False], [0.7, None])]
    (tmp_path / "report.html").write_text(render_report(run, shown), encoding="utf-8")
    with watched(browser, 390, theme) as page:
        page.goto(f"file://{tmp_path}/report.html", wait_until="load")
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") is (theme == "dark")
        assert serious(page) == {}


def test_a_run_is_seen_to_change_without_a_reload(browser: "playwright.Browser", client: httpx2.Client) -> None:
    run_id = start(client)
    with watched(browser, 1440, "light") as page:
        page.goto(f"{client.base_url}".rstrip("/") + f"/runs/{run_id}", wait_until="load")
        page.get_by_text("running", exact=True).wait_for()
        client.patch(f"/v1/runs/{run_id}", json={"tags": ["seen"]})
        client.post(f"/v1/runs/{run_id}/cancel", json={})
        page.get_by_text("cancelled", exact=True).wait_for()
        page.get_by_role("link", name="seen").wait_for()


def test_a_run_says_when_nothing_answers_and_goes_on_when_it_does(
    browser: "playwright.Browser", client: httpx2.Client
) -> None:
    run_id = start(client)
    page = browser.new_page()
    page.set_default_timeout(SECONDS)
    page.goto(f"{client.base_url}".rstrip("/") + f"/runs/{run_id}", wait_until="load")
    page.route("**/now", lambda route: route.abort())
    page.get_by_text("The coordinator does not answer. What you see is from before.").wait_for()
    page.unroute("**/now")
    page.get_by_text("The coordinator does not answer").wait_for(state="hidden")
    client.post(f"/v1/runs/{run_id}/cancel", json={})
    page.close()


def test_a_run_that_another_tab_deletes_is_said_to_be_gone(
    browser: "playwright.Browser", client: httpx2.Client
) -> None:
    made = start(client)
    with watched(browser, 390, "light") as page:
        page.goto(f"{client.base_url}".rstrip("/") + f"/runs/{made}", wait_until="load")
        client.post(f"/v1/runs/{made}/cancel", json={})
        page.get_by_text("cancelled").first.wait_for()
        gone = client.request("DELETE", f"/v1/runs/{made}", params={"confirm": made}, json={})
        assert gone.status_code == 200, gone.text
        page.evaluate("soon()")
        page.get_by_text("has been deleted").wait_for()
        page.reload(wait_until="load")
        assert "does not exist" in page.get_by_role("alert").inner_text()
        assert serious(page) == {}


def test_a_run_that_goes_on_after_its_end_is_followed_again_and_keeps_the_focus(
    browser: "playwright.Browser", client: httpx2.Client
) -> None:
    made = start(client)
    with watched(browser, 1440, "light") as page:
        page.goto(f"{client.base_url}".rstrip("/") + f"/runs/{made}", wait_until="load")
        step = f"/internal/v1/steps/{client.get(f'/v1/runs/{made}/steps').json()['data'][0]['id']}"
        epoch = client.post(f"{step}/claim", json={"worker": "w"}).json()["epoch"]
        client.post(f"{step}/release", json={"epoch": epoch, "error": "bad data", "retryable": False})
        page.locator(".state", has_text="failed").wait_for()
        page.get_by_role("button", name="Resume").press("Enter")
        page.locator(".state", has_text="running").wait_for()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Pause", "Resume is gone"
        page.get_by_role("button", name="Tags").focus()
        client.post(f"/v1/runs/{made}/pause", json={})
        page.locator(".state", has_text="paused").wait_for()
        assert page.evaluate("document.activeElement.textContent") == "Tags"
        client.post(f"/v1/runs/{made}/cancel", json={})
        page.locator(".state", has_text="cancelled").wait_for()
        assert page.locator("#said").inner_text() == "", "what was said of it before is no longer so"


@pytest.mark.parametrize("scripts", [False, True])
def test_without_scripts_a_page_says_what_it_cannot_do(
    browser: "playwright.Browser", client: httpx2.Client, scripts: bool
) -> None:
    context = browser.new_context(java_script_enabled=scripts)
    page = context.new_page()
    for path in ("/runs", "/new?recipe=demo", "/scoring"):
        page.goto(f"{client.base_url}".rstrip("/") + path, wait_until="load")
        # Locators pass over `noscript`, so what was laid out is asked for.
        seen = context.new_cdp_session(page).send("DOMSnapshot.captureSnapshot", {"computedStyles": []})
        shown = [seen["strings"][one] for part in seen["documents"] for one in part["layout"]["text"] if one >= 0]
        assert any("Without JavaScript these pages can be read" in one for one in shown) is not scripts, path
    context.close()


def test_a_name_without_a_space_makes_no_page_wider(browser: "playwright.Browser", client: httpx2.Client) -> None:
    recipe = json.loads(SMALL.model_dump_json()) | {"name": "n" * 80}
    made = client.post("/v1/runs", json={"recipe": recipe}).json()["id"]
    client.post(f"/v1/runs/{made}/cancel", json={})
    with watched(browser, 390, "light") as page:
        for path in (f"/runs/{made}", f"/runs/{made}/responses", f"/runs/{made}/steps?stage=prepare", "/runs"):
            page.goto(f"{client.base_url}".rstrip("/") + path, wait_until="load")
            root = "document.documentElement"
            assert page.evaluate(f"{root}.scrollWidth <= {root}.clientWidth"), path


def test_a_run_that_is_watched_asks_for_a_key_once_another_tab_has_signed_out(
    browser: "playwright.Browser", tmp_path: Path
) -> None:
    with serving(door(tmp_path)) as url, watched(browser, 1440, "light") as page:
        page.goto(f"{url}/sign-in", wait_until="load")
        page.get_by_label("Key").fill(BOOTSTRAP["run_admin"])
        page.get_by_label("Key").press("Enter")
        page.wait_for_url(f"{url}/runs")
        headers = {"Authorization": f"Bearer {BOOTSTRAP['run_admin']}"}
        started = httpx2.post(f"{url}/v1/runs", json={"recipe": "demo"}, headers=headers, timeout=60).json()
        page.goto(f"{url}/runs/{started['id']}", wait_until="load")
        other = page.context.new_page()
        other.goto(f"{url}/studies", wait_until="load")
        other.get_by_role("button", name="Sign out").click()
        other.wait_for_url(f"{url}/sign-in")
        page.get_by_label("Key").wait_for()
        assert page.url.startswith(f"{url}/sign-in") and started["id"] in page.url
        assert "Your session has ended" in page.get_by_role("alert").inner_text()


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


HOSTILE = "0.9 is <img src=x onerror=alert(1)> `id` $HOME \\n 'q' \"d\" ки"


def test_own_responses_are_scored_and_the_request_can_be_taken_along(
    browser: "playwright.Browser", client: httpx2.Client, tmp_path: Path
) -> None:
    name = "it's $(id) a chart.png"
    (tmp_path / name).write_bytes(small_png(3))
    with watched(browser, 390, "light") as page:
        page.goto(f"{client.base_url}".rstrip("/") + "/scoring", wait_until="load")
        page.get_by_label("Images").set_input_files(tmp_path / name)
        page.get_by_role("img", name=f"image 1: {name}").wait_for()
        page.get_by_role("button", name="Add a response").click()
        page.get_by_label("Question").fill("What is <b>it</b>?")
        page.get_by_label("Separator between steps").fill("ки\\n")
        page.get_by_label("Response 1").fill(f"0.2 unsure ки\nmaybe {HOSTILE}")
        page.get_by_label("Response 3").fill(f"{HOSTILE}\n0.8 so")
        page.get_by_role("button", name="Score", exact=True).click()
        page.get_by_text(f"Scored by {VERSION}").wait_for()
        ranked = page.locator("#ranked > li")
        assert [line.split("score ")[0] for line in ranked.all_inner_texts()] == ["response 3", "response 1"]
        assert ranked.nth(0).locator(".step").count() == 2 and "0.90" in ranked.nth(0).inner_text()
        assert ranked.nth(1).locator(".step").nth(1).inner_text().startswith(f"maybe {HOSTILE}"[:20])
        assert ranked.nth(1).locator(".step").nth(0).evaluate("e => getComputedStyle(e).backgroundColor") == (
            "rgba(213, 94, 0, 0.45)"
        )
        programs = {"sh": page.locator("#curl").inner_text(), "py": page.locator("#python").inner_text()}
        assert serious(page) == {}
    for ending, text in programs.items():
        (tmp_path / f"request.{ending}").write_text(text)
    shell = subprocess.run(["sh", "request.sh"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(shell.stdout)["results"]
    assert [one["score"] for one in found] == [0.2, 0.8]
    assert found[1]["steps"][0]["text"] == HOSTILE.removesuffix(" ки")
    command = [sys.executable, "request.py"]
    python = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60)
    assert python.stdout.splitlines() == ["0 0.2 [0.2, 0.5]", "1 0.8 [0.9, 0.8]"]


def test_what_cannot_be_scored_is_said_at_its_place(
    browser: "playwright.Browser", client: httpx2.Client, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("no image")
    (tmp_path / "a.png").write_text("no image either")
    with watched(browser, 1440, "dark") as page:
        page.goto(f"{client.base_url}".rstrip("/") + "/scoring", wait_until="load")
        send = page.get_by_role("button", name="Score", exact=True)
        send.click()
        page.get_by_text("Type the question").wait_for()
        page.get_by_label("Question").fill("What?")
        send.click()
        page.get_by_text("Paste at least one response").wait_for()
        page.get_by_label("Images").set_input_files(tmp_path / "a.txt")
        page.get_by_text("a.txt is not a PNG").wait_for()
        page.get_by_label("Response 1").fill("0.7 is fine")
        page.get_by_label("Response 2").fill("broken")
        send.click()
        page.get_by_text("not scored").wait_for()
        assert "the response is broken" in page.locator("#ranked > li").nth(1).inner_text()
        assert serious(page) == {}
        page.get_by_label("Images").set_input_files(tmp_path / "a.png")
        page.get_by_role("button", name="Remove a.png").wait_for()
        send.click()
        page.locator("#w-images", has_text="is not a picture").wait_for()
        # Beside the field, where a browser would open the file instead of this page.
        drop = """() => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File(["x"], "b.exe", { type: "application/x-msdownload" }));
          const dropped = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
          return document.querySelector("h1").dispatchEvent(dropped);
        }"""
        assert page.evaluate(drop) is False
        page.get_by_text("b.exe is not a PNG").wait_for()


RECORDED = os.environ.get("MSTAR_TOUR_URL")
"""A coordinator with a finished demo run and a PRM: the walk goes there, and its pictures into the documentation."""


@pytest.mark.parametrize("theme", ["light", "dark"] if RECORDED else ["light"])
@pytest.mark.parametrize("width", WIDTHS if RECORDED else (1440,))
def test_the_walk_of_the_tour(
    browser: "playwright.Browser", request: pytest.FixtureRequest, tmp_path: Path, width: int, theme: str
) -> None:
    if not RECORDED:
        request.getfixturevalue("ended")
    url = RECORDED or str(request.getfixturevalue("client").base_url).rstrip("/")
    own = asked(url, tmp_path)
    with watched(browser, width, theme) as page:
        stops = []
        for stop in walk(page, url, own):
            stops.append(stop)
            if RECORDED:
                save(page.screenshot(), f"{stop}-{width}-{theme}")
        assert stops == ["runs", "run", "steps", "responses", "scoring"]


def test_what_a_form_is_refused_for_stands_at_its_field(browser: "playwright.Browser", client: httpx2.Client) -> None:
    before = len(client.get("/v1/runs").json()["data"])
    with watched(browser, 390, "dark") as page:
        page.goto(f"{client.base_url}".rstrip("/") + "/new?recipe=demo", wait_until="load")
        field = page.locator(".field").filter(has=page.locator("[name='evolution.n']"))
        send = page.get_by_role("button", name="Start the run")
        for typed, said in (("", "write a whole number"), ("0", "greater than or equal to")):
            field.locator("input").fill(typed)
            send.click()
            field.locator(".wrong", has_text=said).wait_for()
            assert field.locator("input").get_attribute("aria-invalid") == "true"
            assert field.locator("input").evaluate("e => e === document.activeElement")
        page.get_by_text("see the field that is marked").wait_for()
    assert len(client.get("/v1/runs").json()["data"]) == before, "nothing was started"


def test_a_double_click_starts_one_run_and_a_server_that_is_away_is_told(
    browser: "playwright.Browser", client: httpx2.Client
) -> None:
    before = len(client.get("/v1/runs").json()["data"])
    address = f"{client.base_url}".rstrip("/")
    page = browser.new_page()
    page.set_default_timeout(SECONDS)
    page.goto(f"{address}/new?recipe=demo", wait_until="load")
    page.route("**/v1/runs", lambda route: route.abort())
    send = page.get_by_role("button", name="Start the run")
    send.click()
    page.get_by_text("The coordinator does not answer").wait_for()
    page.unroute("**/v1/runs")
    page.locator("[name='model.min_pixels']").fill("")
    send.dblclick()
    page.wait_for_url("**/runs/r-*")
    page.wait_for_load_state("load")
    assert len(client.get("/v1/runs").json()["data"]) == before + 1
    page.go_back(wait_until="load")
    assert send.is_enabled()
    page.close()


def test_downloads_are_what_their_checksums_say(
    browser: "playwright.Browser", client: httpx2.Client, ended: list[str], home: Path, tmp_path: Path
) -> None:
    folder = home / "runs" / ended[0] / "policy"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(bytes(range(256)) * 500)
    with watched(browser, 1440, "light") as page:
        page.goto(f"{client.base_url}".rstrip("/") + f"/runs/{ended[0]}", wait_until="load")
        with page.expect_download() as begun:
            page.get_by_role("link", name="policy", exact=True).click()
        begun.value.save_as(tmp_path / "policy.tar")
        page.locator(f"a[href='/v1/runs/{ended[0]}/downloads/policy/files']").click()
        listed = json.loads(page.locator("body").inner_text())["data"]
    with tarfile.open(tmp_path / "policy.tar") as archive:
        (member,) = (one for one in archive.getmembers() if one.isfile())
        read = archive.extractfile(member)
        assert read is not None and member.name.endswith(listed[0]["name"])
        assert hashlib.sha256(read.read()).hexdigest() == listed[0]["sha256"]


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_a_key_is_asked_for_and_traded_for_a_session(
    browser: "playwright.Browser", tmp_path: Path, width: int, theme: str
) -> None:
    with serving(door(tmp_path)) as url, watched(browser, width, theme) as page:
        page.goto(f"{url}/studies", wait_until="load")
        assert urlsplit(page.url).path == "/sign-in"
        assert serious(page) == {}
        page.get_by_label("Key").fill("a wrong one")
        page.get_by_label("Key").press("Enter")
        page.get_by_text("this key opens nothing here").wait_for()
        page.get_by_label("Key").fill(BOOTSTRAP["run_admin"])
        page.get_by_label("Key").press("Enter")
        page.get_by_role("heading", name="Studies").wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.wait_for_url(f"{url}/sign-in")
        page.goto(f"{url}/runs", wait_until="load")
        assert urlsplit(page.url).path == "/sign-in"
