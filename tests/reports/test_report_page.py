"""The page in a real browser: it loads in silence, its controls work, and a hostile payload is text."""

import json
import re
import shutil
from itertools import combinations, count, pairwise
from types import SimpleNamespace

import pytest
from toy_history import MS, ToyRun, judgement, toy_run

from reports import write_report
from reports.page.page import embedded, page
from reports.run import Likelihood, LikelihoodPlace
from simulation.history.entries import Header
from simulation.history.history import History
from simulation.invariants import Violation

HOSTILE = "</script><script>window.owned=1</script><img src=x onerror='window.owned=2'>{{7*7}}\"'&amp;<!--"


def hostile_run():
    h = History(Header(scenario=HOSTILE, engine=HOSTILE, store=HOSTILE, version=HOSTILE, epoch=HOSTILE))
    h.append(0, "joined", consumer=HOSTILE)
    h.append(1 * MS, "published", HOSTILE, follows="\ud800\x00", fingerprint=HOSTILE)
    h.append(2 * MS, "published", "__proto__", follows=HOSTILE)
    h.append(3 * MS, "delivered", HOSTILE, HOSTILE, attempt=1)
    h.append(4 * MS, "rejected", HOSTILE, HOSTILE, because=HOSTILE)
    h.append(5 * MS, "parked", HOSTILE, HOSTILE)
    h.append(6 * MS, "fault", HOSTILE, HOSTILE, fault=HOSTILE)
    h.append(7 * MS, "command", "", HOSTILE, commands=[[HOSTILE]])
    h.append(8 * MS, "phase", phase=HOSTILE)
    broken = Violation(HOSTILE, 5 * MS, (HOSTILE,), (HOSTILE,), HOSTILE, (4, 5))
    return ToyRun(h, judgement([broken, broken], missing=(HOSTILE,)), HOSTILE, replay=HOSTILE)


def unknown_run():
    return ToyRun(History(Header()), judgement(verdict="unknown", reasons=("nothing happened",), missing=("parked",)))


RUNS = {
    "nothing at all": unknown_run,
    "no violation": lambda: toy_run(40),
    "one event": lambda: toy_run(1, 1),
    "a violation": lambda: toy_run(60, 3, forget=0.2),
    "a thousand violations, 500 consumers": lambda: toy_run(3500, 500, forget=0.9),
    "ten thousand events": lambda: toy_run(10_000, 40, forget=0.001),
    "a hostile payload": hostile_run,
}


@pytest.fixture(scope="module")
def browser():
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,1000"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield started
    started.quit()


@pytest.fixture
def opened(browser, tmp_path):
    """Open the page of a run; afterwards the console must be silent."""
    numbers = count()

    def open_page(run, **options):
        file = tmp_path / f"{next(numbers)}.html"
        file.write_text(page(run, **options), "utf-8", "backslashreplace")
        browser.get(file.as_uri())
        return Page(browser)

    yield open_page
    said = browser.get_log("browser")
    assert [line for line in said if "readback" not in line["message"]] == []  # these tests look at the pixels


