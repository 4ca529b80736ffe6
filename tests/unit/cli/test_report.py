"""What `vtep report` leaves out, and how much it takes."""

import pytest

from vtep.cli import report


@pytest.mark.parametrize(
    "text",
    [
        'md5-password "s3cret";',
        "md5-password 's3cret';",
        "md5-password s3cret;",
        'md5-password "an escaped \\" in s3cret";',
        'md5-password\n    "s3cret";',
        '{"tcp_md5_password": "s3cret"}',
        'password = """\ns3cret\n"""',
        "password = '''s3cret'''",
        'password = "s3cret without an end\nrouter-id 10.0.0.1;',
        'passphrase = "s3cret"',
        "authentication-key s3cret",
        "api_key: s3cret",
        "run /usr/bin/helper --token s3cret;",
        "proxy = http://user:s3cret@proxy.example/",
        "-----BEGIN EC PRIVATE KEY-----\ns3cret\n-----END EC PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\ns3cret",
    ],
)
def test_a_secret_is_left_out(text):
    left = report.redacted(text)

    assert "s3cret" not in left
    assert "(left out)" in left


@pytest.mark.parametrize(
    "text",
    [
        'password_file = "/etc/vtep/bgp.key"',
        'tls = { cert = "/etc/vtep/cert.pem", key = "/etc/vtep/key.pem", client_ca = "" }',
        "md5-base64 true;",
        '{"events": [{"mac": "02:00:00:00:00:01", "vtep": "10.0.0.1"}]}',
        "https://leaf1.example:9479/metrics",
    ],
)
def test_what_is_no_secret_stays(text):
    assert report.redacted(text) == text


def test_only_the_beginning_of_an_endless_output_is_read(monkeypatch):
    monkeypatch.setattr(report, "PART_MAX", 100)

    assert report._output("yes") == "y\n" * 50 + "y"


def test_a_command_that_does_not_end_is_stopped_and_that_is_said(monkeypatch):
    monkeypatch.setattr(report, "COMMAND_S", 0.1)

    assert report._output("sleep 100") == "\nsleep 100 took longer than 0.1 s\n"


def test_a_command_that_fails_says_so_after_its_output():
    assert report._output("ls /no/such/file").endswith("\nls /no/such/file ended with 2\n")


def test_the_log_of_exabgp_is_sought_under_both_names_of_its_unit():
    words = report.COMMANDS["log/exabgp.txt"].split()

    assert {words[at + 1] for at, word in enumerate(words) if word == "--unit"} == {"exabgp", "vtep-exabgp"}
