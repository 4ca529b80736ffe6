"""Tokens say where to go on, and nothing else is taken for one."""

import base64

import pytest

from vtep.addr import Ip, Mac, Vni
from vtep.api.tokens import (
    Cursor,
    macs_after,
    macs_token,
    neighbors_after,
    neighbors_token,
    resume_cursor,
    resume_token,
)
from vtep.errors import UsageError

MAC_KEY = (Vni(100), Mac.parse("02:00:00:00:00:01"))
HOST_KEYS = [(Vni(100), Ip.parse("172.16.0.1")), (Vni(16777215), Ip.parse("2001:db8::1"))]


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_page_of_macs_goes_on_after_its_last_key():
    assert macs_after("life", macs_token("life", MAC_KEY)) == MAC_KEY


@pytest.mark.parametrize("key", HOST_KEYS, ids=str)
def test_a_page_of_neighbors_goes_on_after_its_last_key(key):
    assert neighbors_after("life", neighbors_token("life", key)) == key


def test_a_stream_goes_on_where_it_was():
    assert resume_cursor("life", resume_token("life", Cursor(7, 12))) == Cursor(7, 12)


def test_a_stream_of_another_life_has_no_place_to_go_on():
    assert resume_cursor("life", resume_token("other", Cursor(7, 12))) is None


def test_tokens_can_be_put_into_a_url_as_they_are():
    tokens = [macs_token("life?>", MAC_KEY), resume_token("life?>", Cursor(1 << 50, 3))]

    assert all(
        set(token) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") for token in tokens
    )


def test_a_page_token_of_another_life_is_refused_with_what_to_do():
    with pytest.raises(UsageError, match="page_token: the daemon was restarted; begin with the first page"):
        macs_after("life", macs_token("other", MAC_KEY))


GARBAGE = {
    "no-base64": "§",
    "a-word": "xx",
    "not-utf8": "_____w",
    "too-few-fields": encoded("m/life/100"),
    "too-many-fields": encoded("m/life/100/020000000001/5"),
    "vni-out-of-range": encoded("m/life/16777216/020000000001"),
    "vni-negative": encoded("m/life/-1/020000000001"),
    "vni-in-other-digits": encoded("m/life/٣/020000000001"),
    "mac-too-short": encoded("m/life/100/0200000000"),
    "a-newline-behind": encoded("m/life/100/020000000001\n"),
    "of-neighbors": neighbors_token("life", HOST_KEYS[0]),
    "of-a-stream": resume_token("life", Cursor(1, 1)),
    "very-long": "m" * 60_000,
}


@pytest.mark.parametrize("token", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_not_a_page_token(token):
    with pytest.raises(UsageError, match="page_token: not a token that this daemon gave"):
        macs_after("life", token)


@pytest.mark.parametrize("token", [*list(GARBAGE.values())[:5], macs_token("life", MAC_KEY), encoded("w/life/1/x")])
def test_garbage_is_not_a_resume_token(token):
    with pytest.raises(UsageError, match="resume_token: not a token that this daemon gave"):
        resume_cursor("life", token)
