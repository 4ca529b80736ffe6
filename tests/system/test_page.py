"""The status page in a real browser, in front of a scripted source."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.lab.browser import ENTER, TAB, Browser
from tests.lab.figures import ONE, PEERS, TWO, VNI_READY, row
from tests.lab.fixtures import skipped_if_missing
from tests.lab.served import leaf, served
from tests.lab.wait import wait_until
from vtep.addr import Vni
from vtep.observe.history import HistoryEntry
from vtep.observe.model import Sync, VrfStatus

HOSTILE = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with skipped_if_missing(), Browser(tmp_path_factory.mktemp("browser")) as window:
        yield window


@pytest.fixture
def browser(window: Browser) -> Iterator[Browser]:
    window.complaints()
    yield window
    window.go("about:blank")


def shown(browser, selector, text):
    """Wait until a person can read this there."""
    wait_until(lambda: text in browser.text(selector), 15, f"{text!r} in {selector}")


def test_the_page_shows_readiness_peers_vnis_and_events_and_breaks_no_rule_of_its_own(browser):
    with served(leaf()) as port:
        browser.go(f"http://127.0.0.1:{port}/")
        shown(browser, "#state", "Not ready")
        shown(browser, "#problems", "VNI 200 is not ready: device-down")
        shown(browser, "#tiles", "4 of 9")
        shown(browser, "#peers", "hold timer expired")
        shown(browser, "#advertising", "Ports on Ethernet segments: 1 forwarding")
        shown(browser, "#vnis", "not-ready")
        shown(browser, "#events", "contested")
        complaints = browser.complaints()

    assert complaints == []


def test_what_changes_is_seen_without_a_reload(browser):
    source = leaf(troubled=False)
    with served(source) as port:
        browser.go(f"http://127.0.0.1:{port}/")
        shown(browser, "#state", "Ready")
        shown(browser, "#gap", "all 4 rows installed")
        source.now += 2
        source.put(row(2), row(3, "pending"))
        source.record(HistoryEntry("move", VNI_READY, row(2).mac, TWO, ONE, TWO, "higher-seq", "moved"))
        shown(browser, "#state", "Not ready")
        shown(browser, "#events", "10.0.0.1 → 10.0.0.2")
        shown(browser, "#gap", "short of")
        points = browser.run("return document.querySelector('#curve .wanted').getAttribute('d')")

    assert points.count("L") >= 1


def test_the_last_hour_is_there_at_once_and_what_is_to_be_mended_says_what_helps(browser):
    with served(leaf()) as port:
        browser.go(f"http://127.0.0.1:{port}/")
        shown(browser, "#problems", "vtep macs --state pending")
        shown(browser, "#refused", "rt-mismatch")
        shown(browser, "#advertising", "no neighbor")
        points = browser.run("return document.querySelector('#curve .wanted').getAttribute('d')")

    assert points.count("L") >= 50


def test_a_problem_links_to_what_the_page_has_of_it(browser):
    with served(leaf()) as port:
        browser.go(f"http://127.0.0.1:{port}/")
        shown(browser, "#problems", "peer 10.0.0.2 is down")
        links = browser.run(
            "return [...document.querySelectorAll('#problems a')].map((link) => link.getAttribute('href'))"
        )
        browser.resize(800, 500)
        browser.click("#problems a[href='#peers']")
        wait_until(lambda: browser.run("return location.hash === '#peers' && scrollY > 0"), 15, "the peers in view")
        browser.resize(1280, 1000)

    assert set(links) == {"#vnis", "#macs", "#peers", "#refused", "#advertising"}


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("172.16.0.1", "the bridge answers: yes"),
        ("10.0.0.2", "vtep macs --vtep 10.0.0.2"),
        ("200", "VNI 200 is not-ready: device-down"),
        ("999", "not configured"),
    ],
)
def test_an_address_and_a_vni_can_be_asked_for_as_well(browser, typed, told):
    with served(leaf()) as port:
        browser.go(f"http://127.0.0.1:{port}/")
        shown(browser, "#state", "Not ready")
        browser.type("#mac", typed + ENTER)
        shown(browser, "#explain", told)


def test_a_leaf_with_something_to_mend_is_yellow(browser):
    source = leaf(troubled=False)
    source.become(reload_error="leaf.toml:3: vni: 0 is not a valid VNI")
    with served(source) as port:
        browser.go(f"http://127.0.0.1:{port}/")
        shown(browser, "#state", "Degraded")
        shown(browser, "#problems", "the changed configuration was refused")
        looks = browser.run("return document.getElementById('state').className")

    assert "warn" in looks


@pytest.mark.parametrize("by_button", [False, True], ids=["enter", "button"])
def test_a_mac_that_is_typed_in_is_explained_and_the_address_is_a_link_to_it(browser, by_button):
    with served(leaf()) as port:
        browser.go(f"http://127.0.0.1:{port}/")
        shown(browser, "#state", "Not ready")
        browser.type("#mac", "0200.0000.0003" + ("" if by_button else ENTER))
        if by_button:
            browser.click("#search button")
        shown(browser, "#explain", "failed behind 10.0.0.1: No buffer space available")
        shown(browser, "#explain .stop", "Written")
        place = browser.run("return location.hash")

        browser.go("about:blank")
        browser.go(f"http://127.0.0.1:{port}/{place}")
        shown(browser, "#explain", "No buffer space available")


def test_the_keyboard_alone_reaches_the_explanation_of_a_mac_in_the_events(browser):
    with served(leaf()) as port:
        browser.go(f"http://127.0.0.1:{port}/")
        shown(browser, "#events", "02:00:00:00:00:04")
        for _ in range(30):
            browser.press(TAB)
            if browser.run("return document.activeElement.hash || ''").startswith("#mac=02:00:00:00:00:04"):
                break
        browser.press(ENTER)
        shown(browser, "#explain", "a static entry of port veth3")


def test_a_text_that_is_not_a_mac_is_answered_in_words(browser):
    with served(leaf()) as port:
        browser.go(f"http://127.0.0.1:{port}/#mac=nonsense")
        shown(browser, "#explain", "is not a valid MAC address")
        shown(browser, "#state", "Not ready")


def test_hostile_text_stays_text_wherever_it_comes_from(browser):
    source = leaf()
    peer = replace(PEERS[1], reason=HOSTILE)
    source.become(feed=replace(source.status().feed, peers=(peer,)), why=HOSTILE, complete=False, version=HOSTILE)
    source.record(HistoryEntry("peer-down", peer=TWO, reason=HOSTILE, text=HOSTILE), HistoryEntry(HOSTILE))
    source.seen_vnis = [replace(source.vnis()[0], bridge=HOSTILE, reasons=(HOSTILE,), state=HOSTILE)]
    source.put(row(3, "failed", reason=HOSTILE, alerts=(HOSTILE,), sync=Sync("failed", HOSTILE, HOSTILE)))
    with served(source) as port:
        browser.go(f"http://127.0.0.1:{port}/#mac=02:00:00:00:00:03")
        for place in ("#problems", "#peers", "#vnis", "#events", "#explain", "#tiles", "#where"):
            shown(browser, place, HOSTILE)
        browser.go("about:blank")
        browser.go(f"http://127.0.0.1:{port}/#mac={HOSTILE}")
        shown(browser, "#explain h2", "<img src=x")
        foreign = browser.run("return document.querySelectorAll('img, body script ~ script, section script').length")
        title = browser.run("return document.title")
        complaints = browser.complaints()

    assert (foreign, title) == (0, "Not ready · vtep 127.0.0.1")
    # The refused question is a 400, which the console notes; nothing else is there to note.
    assert [each for each in complaints if "explain.json" not in each] == []


def test_the_loss_and_the_return_of_the_daemon_are_shown(browser):
    source = leaf(troubled=False)
    with served(source) as port:
        browser.go(f"http://127.0.0.1:{port}/")
        shown(browser, "#state", "Ready")
    shown(browser, "#silence", "The daemon does not answer")
    assert browser.text("#state") == "No answer"
    with served(source, f"127.0.0.1:{port}"):
        shown(browser, "#state", "Ready")
        wait_until(lambda: browser.text("#silence") == "", 15)


def test_every_control_has_a_name_and_nothing_is_wider_than_a_telephone(browser):
    with served(leaf(macs=3)) as port:
        browser.resize(360, 740)
        browser.go(f"http://127.0.0.1:{port}/#mac=02:00:00:00:00:03")
        shown(browser, "#explain", "Written")
        shown(browser, "#events", "contested")
        nameless = browser.run(
            "return [...document.querySelectorAll('input, button, a')]"
            ".filter((each) => !(each.labels?.length || each.textContent.trim())).map((each) => each.outerHTML)"
        )
        widest = browser.run("return document.documentElement.scrollWidth")

    browser.resize(1280, 1000)
    assert nameless == []
    assert widest <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_its_ground(browser, scheme):
    """A contrast of 4.5 to 1 (WCAG 2.1, 1.4.3) for each text, light and dark."""
    with served(leaf(macs=3)) as port:
        browser.prefer(scheme)
        browser.go(f"http://127.0.0.1:{port}/#mac=02:00:00:00:00:03")
        shown(browser, "#explain", "Written")
        shown(browser, "#events", "contested")
        faint = browser.run((Path(__file__).with_name("contrast.js")).read_text())
    browser.prefer("light")

    assert faint == []


def test_many_vnis_are_shown_when_they_are_asked_for(browser):
    source = leaf()
    source.seen_vnis = [replace(source.vnis()[0], vni=type(VNI_READY)(1000 + number)) for number in range(120)]
    with served(source) as port:
        browser.go(f"http://127.0.0.1:{port}/")
        shown(browser, "#vnis", "120 of 120 ready")
        before = browser.run("return document.querySelectorAll('#vnis tbody tr').length")
        browser.click("#more")
        shown(browser, "#vnis", "1119")
        after = browser.run("return document.querySelectorAll('#vnis tbody tr').length")

    assert (before, after) == (50, 120)


def test_remote_macs_are_shown_in_pages_when_they_are_asked_for(browser):
    with served(leaf(macs=120)) as port:
        browser.go(f"http://127.0.0.1:{port}/")
        browser.click("#macs-show")
        shown(browser, "#macs", "1 to 50 of ")
        first = browser.text("#macs tbody tr:first-child")
        browser.click("#macs-next")
        shown(browser, "#macs", "51 to 100 of ")
        assert browser.text("#macs tbody tr:first-child") != first
        browser.click("#macs-next")
        shown(browser, "#macs", "101 to ")
        assert browser.run("return document.querySelector('#macs-next')") is None
        browser.click("#macs-first")
        shown(browser, "#macs", "1 to 50 of ")

        assert browser.text("#macs tbody tr:first-child") == first
        assert browser.complaints() == []


def test_a_leaf_that_routes_shows_its_vrfs_and_what_one_lacks(browser):
    source = leaf()
    with served(source) as port:
        browser.go(f"http://127.0.0.1:{port}/")
        shown(browser, "#state", "Not ready")
        assert browser.run("return document.querySelector('#vrfs').hidden")

        lacks = "the SVI br4001 is down; run: ip link set dev br4001 up"
        source.routed = (
            VrfStatus(
                "blue",
                Vni(4001),
                ONE,
                "vx4001",
                "br4001",
                "not-ready",
                ("svi-down",),
                (lacks,),
                1001,
                None,
                12,
                3,
                2,
                0,
            ),
        )
        browser.go(f"http://127.0.0.1:{port}/#")
        shown(browser, "#vrfs", "svi-down")
        shown(browser, "#vrfs", "ip link set dev br4001 up")
        complaints = browser.complaints()

    assert complaints == []


def test_remote_vteps_are_shown_once_for_all_vnis(browser):
    with served(leaf(macs=3)) as port:
        browser.go(f"http://127.0.0.1:{port}/")
        browser.click("#vteps-show")
        shown(browser, "#vteps", "10.0.0.2")
        browser.click("#vteps tbody tr a")
        shown(browser, "#explain", "vtep macs --vtep 10.0.0")
        rows = browser.run(
            "return [...document.querySelectorAll('#vteps tbody tr')].map((row) => row.cells[0].textContent)"
        )

        assert (sorted(set(rows)), browser.complaints()) == (sorted(rows), [])