class Page:
    """What a person does with the page."""

    def __init__(self, browser):
        self.browser = browser

    def find(self, css):
        return self.browser.find_element("css selector", css)

    def view(self):
        self.run("cancelAnimationFrame(pending); draw();")
        record = self.run("return {...document.getElementById('diagram').dataset}")
        return SimpleNamespace(**{name: int(value) for name, value in record.items()})

    def run(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def press(self, *keys):
        for key in keys:
            self.find("#diagram").send_keys(key)
        return self.view()

    def click(self, css):
        self.run(f"document.querySelector({json.dumps(css)}).click()")
        return self.view()

    def pick(self, css, value):
        self.run(
            f"const e = document.querySelector({json.dumps(css)}); e.value = {json.dumps(value)};"
            "e.dispatchEvent(new Event('input')); e.dispatchEvent(new Event('change'));"
        )
        return self.view()


@pytest.mark.parametrize("size", RUNS)
def test_it_loads_without_a_word_on_the_console(opened, size):
    run = RUNS[size]()
    shown = opened(run)
    assert shown.find(".verdict").text == run.judgement.verdict
    assert shown.view().lanes >= 0
    assert shown.run("draw(); return new Set(pen.getImageData(0, 0, canvas.width, canvas.height).data).size") > 2


def test_a_hostile_payload_is_text(opened):
    shown = opened(hostile_run())
    shown.press(".", ".", "Enter", "n")
    assert shown.run("return window.owned") is None
    assert shown.find("h1").text.endswith(HOSTILE)
    assert shown.find(".because").text == HOSTILE
    assert shown.find("#replay").text == HOSTILE
    assert HOSTILE in shown.find("#told").text
    assert shown.run("return document.querySelectorAll('img').length") == 0
    assert shown.run("return document.scripts.length") == 2


def test_opens_at_the_first_violation(opened):
    """It opens at the first violation and jumps to the others."""
    run = toy_run(200, 20, forget=0.2)
    shown, count = opened(run), len(run.judgement.violations)
    first = shown.view()
    assert (first.violation, first.events) == (0, 1)
    assert first.lanes < 20
    second = shown.click("#next")
    assert second.violation == 1
    assert second.__dict__ != first.__dict__
    assert shown.press("p", "p").violation == count - 1
    assert shown.pick("#violation", "1").violation == 1
    assert shown.find("#told .witness")
    assert shown.click("[data-violation='0']").violation == 0


def test_zooms_and_moves(opened):
    """It zooms and moves by keyboard and button."""
    shown = opened(toy_run(100, 5))
    whole = shown.press("0")
    closer = shown.press("+")
    assert closer.to - closer.__dict__["from"] < whole.to - whole.__dict__["from"]
    assert shown.press("\ue014").to > closer.to
    assert shown.click("#whole").to == whole.to
    assert shown.click("#closer").to < whole.to
    assert shown.click("#farther").to == pytest.approx(whole.to, rel=0.01)
    assert shown.press("]").__dict__ == shown.press("[").__dict__


def test_it_shows_only_an_event_or_its_chain(opened):
    h = History(Header())
    for n, (event, follows) in enumerate((("root", ""), ("left", "root"), ("leaf", "left"), ("other", ""))):
        h.append(n * MS, "published", event, follows=follows)
        h.append(n * MS, "delivered", event, f"c{n}")
    h.append(9 * MS, "phase", phase="quiet")
    shown = opened(ToyRun(h, judgement()))
    assert shown.view().events == 4
    alone = shown.pick("#event", "left")
    assert (alone.events, alone.lanes, alone.marks) == (1, 1, 2)
    chain = shown.pick("#scope", "chain")
    assert (chain.events, chain.lanes) == (3, 3)
    assert "leaf was delivered to c2" in shown.find("#told").text
    assert "other" not in shown.find("#told").text
    assert shown.press("\ue00c").events == 4
    assert shown.find("#event").get_attribute("value") == ""


def test_hovering(opened):
    """Hovering shows what lies under the pointer."""
    shown = opened(toy_run(5, 2, seed=2))
    middle = "const m = diagram.marks.find((m) => kindOf(m) === 'handling ok'); look(m[AT] - 5e4, m[AT] + 5e4); draw();"
    place = "const [top, height] = band(m); return [xOf(m[AT] + m[SPAN] / 2), top + height / 2]"
    x, y = shown.run(middle + place)
    event = f"{{offsetX: {x}, offsetY: {y}}}"
    shown.run(f"const e = {event}; pick(nearest(e.offsetX, e.offsetY), e.offsetX, e.offsetY)")
    assert re.search(r"c\d handled e\d for .* ms, delivered", shown.find("#tip").text)


def test_real_pointer(opened, browser):
    """A real pointer hovers drags and reads the charts."""
    from selenium.webdriver import ActionChains

    shown = opened(toy_run(300, 4))
    before = shown.view()
    canvas = shown.find("#diagram")
    ActionChains(browser).drag_and_drop_by_offset(canvas, -150, 0).perform()
    assert shown.view().to > before.to
    chart = browser.find_elements("css selector", "[data-chart]")[2]
    browser.execute_script("arguments[0].scrollIntoView()", chart)
    ActionChains(browser).move_to_element(chart).perform()
    assert "parked" in shown.find("[data-read='2']").text


def test_steps_through_the_marks_are_announced(opened):
    shown = opened(toy_run(5, 2))
    shown.press(".")
    assert re.match(r"[\d.]+ s: e0 was published — ", shown.find("#status").text)


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_label_lies_on_a_bar_or_on_another(opened, browser, width):
    """A release, a rescue and a refusal within a moment of each other, at the end of a long wait."""
    h = History(Header())
    h.append(1 * MS, "published", "a")
    h.append(1 * MS, "published", "b", follows="a")
    h.append(2 * MS, "delivered", "b", "c1", delivery=1)
    h.append(3 * MS, "parked", "b", "c1")
    h.append(4 * MS, "delivered", "a", "c2", delivery=2)
    h.append(900_000 * MS, "refused", "a", "c2", because="seen")
    h.append(900_000 * MS, "started", "b", "c2", via="rescued")
    h.append(900_004 * MS, "ended", "b", "c2", outcome="ok")
    before = browser.get_window_size()
    browser.set_window_size(width, 1000)
    try:
        shown = opened(ToyRun(h, judgement()))
        boxes = shown.run("draw(); return taken")
        labels = shown.run("return labels.map((each) => each.words)")
    finally:
        browser.set_window_size(before["width"], before["height"])
    assert {"b parked", "b rescued", "refused a"} <= set(labels)
    touching = [
        (one, other)
        for one, other in combinations(boxes, 2)
        if one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
    ]
    assert touching == []


def test_folds(opened):
    """A long wait is folded and can be unfolded."""
    h = History(Header())
    h.append(1 * MS, "published", "a")
    h.append(2 * MS, "delivered", "a", "c1")
    h.append(3 * MS, "parked", "a", "c1")
    h.append(900_000 * MS, "started", "a", "c1", via="rescued")
    h.append(900_002 * MS, "ended", "a", "c1", outcome="ok")
    shown = opened(ToyRun(h, judgement()))
    assert shown.view().folds == 1
    gap = "return xOf(900e6) - xOf(3e3)"
    narrow = shown.run(gap)
    there_and_back = "return [0, 3e3, 5e8, 900e6, 901e6].map((at) => Math.round(unfolded(folded(at))))"
    assert shown.run(there_and_back) == [0, 3e3, 5e8, 900e6, 901e6]
    assert shown.click("#fold").folds == 0
    assert shown.run(gap) > 5 * narrow


def test_wire_beside_an_event(opened):
    """The wire is shown beside an event but not in a fold."""
    h = History(Header())
    h.append(1 * MS, "published", "a")
    h.append(2 * MS, "delivered", "a", "c1")
    h.append(3 * MS, "command", "", "c1", commands=[["GET", "k"]])
    h.append(4 * MS, "started", "a", "c1", via="delivered")
    h.append(5 * MS, "command", "", "c2", commands=[["GET", "elsewhere"]])
    h.append(400_000 * MS, "command", "", "c1", commands=[["GET", "idle"]])
    h.append(900_000 * MS, "ended", "a", "c1", outcome="ok")
    shown = opened(ToyRun(h, judgement()))
    assert shown.view().marks == 6
    alone = shown.pick("#event", "a")
    assert (alone.folds, alone.marks) == (1, 4)


def test_what_the_cap_leaves_out_is_said(opened):
    shown = opened(toy_run(400, 5), cap=500)
    assert re.search(r"has [\d,]+ marks; the diagram draws 500 of them", shown.find("#cut").text)
    assert "complete until" in shown.find("#cut").text
    assert not opened(toy_run(40, 5)).browser.find_elements("css selector", "#cut")


def test_on_paper_the_diagram_is_light(opened, browser):
    shown = opened(toy_run(40))
    dark = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dark)
    try:
        corner = "draw(); return [...pen.getImageData(2, canvas.height - 3, 1, 1).data.slice(0, 3)]"
        shown.run("repaint()")
        assert max(shown.run(corner)) < 80
        shown.run("dispatchEvent(new Event('beforeprint'))")
        assert min(shown.run(corner)) > 200
        shown.run("dispatchEvent(new Event('afterprint'))")
        assert max(shown.run(corner)) < 80
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_many_lanes(opened):
    """A page of many lanes says how many more there are and goes there."""
    shown = opened(toy_run(400, 300))
    said = lambda: shown.find("#lanes").text.split("\n")  # noqa: E731
    assert said()[0] == "▲ none above"
    first, below = (int(re.search(pattern, shown.find("#lanes").text)[1]) for pattern in (r"(\d+) of 300", r"▼ (\d+)"))
    assert first + below == 300
    assert not shown.find("#above").is_enabled()
    seen = 1
    while shown.find("#below").is_enabled():
        shown.click("#below")
        seen += 1
        assert seen < 300
    assert said()[-1] == "▼ none below"
    assert "to c300," in shown.find("#lanes").text
    shown.click("#above")
    assert shown.find("#below").is_enabled()


