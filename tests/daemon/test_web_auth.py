"""Who may ask: the Host header, tokens, links that work once, sessions, pages of other sites."""

import re
import time
from urllib.parse import urlsplit

import pytest

from edge.daemon.settings import DeviceSettings, HttpSettings, Settings
from edge.daemon.web import auth
from edge.daemon.web.auth import Asker, Gate, check_http
from edge.daemon.web.errors import HttpError
from tests.daemon.web_daemon import TOKEN, jpeg, page, running

BEARER = {"Authorization": f"Bearer {TOKEN}"}
HTML = {"Accept": "text/html,application/xhtml+xml"}
PATHS = (
    "/api/health", "/api/latest", "/api/readings", "/api/live", "/api/frame.jpg", "/api/fields", "/api/openapi.json",
    "/metrics", "/nowhere",
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_token_from_outside(monkeypatch):
    monkeypatch.delenv(auth.TOKEN_VARIABLE, raising=False)


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    return path


@pytest.fixture
def site(tmp_path):
    with running(tmp_path) as site:
        yield site


@pytest.fixture
def locked(tmp_path, token_file):
    """One that needs a token."""
    with running(tmp_path / "locked", http=HttpSettings(port=0, token_file=str(token_file))) as site:
        yield site


def cookie_of(answer):
    return answer.headers["Set-Cookie"].partition(";")[0]


def log_in(site):
    return cookie_of(site.post("/login", {"token": TOKEN}))


# The configuration


@pytest.mark.parametrize(
    ("http", "wrong"),
    [
        (HttpSettings(), None),
        (HttpSettings(listen="::1"), None),
        (HttpSettings(listen="localhost"), None),
        (HttpSettings(listen="127.0.0.2"), None),
        (HttpSettings(listen="0.0.0.0"), "needs a token"),
        (HttpSettings(listen="::"), "needs a token"),
        (HttpSettings(listen="192.0.2.7"), "needs a token"),
        (HttpSettings(listen="shelf.example"), "needs a token"),
        (HttpSettings(listen="0.0.0.0", insecure=True), None),
        (HttpSettings(listen="0.0.0.0", enabled=False), None),
        (HttpSettings(token_file="/nowhere/token"), "/nowhere/token"),
        (HttpSettings(hosts=("shelf:80",)), "shelf:80"),
        (HttpSettings(hosts=("http://shelf",)), "http://shelf"),
        (HttpSettings(hosts=("shelf.example",)), None),
    ],
)
def test_only_this_machine_is_served_without_a_token(http, wrong):
    found = check_http(Settings(http=http))
    if wrong is None:
        assert found == []
    else:
        (line,) = found
        assert wrong in line


@pytest.mark.parametrize("token", ["", "short", "x" * 15, "two words that are long", "ä" * 20, "x" * 5000])
def test_a_token_is_a_long_word(tmp_path, token):
    path = tmp_path / "token"
    path.write_text(token)
    (line,) = check_http(Settings(http=HttpSettings(token_file=str(path))))
    assert str(path) in line
    assert not token or token not in line


def test_a_token_may_come_from_the_environment(monkeypatch):
    settings = Settings(http=HttpSettings(listen="0.0.0.0"))
    monkeypatch.setenv(auth.TOKEN_VARIABLE, TOKEN)
    assert check_http(settings) == []
    assert Gate(settings, "shelf").needs_login
    monkeypatch.setenv(auth.TOKEN_VARIABLE, "short")
    (line,) = check_http(settings)
    assert auth.TOKEN_VARIABLE in line


# The Host header


def admits(gate, host):
    try:
        gate.check_host(host)
    except HttpError as error:
        return int(error.status)
    return 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200), ("localhost:8347", 200), ("LOCALHOST:1", 200), ("127.0.0.1:8347", 200), ("[::1]:8347", 200),
        ("shelf", 200), ("shelf.local:8347", 200), ("Shelf.Local.", 200), ("meter.example", 200),
        ("evil.example", 421), ("localhost.evil.example", 421), ("shelf.local.evil.example:8347", 421),
        ("192.0.2.7", 421), ("127.0.0.1.evil.example", 421),
        ("", 400), ("localhost, evil.example", 400), ("user@localhost", 400), ("localhost:x", 400), ("local host", 400),
        ("localhost/", 400), ("[::1", 400), ("localhost:123456", 400),
    ],
)  # fmt: skip
def test_only_names_of_the_device_are_answered(host, status):
    assert admits(Gate(Settings(http=HttpSettings(hosts=("meter.example",))), "shelf"), host) == status


