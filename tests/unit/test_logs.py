"""A log entry stays on its line and changes no terminal, even if a peer chose its words."""

import io
import json
import logging
import subprocess
import sys

import pytest

from vtep import logs

HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\nroot logged in \u202e\x9b31m\x7f\ud800"
FORMATTERS = [logs.TextFormatter(), logs.JsonFormatter(), logs.JsonFormatter(journal=True)]


def logged(formatter, *, name="row failed", error=None, **fields) -> str:
    """Return what comes out of a log with this form."""
    log, out = logging.getLogger("test of logs"), io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    log.addHandler(handler)
    log.propagate = False
    if error is None:
        logs.event(log, logging.ERROR, name, **fields)
    else:
        log.error(name, exc_info=error)
    log.removeHandler(handler)
    return out.getvalue()


@pytest.mark.parametrize("formatter", FORMATTERS, ids=["text", "json", "journal"])
@pytest.mark.parametrize("where", ["name", "text", "list", "exception"])
def test_hostile_words_are_escaped_wherever_they_stand(formatter, where):
    event = {"name": {"name": HOSTILE}, "text": {"text": HOSTILE}, "list": {"texts": [HOSTILE]}}
    event["exception"] = {"error": ValueError(HOSTILE)}

    text = logged(formatter, **event[where])

    assert [char for char in text if char != "\n" and not char.isprintable()] == []
    lines = [line for line in text.splitlines() if "root logged in" in line]
    assert len(lines) == 1
    assert not lines[0].startswith("root")


def test_json_gives_the_words_back_as_they_were():
    said = logged(logs.JsonFormatter(), why=HOSTILE)

    assert json.loads(said)["why"] == HOSTILE


def test_the_words_of_a_crash_are_a_line_of_the_log():
    program = f"from vtep import logs\nlogs.set_up()\nraise ValueError({HOSTILE!r})"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    [line] = done.stderr.splitlines()
    said = json.loads(line)
    assert (done.returncode, said["level"], said["event"]) == (1, "critical", "crashed")
    assert "owned" in said["traceback"]
    assert line.isprintable()


def test_the_journal_is_given_one_priority_and_it_is_ours():
    said = logged(logs.JsonFormatter(journal=True), name="\n<0>owned")

    assert said.startswith("<3>{")
    assert said.count("\n") == 1


def test_a_log_is_text_on_a_terminal_and_json_elsewhere(monkeypatch):
    root = logging.getLogger()
    before = root.handlers[:], root.level
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    forms = []
    try:
        for is_terminal in (True, False):
            stream = io.StringIO()
            monkeypatch.setattr(stream, "isatty", lambda is_terminal=is_terminal: is_terminal)
            monkeypatch.setattr(sys, "stderr", stream)
            logs.set_up()
            forms.append(type(root.handlers[0].formatter))
    finally:
        root.handlers[:], level = before
        root.setLevel(level)

    assert forms == [logs.TextFormatter, logs.JsonFormatter]