def test_a_page_of_few_lanes_says_nothing_of_more(opened):
    shown = opened(toy_run(40, 3))
    shown.view()
    assert not shown.find("#lanes").is_displayed()


def test_legend(opened):
    """The legend explains what the run has and only that."""
    h = History(Header())
    h.append(1 * MS, "published", "a")
    h.append(2 * MS, "delivered", "a", "c1", attempt=1)
    h.append(3 * MS, "delivered", "a", "c1", attempt=10)
    shown = opened(ToyRun(h, judgement()))
    names = "return [...document.querySelectorAll('#legend span')].map((e) => e.textContent)"
    assert shown.run(names) == ["published", "delivery", "delivery, not the first"]
    pictures = (
        "return new Set([...document.querySelectorAll('#legend svg')].map((e) => e.innerHTML + e.style.color)).size"
    )
    shown = opened(toy_run(300, 4, forget=0.2))
    drawn = shown.run(names)
    assert {"handled", "failed", "part of a violation"} <= set(drawn)
    assert shown.run(pictures) == len(drawn)


def test_legend_has_every_mark(opened):
    """Every kind of mark that is drawn is in the legend."""
    shown = opened(toy_run(5))
    drawn = "return [...Object.keys(arrows), ...Object.keys(signs)].filter((kind) => !(also[kind] || kind in looks))"
    assert shown.run(drawn) == []