def test_where_others_can_reach_it_an_address_in_numbers_is_a_name_of_it():
    gate = Gate(Settings(http=HttpSettings(listen="0.0.0.0", insecure=True)), "shelf")
    assert admits(gate, "192.168.1.20:8347") == 200
    assert admits(gate, "[fd00::20]:8347") == 200
    assert admits(gate, "evil.example") == 421


def test_a_page_with_a_name_of_its_own_for_this_device_gets_nothing(site):
    for path in (*PATHS, "/", "/login", "/static/style.css"):
        answer = site.get(path, Host="evil.example")
        assert answer.status == 421
        assert "evil.example" in answer.error


# Tokens


def test_nothing_is_answered_without_the_token_but_that_it_is_alive(locked):
    assert locked.get("/healthz").body == b"ok\n"
    for path in PATHS:
        answer = locked.get(path)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert answer.error
    for path in ("/api/trigger", "/api/correct", "/api/logout"):
        assert locked.post(path, {}).status == 401
    assert locked.post("/api/read", jpeg(page()), Content_Type="image/jpeg").status == 401
    assert locked.ask("PUT", "/api/fields", {"fields": []}).status == 401


def test_the_token_opens_everything(locked):
    locked.daemon.see(page())
    for path in PATHS[:-1]:
        assert locked.get(path, **BEARER).status == 200
    assert locked.post("/api/trigger", **BEARER).status == 200
    assert locked.post("/api/read", jpeg(page()), Content_Type="image/jpeg", **BEARER).status == 200


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"]
)
def test_a_wrong_token_opens_nothing(locked, value):
    assert locked.get("/api/latest", Authorization=value).status == 401


def test_the_page_sends_who_is_not_logged_in_to_the_form(locked):
    answer = locked.get("/", **HTML)
    assert (answer.status, answer.headers["Location"]) == (303, "/login")
    form = locked.get("/login")
    assert form.status == 200
    for path in re.findall(r'(?:src|href)="(/static/[^"]+)"', form.body.decode()):
        assert locked.get(path).status == 200


def test_where_no_token_is_needed_the_form_leads_to_the_page(site):
    answer = site.get("/login")
    assert (answer.status, answer.headers["Location"]) == (303, "/")


# Sessions


def test_the_right_token_opens_a_session(locked):
    answer = locked.post("/login", {"token": TOKEN})
    assert answer.json == {"ok": True}
    said = answer.headers["Set-Cookie"].lower()
    assert {"httponly", "samesite=strict", "path=/"} <= {part.strip() for part in said.split(";")}
    assert "secure" not in said
    assert TOKEN not in said
    assert locked.get("/api/latest", Cookie=cookie_of(answer)).status == 200
    assert locked.get("/", Cookie=cookie_of(answer)).status == 200


def test_a_form_without_script_opens_a_session_and_goes_on_to_the_page(locked):
    host = f"127.0.0.1:{locked.port}"
    headers = {"Content_Type": "application/x-www-form-urlencoded", "Origin": f"http://{host}", **HTML}
    answer = locked.post("/login", f"token={TOKEN}", **headers)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    assert locked.get("/api/latest", Cookie=cookie_of(answer)).status == 200
    wrong = locked.post("/login", "token=wrong", **headers)
    assert (wrong.status, b"<form" in wrong.body) == (401, True)
    assert "Set-Cookie" not in wrong.headers


def test_behind_a_proxy_with_tls_the_cookie_is_secure(locked):
    answer = locked.post("/login", {"token": TOKEN}, X_Forwarded_Proto="https")
    assert "; secure" in answer.headers["Set-Cookie"].lower()


def test_a_session_ends_when_it_is_ended(locked):
    cookie = log_in(locked)
    answer = locked.post("/api/logout", {}, Cookie=cookie)
    assert answer.json == {"ok": True}
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert locked.get("/api/latest", Cookie=cookie).status == 401


def test_a_session_ends_in_time(locked, monkeypatch):
    monkeypatch.setattr(auth, "SESSION_SECONDS", 0.2)
    cookie = log_in(locked)
    end = time.monotonic() + 20
    while locked.get("/api/latest", Cookie=cookie).status == 200 and time.monotonic() < end:
        time.sleep(0.05)
    assert locked.get("/api/latest", Cookie=cookie).status == 401


