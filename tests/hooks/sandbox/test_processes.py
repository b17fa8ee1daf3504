"""Ports of programs that are started: one that is held is nobody else's, and still its own server's."""

from __future__ import annotations

import socket

import pytest
from flask import Flask
from werkzeug.serving import make_server

from hooks.sandbox.processes import held_port


def test_port_serves_its_own_server_only_when_it_is_held() -> None:
    with held_port() as port:
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
        server = make_server("127.0.0.1", port, Flask("a"))
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            assert client.getpeername() == ("127.0.0.1", port)
        server.server_close()


def test_port_is_the_one_asked_for_when_it_is_named() -> None:
    with held_port() as port:
        pass
    with held_port(port) as again:
        assert again == port