SHADED = """
const shaded = [], fill = pen.fillRect;
pen.fillRect = (left, top, width) => shaded.push([pen.globalAlpha, Math.round(left), Math.round(left + width)]);
drawLikelihood();
pen.fillRect = fill;
return [shaded, [0, 300000, 600000, diagram.end].map((at) => Math.round(xOf(at))), pen.globalAlpha];
"""


def test_likelihoods(opened):
    """The probability of a violation is drawn and printed."""
    places = [
        LikelihoodPlace(0, 0.1, 0.05, 0.2, "c1 delivered <b>a</b>"),
        LikelihoodPlace(300 * MS, 0.5, 0.3, 0.7, "c1 started a"),
        LikelihoodPlace(600 * MS, 1.0, 0.9, 1.0, "c2 started b"),
    ]
    run = toy_run(60, 3, forget=0.2)
    shown = opened(run, likelihood=Likelihood("nothing-lost", places, certain=2))
    shown.run("lookAt(0, diagram.end); draw();")
    shaded, edges, after = shown.run(SHADED)
    assert [(left, right) for _, left, right in shaded] == list(pairwise(edges))
    assert sorted(shaded) == shaded, "the likelier, the redder"
    assert after == 1
    rows = shown.run("return [...document.querySelectorAll('#likelihood tbody tr')].map((e) => e.textContent)")
    assert [row.split(" (")[0] for row in rows] == ["0 s10%", "0.3 s50%", "0.6 s100%"]
    assert "<b>a</b>" in rows[0]
    assert shown.run("return document.querySelectorAll('#likelihood .witness').length") == 1
    assert shown.run("return document.querySelector('[data-chart] .share').getAttribute('d')").count("V") == 2
    assert "the redder, the likelier" in shown.find("#legend").text
    assert "how likely" not in opened(run).find("#legend").text


TOUCH = """
const touch = (kind, id, x) => canvas.dispatchEvent(new PointerEvent(kind, {pointerId: id, pointerType: 'touch',
    clientX: canvas.getBoundingClientRect().left + x, clientY: canvas.getBoundingClientRect().top + 100}));
canvas.setPointerCapture = () => {};
"""


def test_two_fingers_zoom_and_one_finger_moves(opened):
    shown = opened(toy_run(100, 5))
    look = "return [view.from, view.to - view.from]"
    shown.press("0")
    _, whole = shown.run(look)
    shown.run(TOUCH + "touch('pointerdown', 1, 300); touch('pointerdown', 2, 400); touch('pointermove', 2, 600);")
    begin, closer = shown.run(look)
    assert closer == pytest.approx(whole / 3, rel=0.01)
    shown.run(TOUCH + "touch('pointerup', 1, 300); touch('pointermove', 2, 500); touch('pointerup', 2, 500);")
    moved, as_close = shown.run(look)
    assert moved > begin
    assert as_close == pytest.approx(closer)
    assert shown.run("return held.size") == 0


def test_a_long_wait_is_folded_in_the_charts_too(opened):
    h = History(Header())
    for n in range(50):
        h.append(n * MS, "published", f"e{n}")
        h.append(n * MS, "started", f"e{n}", "c1", handling=n, via="delivered")
        h.append(n * MS + 500, "ended", f"e{n}", "c1", handling=n, outcome="ok")
    h.append(900_000 * MS, "published", "late")
    h.append(900_000 * MS, "started", "late", "c1", handling=50, via="delivered")
    h.append(900_001 * MS, "ended", "late", "c1", handling=50, outcome="ok")
    shown = opened(ToyRun(h, judgement()))
    assert shown.find(".chart .folded").text == "15 min"
    left = shown.run(
        "return [...document.querySelectorAll('.chart circle.dot[r=\"3\"]')].map((e) => +e.getAttribute('cx'))"
    )
    assert len({round(x) for x in left}) == len(left) == 51
    read = "const e = document.querySelector('[data-chart]'); return [run.grid[0], run.grid[run.grid.length - 1]]"
    assert shown.run(read) == [0, 900.001]