def test_there_are_only_so_many_sessions(locked, monkeypatch):
    monkeypatch.setattr(auth, "MAX_SESSIONS", 3)
    cookies = [log_in(locked) for _ in range(4)]
    assert [locked.get("/api/latest", Cookie=cookie).status for cookie in cookies] == [401, 200, 200, 200]


@pytest.mark.parametrize(
    "cookie", ["edge_digits", "edge_digits_1=x; ;;=", "=;" * 100, "edge_digits_{port}=", "\xe4=\xff"]
)
def test_a_made_up_cookie_is_no_session(locked, cookie):
    assert locked.get("/api/latest", Cookie=cookie.replace("{port}", str(locked.port))).status == 401


# Links that work once


def once(site):
    parts = urlsplit(site.server.login_link())
    return f"{parts.path}?{parts.query}"


def test_a_link_logs_in_once(locked):
    link = once(locked)
    answer = locked.get(link, **HTML)
    assert answer.status == 200
    assert b'url=/"' in answer.body
    assert answer.headers["Cache-Control"] == "no-store"
    assert locked.get("/api/latest", Cookie=cookie_of(answer)).status == 200
    again = locked.get(link, **HTML)
    assert (again.status, "Set-Cookie" in again.headers) == (401, False)
    assert locked.get(link).error


def test_a_link_that_is_only_looked_at_stays(locked):
    link = once(locked)
    assert locked.ask("HEAD", link).status == 403
    assert locked.get(link, Sec_Purpose="prefetch").status == 403
    assert locked.get(link).status == 200


def test_a_link_is_too_old_after_a_while(locked, monkeypatch):
    monkeypatch.setattr(auth, "LINK_SECONDS", 0.0)
    assert locked.get(once(locked)).status == 401


def test_made_up_links_do_not_log_in(locked):
    for code in ("", "x", "%00", "A" * 22):
        answer = locked.get(f"/login?once={code}")
        assert (answer.status, "Set-Cookie" in answer.headers) == (401, False)


def test_the_link_names_the_machine_as_others_call_it(token_file):
    secret = HttpSettings(listen="0.0.0.0", token_file=str(token_file))
    gate = Gate(Settings(http=secret, device=DeviceSettings("shelf")), "shelf")
    assert re.fullmatch(
        rf"http://{re.escape(auth.platform.node())}\.local:8347/login\?once=[\w-]{{22}}", gate.login_link(8347)
    )
    named = Gate(Settings(http=HttpSettings(listen="0.0.0.0", insecure=True, hosts=("meter.example",))), "shelf")
    assert named.login_link(80) == "http://meter.example:80/"
    assert Gate(Settings(http=HttpSettings(listen="::1")), "shelf").login_link(8347) == "http://[::1]:8347/"


# Too many attempts


def test_who_guesses_has_to_wait_even_with_the_right_token(locked):
    for _ in range(auth.WRONG_TOKENS):
        assert locked.post("/login", {"token": "wrong"}).status == 401
    answer = locked.post("/login", {"token": TOKEN})
    assert answer.status == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 61
    assert locked.get("/api/latest", **BEARER).status == 429
    assert locked.get("/login?once=x").status == 429


def test_who_is_logged_in_does_not_wait_for_somebody_elses_guesses(locked):
    cookie = log_in(locked)
    for _ in range(auth.WRONG_TOKENS + 1):
        locked.post("/login", {"token": "wrong"})
    assert locked.get("/api/latest", Cookie=cookie).status == 200


def test_the_wait_ends(locked, monkeypatch):
    monkeypatch.setattr(auth, "WRONG_SECONDS", 0.3)
    for _ in range(auth.WRONG_TOKENS):
        locked.post("/login", {"token": "wrong"})
    end = time.monotonic() + 20
    while locked.post("/login", {"token": TOKEN}).status != 200 and time.monotonic() < end:
        time.sleep(0.05)
    assert locked.post("/login", {"token": TOKEN}).status == 200


