"""What a person sees who opens the link that `register` prints: MLflow's own pages, in a real browser.

One server, one project and one browser for all tests. The pictures lie in pytest's folders, and in `OCTAVO_SCREENSHOTS`
where that names a folder.
"""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect, sync_playwright

from octavo.evaluation.scorecard import Scorecard
from octavo.project import paths
from octavo.promotion.decision import load_decision
from octavo.reporting import report
from octavo_mlflow.registry import versions
from tests import servers
from tests.octavo_mlflow import measured_project
from tests.octavo_mlflow.conftest import Octavo
from tests.octavo_mlflow.measured_project import Project

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WITHOUT_ASSISTANT = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
"""Else MLflow opens a side panel over the page of whoever comes for the first time."""
PATIENCE = 60_000
"""Milliseconds."""
CHAMPION = re.compile(r"^@\s*champion$")
CHARTS = ("accuracy", "size_bytes", "latency_us")
FAILING, PROMOTED = "onnx_fp16", "litert_int8_qat"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium: apt-get install chromium"),
]


@dataclass(frozen=True)
class Site:
    """A registered project behind MLflow's pages."""

    project: Project
    address: str
    link: str
    """The one that was printed, at the server's address."""


@pytest.fixture(scope="module")
def site(empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("seen")
    with pytest.MonkeyPatch.context() as here:
        here.chdir(folder)
        project = measured_project.make(folder, empty_store)
        size = project.scorecards.card(FAILING).size
        project.change(FAILING, size=size.model_copy(update={"ratio": 0.75}))
        report.write(project.scorecards, load_decision(paths.DECISION), {}, {}, {})
        printed = str(project.register())
        place = re.search(r"http://127\.0\.0\.1:5000(\S+)$", printed)
        assert place
        arguments = ["server", "--backend-store-uri", "sqlite:///mlflow.db", "--workers", "1"]
        with servers.mlflow(arguments, folder) as address:
            yield Site(project, address, address + place[1])


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserContext]:
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = chromium.new_context(viewport={"width": 1440, "height": 900})
        context.set_default_timeout(PATIENCE)
        context.add_init_script(WITHOUT_ASSISTANT)
        yield context
        chromium.close()


@pytest.fixture
def page(browser: BrowserContext) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def keep(page: Page, folder: Path, name: str) -> None:
    path = folder / f"{name}.png"
    page.screenshot(path=path)
    if wanted := os.environ.get("OCTAVO_SCREENSHOTS"):
        shutil.copy(path, wanted)


def rows(page: Page) -> list[list[str]]:
    """The words of each row, which MLflow draws in several parts, from top to bottom."""
    words: dict[int, list[str]] = {}
    for part in page.locator("[role=row][row-index]").all():
        words.setdefault(int(part.get_attribute("row-index") or 0), []).extend(part.inner_text().split())
    return [words[index] for index in sorted(words)]


def shown(card: Scorecard) -> set[str]:
    """The figures of a variant as the table has them."""
    latency = card.latency.batches["1"]
    figures = (card.quality.top1, card.size.file_bytes, card.size.ratio, latency.p50_us, latency.ratio)
    return {f"{figure:.4g}" for figure in figures}


def test_the_link_shows_all_variants_with_figures_and_verdict_the_fastest_first(
    site: Site, page: Page, tmp_path: Path
) -> None:
    page.goto(site.link)
    expect(page.get_by_text("10 matching runs")).to_be_visible()
    for name in (*CHARTS, "size_ratio", "latency_ratio", "verdict"):
        expect(page.get_by_role("columnheader", name=name, exact=True).first).to_be_visible()
    keep(page, tmp_path, "runs")
    cards = sorted(site.project.scorecards.scorecards, key=lambda card: card.latency.batches["1"].p50_us)
    for row, card in zip(rows(page), cards, strict=True):
        verdict = {site.project.params.baseline: "baseline", FAILING: "fail"}.get(card.variant, "pass")
        assert {card.variant, verdict} | shown(card) <= set(row)


def test_each_figure_has_a_chart_of_all_variants(site: Site, page: Page, tmp_path: Path) -> None:
    page.goto(f"{site.link}&compareRunsMode=CHART")
    for name in CHARTS:
        page.get_by_placeholder("Search metric charts").fill(f"^{name}$")
        expect(page.locator(".js-plotly-plot")).to_have_count(1)
        expect(page.get_by_text(name, exact=True)).to_be_visible()
        expect(page.locator(".js-plotly-plot .bars .point")).to_have_count(10)
    keep(page, tmp_path, "charts")


def test_runs_that_are_ticked_are_compared(site: Site, page: Page, tmp_path: Path) -> None:
    page.goto(site.link)
    expect(page.get_by_text("10 matching runs")).to_be_visible()
    for index in (0, 1):
        page.locator(f"[role=row][row-index='{index}'] input[type=checkbox]").first.click()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_text("Comparing 2 Runs")).to_be_visible()
    for name in ("litert_int8_qat", "litert_int8_static", *CHARTS):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    keep(page, tmp_path, "compare")


def test_a_promoted_version_shows_what_it_is_and_who_promoted_it(
    site: Site, page: Page, octavo: Octavo, tmp_path: Path
) -> None:
    assert octavo("promote", PROMOTED)[0] == 0
    page.goto(f"{site.address}/#/models/octavo")
    expect(page.get_by_text("octavo rollback [VERSION]")).to_be_visible()
    expect(page.get_by_text(CHAMPION)).to_be_visible()
    keep(page, tmp_path, "model")

    champion = site.project.client().get_model_version_by_alias("octavo", "champion")
    assert versions.variant(champion) == PROMOTED
    page.goto(f"{site.address}/#/models/octavo/versions/{champion.version}?workflowType=machine_learning")
    expect(page.get_by_text(f"{PROMOTED}: Classifies images into 3 classes")).to_be_visible()
    expect(page.get_by_text(CHAMPION)).to_be_visible()
    for name in ("accuracy", "verdict", "promote.by", "promote.when"):
        expect(page.get_by_role("cell", name=name, exact=True)).to_be_visible()
    keep(page, tmp_path, "version")
    with page.expect_popup() as opened:
        page.get_by_role("link", name="pictures and the report").click()
    expect(opened.value.get_by_text("confusion.svg")).to_be_visible()
    opened.value.close()


def test_a_runs_pictures_and_report_are_drawn(site: Site, page: Page, tmp_path: Path) -> None:
    page.goto(site.link)
    page.get_by_role("link", name=PROMOTED, exact=True).click()
    page.get_by_role("tab", name="Artifacts").click()
    for picture in ("confusion.svg", "tradeoff.svg"):
        page.get_by_text(picture, exact=True).click()
        image = page.get_by_alt_text(picture, exact=True)
        expect(image).to_be_visible()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
        keep(page, tmp_path, picture)
    page.get_by_text("report.html", exact=True).click()
    expect(page.frame_locator("iframe").get_by_role("heading", name="Octavo report")).to_be_visible()
    keep(page, tmp_path, "report")
