"""Runs the checks of one client and prints a line for each; the harness counts them."""

import asyncio
import os
import sys
import threading
import time
import traceback
import uuid


def bootstrap():
    """The broker to test, HOST:PORT."""
    return os.environ["SENDLOG_TEST_BOOTSTRAP"]


def unique(name):
    """A topic name that no earlier run has used."""
    return f"conformance-{name}-{uuid.uuid4().hex[:8]}"


def eventually(check):
    """What `check` returns, at the first try: sendlog has done what it has answered.

    Apache Kafka answers before its brokers know, so there (SENDLOG_TEST_EVENTUAL=1) it is tried for some seconds.
    """
    deadline = time.monotonic() + (10 if os.environ.get("SENDLOG_TEST_EVENTUAL") else 0)
    while True:
        try:
            return check()
        except Exception:
            if deadline < time.monotonic():
                raise
            threading.Event().wait(0.05)


async def eventually_async(check):
    deadline = time.monotonic() + (10 if os.environ.get("SENDLOG_TEST_EVENTUAL") else 0)
    while True:
        try:
            return await check()
        except Exception:
            if deadline < time.monotonic():
                raise
            await asyncio.sleep(0.05)


class Checks:
    def __init__(self, client, version):
        self.failed = 0
        print(f"client {client} {version}", flush=True)

    def ok(self, name):
        print(f"ok {name}", flush=True)

    def fail(self, name, error):
        self.failed += 1
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(f"FAIL {name}: {reason}", flush=True)
        traceback.print_exception(error)

    def run(self, name, check, *args):
        """Runs one check. A check fails by raising."""
        try:
            check(*args)
        except Exception as error:
            self.fail(name, error)
        else:
            self.ok(name)

    async def run_async(self, name, check, *args):
        try:
            await check(*args)
        except Exception as error:
            self.fail(name, error)
        else:
            self.ok(name)

    def run_if(self, done, name, check):
        """Runs one check if what it needs was done."""
        if done:
            self.run(name, check)
        else:
            print(f"skip {name}: nobody here owns the broker", flush=True)

    def want(self, what):
        """Asks the harness, which owns the broker, to `restart` it or to `kill` and start it; whether that was done."""
        print(f"want {what}", flush=True)
        return sys.stdin.readline().strip() == "done"

    def finish(self):
        sys.exit(1 if self.failed else 0)


def equal(actual, expected, what="value"):
    if actual != expected:
        raise AssertionError(f"{what} is {shorten(actual)}, expected {shorten(expected)}")


def true(condition, what):
    if not condition:
        raise AssertionError(what)


def raises(check, expected, what):
    """`check` must raise an error that `expected` accepts."""
    try:
        result = check()
    except Exception as error:
        if not expected(error):
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    else:
        raise AssertionError(f"{what}: no error, but {shorten(result)}")


async def raises_async(check, expected, what):
    try:
        result = await check()
    except Exception as error:
        if not expected(error):
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
    else:
        raise AssertionError(f"{what}: no error, but {shorten(result)}")


def shorten(value):
    text = repr(value)
    return text if len(text) <= 300 else f"{text[:300]}... ({len(text)} characters)"