def test_guesses_are_counted_by_address_and_only_so_many_addresses(token_file, monkeypatch):
    monkeypatch.setattr(auth, "MAX_ADDRESSES", 5)
    gate = Gate(Settings(http=HttpSettings(token_file=str(token_file))), "shelf")

    def tries(address):
        with pytest.raises(HttpError) as refused:
            gate.check_token("wrong", address)
        return int(refused.value.status)

    assert [tries("192.0.2.1") for _ in range(auth.WRONG_TOKENS + 1)] == [401] * auth.WRONG_TOKENS + [429]
    assert tries("192.0.2.2") == 401
    gate.check_token(TOKEN, "192.0.2.2")
    for host in range(auth.WRONG_TOKENS):
        tries(f"2001:db8::{host:x}")
    assert tries("2001:db8::ffff") == 429
    for host in range(50):
        tries(f"198.51.100.{host}")
    assert len(gate._attempts._counts) <= 5


# Pages of other sites


CROSS = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "http://["},
    {"Sec_Fetch_Site": "cross-site"},
    {"Sec_Fetch_Site": "same-site"},
]


@pytest.mark.parametrize("headers", CROSS)
def test_a_page_of_another_site_can_change_nothing(site, headers):
    site.daemon.record()
    assert site.post("/api/trigger", {}, **headers).status == 403
    assert site.post("/api/correct", {"sequence": 1, "text": "5550100"}, **headers).status == 403
    assert site.ask("PUT", "/api/fields", {"fields": []}, **headers).status == 403
    assert site.post("/api/read", jpeg(page()), Content_Type="image/jpeg", **headers).status == 403
    assert site.post("/login", {"token": "x"}, **headers).status == 403
    assert site.daemon.store.count() == 1


@pytest.mark.parametrize("headers", CROSS)
def test_nor_with_the_cookie_of_somebody_who_is_logged_in(locked, headers):
    cookie = log_in(locked)
    assert locked.post("/api/trigger", {}, Cookie=cookie, **headers).status == 403
    assert locked.post("/api/logout", {}, Cookie=cookie, **headers).status == 403


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"])
def test_nor_with_a_form_of_a_browser_that_does_not_say_where_it_comes_from(site, kind):
    assert site.post("/api/trigger", "x=1", Content_Type=kind).status == 403
    assert site.post("/api/trigger", "x=1", Content_Type=kind, X_Requested_With="edge-digits").status == 200
    assert site.post("/api/correct", '{"sequence": 1, "text": "1"}', Content_Type=kind).status == 403


def test_what_a_page_of_another_site_embeds_is_refused(site):
    site.daemon.see(page())
    assert site.get("/api/frame.jpg", Sec_Fetch_Site="cross-site").status == 403
    assert site.get("/api/latest", Sec_Fetch_Site="same-site").status == 403
    assert site.get("/api/latest", Sec_Fetch_Site="none").status == 200


def test_the_own_page_may(site):
    headers = {"Origin": f"http://127.0.0.1:{site.port}", "Sec_Fetch_Site": "same-origin"}
    assert site.post("/api/trigger", {}, **headers).status == 200
    assert site.post("/api/trigger", **headers).status == 200


def test_a_link_on_another_site_may_lead_to_the_page(site):
    assert site.get("/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="navigate").status == 200


def test_a_script_with_the_token_is_no_browser(locked):
    assert locked.post("/api/trigger", "x=1", Content_Type="text/plain", **BEARER).status == 200


# Headers


def test_every_answer_says_what_a_browser_must_not_do(site, locked):
    for where in (site, locked):
        for path in ("/", "/api/latest", "/nowhere", "/static/style.css", "/healthz", "/login"):
            answer = where.get(path)
            assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
            assert "unsafe" not in answer.headers["Content-Security-Policy"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert "Server" not in answer.headers
            assert "Access-Control-Allow-Origin" not in answer.headers


def test_no_secret_is_logged(locked, caplog):
    caplog.set_level("DEBUG")
    locked.post("/login", {"token": TOKEN})
    locked.get("/api/latest", Authorization=f"Bearer {TOKEN}x")
    locked.get("/login?once=not-a-code")
    assert TOKEN not in caplog.text
    assert "not-a-code" not in caplog.text


def test_cookies_of_two_daemons_on_one_machine_are_told_apart(token_file):
    gate = Gate(Settings(http=HttpSettings(token_file=str(token_file))), "shelf")
    session = gate.open_session()
    asker = Asker("GET", "/api/latest", "127.0.0.1", "localhost:8347", cookie=f"a=b; edge_digits_8347={session}")
    gate.admit(asker)
    with pytest.raises(HttpError):
        gate.admit(Asker("GET", "/api/latest", "127.0.0.1", "localhost:8348", cookie=f"edge_digits_8347={session}"))