def test_controls_have_names(opened):
    """Every control can be reached and has a name."""
    shown = opened(toy_run(60, 3, forget=0.2))
    nameless = """return [...document.querySelectorAll('button, select, input, canvas, [role=img]')].filter((e) =>
        !(e.textContent.trim() || e.ariaLabel || (e.labels && e.labels.length) || e.title)).map((e) => e.outerHTML)"""
    assert shown.run(nameless) == []
    shown.run("document.getElementById('event').focus()")
    assert shown.run("return document.querySelectorAll('[tabindex=\"-1\"]').length") == 0


# -- without a browser ---------------------------------------------------------------------------------------------


def test_nothing_is_fetched():
    text = page(toy_run(50, forget=0.3), beside=["history.jsonl"])
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["data:,", "history.jsonl"]
    assert "default-src 'none'" in text
    assert "@import" not in text
    assert "url(" not in text


def test_no_data_can_end_its_element():
    record = {"a": "</script>", "b": "<!--", "c": "&lt;", "d": "\u2028\ud800"}
    text = str(embedded(record))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == record


def test_contents(tmp_path):
    """A report is a table two pictures and a page."""
    (tmp_path / "history.jsonl").write_text("")
    files = write_report(tmp_path, toy_run(30))
    names = ["events.parquet", "latency.png", "followers.png", "report.html"]
    assert [file.name for file in files] == names
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([*names, "history.jsonl"])
    assert '<a href="history.jsonl">' in (tmp_path / "report.html").read_text()


def test_a_page_of_lone_surrogates_can_be_written(tmp_path):
    write_report(tmp_path, hostile_run())
    assert "\\ud800" in (tmp_path / "report.html").read_text("utf-8")


def test_page_has_the_run():
    run = toy_run(200, 4, forget=0.3)
    text = page(run)
    assert run.replay in text
    assert run.judgement.violations[0].because in text
    assert f"All {len(run.judgement.violations)} violations" in text
    assert "name = &#34;toy&#34;" in text


BEYOND = """
const wide = document.documentElement.clientWidth;
return [...document.querySelectorAll("body *")].filter((e) => {
  const box = e.getBoundingClientRect();
  return box.width && box.right > wide + 1 && getComputedStyle(e).visibility !== "hidden"
    && !e.closest("pre, #told, .scroll");
}).map((e) => e.outerHTML.slice(0, 120));
"""

OVERLAPPING = """
const found = [];
for (const svg of document.querySelectorAll("svg.chart")) {
  const boxes = [...svg.querySelectorAll("text")].filter((t) => t.style.visibility !== "hidden");
  for (const [i, one] of boxes.entries()) for (const other of boxes.slice(i + 1)) {
    const a = one.getBoundingClientRect(), b = other.getBoundingClientRect();
    if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
        && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 2)
      found.push(one.textContent + " / " + other.textContent);
  }
}
return found;
"""


@pytest.mark.parametrize("width", [360, 768, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("run", ["a violation", "ten thousand events", "nothing at all"])
def test_layout_is_not_cut(browser, opened, width, scheme, run):
    """Nothing is cut and no labels lie over each other."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    try:
        shown = opened(RUNS[run]())
        assert shown.run("return document.documentElement.scrollWidth") <= width
        assert shown.run(BEYOND) == []
        assert shown.run(OVERLAPPING) == []
        letters = shown.run(
            "return [...document.querySelectorAll('svg.chart text')].map((t) => t.getBoundingClientRect().height)"
        )
        assert all(height >= 11 for height in letters if height)
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


MARKS = "return Object.values(looks).filter(([, shape]) => shape !== 'band' && shape !== 'pale').map(([name]) => name)"
CONTRAST = """
const luminance = (hex) => {
  const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
  const linear = parts.map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
};
repaint();
const [one, other] = [luminance(colour[arguments[0]]), luminance(colour.paper)];
return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_mark_can_be_seen(browser, opened, scheme):
    """Each mark has twice the luminance of the paper, or half of it; a running handler has a border, too."""
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    try:
        shown = opened(toy_run(40))
        names = set(shown.run(MARKS)) - {"open"}
        assert {"acknowledged", "delivery", "ok", "bad"} <= names
        assert {name: ratio for name in names if (ratio := shown.run(CONTRAST, name)) < 2} == {}
    finally:
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
