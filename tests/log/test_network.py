"""Whether the hub can be reached is asked once, within seconds, of the right place."""

import pytest

from simbench.files import network


@pytest.fixture
def asked(monkeypatch):
    """Every connection that is tried; one to a host that is called ``off`` fails."""
    tried = []

    class Open:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            tried.append("closed")

    def connect(address, timeout=None):
        tried.append((address, timeout))
        if address[0].startswith("off"):
            raise TimeoutError("no answer")
        return Open()

    for name in ("HF_HUB_OFFLINE", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(network.socket, "create_connection", connect)
    monkeypatch.setattr(network, "getproxies", dict)
    network.hub_reachable.cache_clear()
    yield tried
    network.hub_reachable.cache_clear()


def test_the_hub_is_asked_once_and_let_go(asked):
    assert network.hub_reachable() is True and network.hub_reachable() is True
    assert asked == [(("huggingface.co", 443), 5.0), "closed"]


@pytest.mark.parametrize(
    ("endpoint", "address", "answer"),
    [
        ("http://mirror:8080/hub", ("mirror", 8080), True),
        ("https://mirror", ("mirror", 443), True),
        ("https://off.line", ("off.line", 443), False),
        ("", ("huggingface.co", 443), True),
    ],
)
def test_a_mirror_is_asked_in_the_hubs_place(endpoint, address, answer, asked, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    assert network.hub_reachable() is answer and network.hub_reachable() is answer
    assert asked == [(address, 5.0), *(["closed"] if answer else [])]


@pytest.mark.parametrize("value", ["1", "on", "YES", "True", "0", "", "no"])
def test_whoever_wants_to_be_offline_is_not_connected(value, asked, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", value)
    offline = value in ("1", "on", "YES", "True")
    assert network.hub_reachable() is not offline and bool(asked) is not offline


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_behind_a_proxy_of_that_scheme_the_answer_is_yes(scheme, asked, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://off.line")
    monkeypatch.setattr(network, "getproxies", lambda: {scheme: "proxy:3128"})
    assert network.hub_reachable() is (scheme == "https") and bool(asked) is (scheme != "https")
