"""The link that logs in once, in a real browser: from another site, as from a message, and no script but the page's."""

import http.server
import threading
import time

import pytest

from edge.daemon.settings import HttpSettings
from tests.daemon.browser import DEADLINE, chromium, problems
from tests.daemon.web_daemon import TOKEN, page, running


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture
def locked(tmp_path):
    (tmp_path / "token").write_text(TOKEN)
    with running(tmp_path / "state", http=HttpSettings(port=0, token_file=str(tmp_path / "token"))) as site:
        site.daemon.record(site.daemon.see(page()))
        yield site


@pytest.fixture
def unlocked(tmp_path):
    with running(tmp_path / "other state") as site:
        site.daemon.record(site.daemon.see(page()))
        yield site


@pytest.fixture
def elsewhere():
    """Another site, with a page that leads wherever it is asked to: {"html": ...}, and its address."""
    said = {"html": ""}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(said["html"].encode())

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield said, f"http://elsewhere.localhost:{server.server_port}/"
    server.shutdown()
    server.server_close()


def wait_for(condition):
    end = time.monotonic() + DEADLINE
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def test_a_link_in_a_message_of_another_site_leads_to_the_page(browser, locked, elsewhere):
    said, address = elsewhere
    said["html"] = f'<a id="link" href="{locked.server.login_link()}">the page</a>'
    browser.get(address)
    browser.find_element("id", "link").click()
    own = f"http://127.0.0.1:{locked.port}/"
    wait_for(lambda: browser.current_url == own)
    wait_for(lambda: "5550100" in browser.find_element("id", "reading-text").text)
    assert [line for line in problems(browser) if "Content Security Policy" in line] == []


@pytest.mark.parametrize("name", ["locked", "unlocked"])
def test_a_page_of_another_site_can_neither_ask_nor_show_nor_frame_anything(browser, request, elsewhere, name):
    site = request.getfixturevalue(name)
    browser.get(site.server.login_link())
    own = f"http://127.0.0.1:{site.port}"
    wait_for(lambda: browser.current_url == f"{own}/")
    said, address = elsewhere
    said["html"] = (
        f'<img id="picture" src="{own}/api/frame.jpg"><iframe id="frame" src="{own}/"></iframe>'
        f'<form id="form" method="post" action="{own}/api/trigger" target="answer"></form>'
        '<iframe name="answer"></iframe>'
    )
    count = site.daemon.store.count()
    browser.get(address)
    asked = browser.execute_async_script(
        "const done = arguments[1];"
        "fetch(arguments[0], {method: 'POST', mode: 'no-cors', credentials: 'include', body: 'x'})"
        "  .then(() => document.getElementById('form').submit()).then(() => setTimeout(() => done('sent'), 500))"
        "  .catch((error) => done(String(error)))",
        f"{own}/api/trigger",
    )
    assert asked == "sent" or "Failed to fetch" in asked
    assert browser.execute_script("return document.getElementById('picture').naturalWidth") == 0
    assert (
        browser.execute_script(
            "try { return document.getElementById('frame').contentDocument?.body?.innerText ?? null }"
            "catch { return null }"
        )
        is None
    )
    assert site.daemon.store.count() == count
