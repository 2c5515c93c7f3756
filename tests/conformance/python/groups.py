"""What every client must be able to do with a group. A client hands over a `Driver` for its consumers and an admin, see `Client`.

The checks run side by side, each in a group and on a topic of its own, for most of the time they wait for rebalances.
Names of checks are `PROTOCOL/FEATURE`.
"""

import queue
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass

from checks import Checks, equal, raises, true, unique

LIMIT = 60
# A member that is gone is missed after this long, where the client says so and not the broker.
SESSION_MS = 6000
PAUSE = threading.Event()


def wait(condition, what, limit=LIMIT):
    """What `condition` gives as soon as it is true."""
    deadline = time.monotonic() + limit
    while not (found := condition()):
        if deadline < time.monotonic():
            raise AssertionError(f"not after {limit} s: {what() if callable(what) else what}")
        PAUSE.wait(0.02)
    return found


@dataclass(frozen=True)
class Wanted:
    """What a check wants of a consumer, beside the client's defaults."""

    group: str
    topics: list | None
    protocol: str
    pattern: str | None = None
    instance: str | None = None
    assignor: str | None = None
    auto_commit: bool = True
    session_ms: int | None = None


class Client:
    """What a client's program hands over. Each adds its name, `protocols`, `assignors`, an `admin`, `producer`, `create`,
    `is_error`, and `consumer`, which makes a driver for a member of what is `Wanted`.
    """

    # Features without their protocol.
    lacks = frozenset()

    def further_steps(self, _checks):
        """What to run side by side with the checks of groups."""
        return []

    def further_groups(self):
        """Groups at work, to have the broker restarted under them."""
        return []


def listener(kind, member):
    """A listener to rebalances, of the class that the client takes, that tells the member."""

    class Listener(kind):
        def on_partitions_assigned(self, assigned):
            member.on_assign(map(tuple, assigned))

        def on_partitions_revoked(self, revoked):
            member.on_revoke(map(tuple, revoked))

    return Listener()


class Member(threading.Thread):
    """A consumer with a thread of its own, the only one that touches it."""

    def __init__(self, client, group, topics, **options):
        super().__init__(daemon=True)
        self.client, self.wanted = client, Wanted(group, topics, **options)
        self.records = []
        self.assigned = frozenset()
        self.given, self.taken = [], []
        self.error = None
        self.commands = queue.SimpleQueue()
        self.leaving = threading.Event()
        self.start()

    def run(self):
        try:
            self.driver = self.client.consumer(self, self.wanted)
            while not self.leaving.is_set():
                while not self.commands.empty():
                    self.execute(*self.commands.get())
                self.records += self.driver.poll()
                self.assigned = frozenset(self.driver.assignment())
            self.driver.close()
        except Exception as error:
            self.error = error

    def execute(self, future, command):
        try:
            future.set_result(command(self.driver))
        except Exception as error:
            future.set_exception(error)

    def on_assign(self, partitions):
        self.given.append(frozenset(partitions))

    def on_revoke(self, partitions):
        self.taken.append(frozenset(partitions))

    def call(self, command):
        """Runs `command(driver)` between two polls."""
        future = Future()
        self.commands.put((future, command))
        wait(lambda: future.done() or self.error, "the consumer does not come back")
        self.healthy()
        return future.result()

    def leave(self):
        self.leaving.set()
        self.join(LIMIT)
        true(not self.is_alive(), "the consumer does not close")
        self.healthy()

    def healthy(self):
        if self.error:
            raise self.error

    def values(self):
        return [value for _, _, _, value in list(self.records)]


def wait_for_split(members, topic, counts):
    """Waits until the members share the partitions of the topic, so many for each, in any order."""

    def split():
        for member in members:
            member.healthy()
        sets = [m.assigned for m in members]
        union = frozenset().union(*sets)
        return (
            sorted(map(len, sets)) == sorted(counts)
            and len(union) == sum(counts)
            and all(name == topic for name, _ in union)
        )

    wait(split, lambda: f"a split into {counts}, but {[sorted(m.assigned) for m in members]}")


class Load(threading.Thread):
    """Writes numbers to all partitions, some hundred in a second, until it is stopped."""

    def __init__(self, client, topic, partitions):
        super().__init__(daemon=True)
        self.client, self.topic, self.partitions = client, topic, partitions
        self.written = 0
        self.stopping = threading.Event()
        self.error = None
        self.start()

    def run(self):
        try:
            with self.client.producer() as producer:
                while not self.stopping.is_set():
                    numbers = range(self.written, self.written + 10)
                    producer.write(self.topic, [(n % self.partitions, f"{n}") for n in numbers])
                    self.written += 10
                    self.stopping.wait(0.03)
        except Exception as error:
            self.error = error

    def stop(self):
        self.stopping.set()
        self.join(LIMIT)
        true(not self.is_alive(), "the producer hangs")
        if self.error:
            raise self.error
        return {f"{n}" for n in range(self.written)}


def wait_for_values(members, expected):
    def missing():
        for member in members:
            member.healthy()
        return expected - {value for member in members for value in member.values()}

    wait(lambda: not missing(), lambda: f"{len(missing())} of {len(expected)} records did not come: {sorted(missing())[:5]}")


class Groups:
    """The checks of one client with one protocol, `classic` or `consumer`."""

    def __init__(self, client, protocol):
        self.client, self.protocol = client, protocol

    def name(self, what):
        return unique(f"{self.client.name}-{self.protocol}-{what}")

    def topic(self, what, partitions):
        name = self.name(what)
        self.client.create(name, partitions)
        return name

    def fill(self, topic, pairs):
        with self.client.producer() as producer:
            producer.write(topic, pairs)

    def member(self, group, topics, **options):
        return Member(self.client, group, topics, protocol=self.protocol, **options)

    def under_load(self):
        topic = self.topic("load", 6)
        load = Load(self.client, topic, 6)
        a, b = self.member(topic, [topic]), self.member(topic, [topic])
        wait_for_split([a, b], topic, [3, 3])
        c = self.member(topic, [topic])
        wait_for_split([a, b, c], topic, [2, 2, 2])
        b.leave()
        wait_for_split([a, c], topic, [3, 3])
        expected = load.stop()
        wait_for_values([a, b, c], expected)
        a.leave()
        c.leave()

    def resume(self):
        topic = self.topic("resume", 2)
        self.fill(topic, [(n % 2, f"{n}") for n in range(20)])
        first = self.member(topic, [topic])
        wait_for_values([first], {f"{n}" for n in range(20)})
        first.leave()
        self.fill(topic, [(n % 2, f"{n}") for n in range(20, 30)])
        second = self.member(topic, [topic])
        wait_for_values([second], {f"{n}" for n in range(20, 30)})
        second.leave()
        equal(sorted(map(int, second.values())), list(range(20, 30)), "values after the return")

    def commits(self):
        topic = self.topic("commits", 2)
        member = self.member(topic, [topic], auto_commit=False)
        wait_for_split([member], topic, [2])
        self.fill(topic, [(n % 2, f"{n}") for n in range(20)])
        wait_for_values([member], {f"{n}" for n in range(20)})
        equal(member.call(lambda d: d.committed(topic, 0)), None, "committed before the first commit")
        member.call(lambda d: d.commit(topic, 0, 4, "so far, grüße"))
        equal(member.call(lambda d: d.committed(topic, 0)), (4, "so far, grüße"), "committed")
        member.call(lambda d: d.commit(topic, 1, 7, ""))
        equal(member.call(lambda d: d.committed(topic, 1)), (7, ""), "committed without metadata")
        if "async commit" not in self.client.lacks:
            member.call(lambda d: d.commit_async(topic, 0, 6, "later"))
            wait(lambda: member.call(lambda d: d.committed(topic, 0)) == (6, "later"), "the asynchronous commit")
        member.leave()
        again = self.member(topic, [topic], auto_commit=False)
        wait(lambda: 4 <= len(again.records), "the records behind the commits")
        first = {p: min(o for _, q, o, _ in again.records if q == p) for _, p, _, _ in again.records}
        again.leave()
        equal(first.get(0), 4 if "async commit" in self.client.lacks else 6, "first offset behind the commit")

    def seek_and_pause(self):
        topic = self.topic("seek", 2)
        self.fill(topic, [(n % 2, f"{n}") for n in range(10)])
        member = self.member(topic, [topic])
        wait_for_values([member], {f"{n}" for n in range(10)})
        member.call(lambda d: d.pause(topic, 0))
        self.fill(topic, [(n % 2, f"{n}") for n in range(10, 20)])
        wait_for_values([member], {f"{n}" for n in range(11, 20, 2)})
        true("10" not in member.values(), "a record of a paused partition came")
        member.call(lambda d: d.resume(topic, 0))
        wait_for_values([member], {f"{n}" for n in range(20)})
        member.records.clear()
        member.call(lambda d: d.seek(topic, 1, 3))
        wait_for_values([member], {f"{n}" for n in range(7, 20, 2)})
        equal(min(o for _, _, o, _ in member.records), 3, "first offset after seeking")
        member.leave()

    def static_members(self):
        topic = self.topic("static", 4)
        a = self.member(topic, [topic], instance="one")
        b = self.member(topic, [topic], instance="two")
        wait_for_split([a, b], topic, [2, 2])
        had, kept, rebalances = a.assigned, b.assigned, (len(b.given), len(b.taken))
        a.leave()
        a = self.member(topic, [topic], instance="one")
        wait_for_split([a, b], topic, [2, 2])
        equal((a.assigned, b.assigned), (had, kept), "partitions after the bounce")
        equal((len(b.given), len(b.taken)), rebalances, "rebalances that the other member saw")
        a.leave()
        b.leave()

    def cooperative(self):
        topic = self.topic("cooperative", 4)
        a = self.member(topic, [topic], assignor="cooperative-sticky")
        wait_for_split([a], topic, [4])
        b = self.member(topic, [topic], assignor="cooperative-sticky")
        wait_for_split([a, b], topic, [2, 2])
        taken = frozenset().union(*a.taken)
        equal(taken, b.assigned, "what was taken from the first member")
        a.leave()
        b.leave()

    def pattern(self):
        prefix = self.name("pattern")
        for suffix in ["one", "two"]:
            self.client.create(f"{prefix}-{suffix}", 1)
        member = self.member(prefix, None, pattern=f"^{prefix}-.*")
        wait(lambda: len(member.assigned) == 2, lambda: f"partitions of two topics, but {member.assigned}")
        self.client.create(f"{prefix}-three", 1)
        self.client.create(f"other-{prefix}-four", 1)
        for suffix in ["one", "two", "three"]:
            self.fill(f"{prefix}-{suffix}", [(0, suffix)])
        wait_for_values([member], {"one", "two", "three"})
        equal({t for t, _ in member.assigned}, {f"{prefix}-{s}" for s in ["one", "two", "three"]}, "topics")
        member.leave()

    def later_topic(self):
        topic = self.name("later")
        member = self.member(topic, [topic])
        PAUSE.wait(1)
        self.client.create(topic, 2, exists=True)
        self.fill(topic, [(0, "first"), (0, "second")])
        wait_for_values([member], {"first", "second"})
        member.leave()

    def lost_member(self):
        topic = self.topic("lost", 4)
        with subprocess.Popen(
            [sys.executable, "-B", *sys.argv, "member", self.protocol, topic], stdout=subprocess.PIPE, text=True
        ) as other:
            try:
                true("joined" in (other.stdout.readline()), "the other process did not join")
                member = self.member(topic, [topic], session_ms=SESSION_MS)
                wait_for_split([member], topic, [2])
                self.fill(topic, [(n % 4, f"{n}") for n in range(8)])
                other.send_signal(signal.SIGKILL)
                wait_for_split([member], topic, [4])
                wait_for_values([member], {f"{n}" for n in range(8)})
                member.leave()
            finally:
                other.kill()

    def administration(self, checks):
        """What an admin sees and changes, step by step with one group."""
        admin = self.client.admin
        topic = group = self.topic("admin", 2)
        self.fill(topic, [(n % 2, f"{n}") for n in range(20)])
        member = self.member(group, [topic], auto_commit=False)
        wait_for_values([member], {f"{n}" for n in range(20)})
        member.call(lambda d: d.commit(topic, 0, 4, ""))
        member.call(lambda d: d.commit(topic, 1, 10, ""))

        def lag():
            committed = admin.committed(group)
            equal(committed, {(topic, 0): 4, (topic, 1): 10}, "committed offsets")
            ends = admin.end_offsets(list(committed))
            equal({at: ends[at] - committed[at] for at in ends}, {(topic, 0): 6, (topic, 1): 0}, "lag")

        def list_and_describe():
            true(group in admin.list_groups(), "the group is not listed")
            described = admin.describe(group)
            equal(described["state"], "stable", "state")
            equal(described["assignor"], self.client.assignors[self.protocol], "assignor")
            equal(described["members"], [frozenset({(topic, 0), (topic, 1)})], "assignments")

        def not_empty():
            refused = self.client.is_error("NON_EMPTY_GROUP")
            raises(lambda: admin.delete_group(group), refused, "deleting a group with a member")
            member.leave()
            # Not every client waits for the answer to its leaving.
            wait(lambda: admin.describe(group)["state"] == "empty", lambda: admin.describe(group))
            equal(admin.describe(group)["members"], [], "members of an empty group")

        def unknown():
            absent = self.name("absent")
            equal(admin.committed(absent), {}, "offsets of an unknown group")
            refused = self.client.is_error("GROUP_ID_NOT_FOUND")
            raises(lambda: admin.delete_group(absent), refused, "deleting an unknown group")

        def alter():
            admin.alter(group, {(topic, 0): 7, (topic, 1): 8})
            again = self.member(group, [topic], auto_commit=False)
            wait_for_values([again], {f"{n}" for n in [14, 16, 17, 18, 19]})
            equal(len(again.records), 5, "records behind the new offsets")
            again.leave()
            wait(lambda: admin.describe(group)["state"] == "empty", lambda: admin.describe(group))

        def delete_offsets():
            admin.delete_offsets(group, [(topic, 1)])
            true((topic, 1) not in admin.committed(group), "the offset is still there")

        def delete():
            admin.delete_group(group)
            true(group not in admin.list_groups(), "the group is still listed")
            equal(admin.committed(group), {}, "offsets of the deleted group")

        steps = {
            "lag": lag,
            "list and describe groups": list_and_describe,
            "groups with members are not deleted": not_empty,
            "unknown groups": unknown,
            "alter offsets of a group": alter,
            "delete offsets of a group": delete_offsets,
            "delete groups": delete,
        }
        for name, step in steps.items():
            if name not in self.client.lacks:
                checks.run(f"{self.protocol}/{name}", step)

    def steps(self, checks):
        """What can be run side by side."""
        features = {
            "members join and leave under load": self.under_load,
            "offsets are resumed": self.resume,
            "commits with metadata": self.commits,
            "seek and pause": self.seek_and_pause,
            "static members": self.static_members,
            "pattern subscriptions": self.pattern,
            "topics made after subscribing": self.later_topic,
            "a lost member is replaced": self.lost_member,
        }
        if self.protocol == "classic":
            features["cooperative rebalancing"] = self.cooperative
        for name, check in features.items():
            if name not in self.client.lacks:
                yield lambda name=name, check=check: checks.run(f"{self.protocol}/{name}", check)
        yield lambda: self.administration(checks)

    def settled(self):
        """A group at work, to have the broker restarted under it."""
        topic = self.topic("restarts", 4)
        return Settled(self.protocol, topic, Load(self.client, topic, 4), [self.member(topic, [topic]) for _ in range(2)])


class Settled:
    def __init__(self, protocol, topic, load, members):
        self.protocol, self.topic, self.load, self.members = protocol, topic, load, members
        self.written = 0

    def before(self):
        wait_for_split(self.members, self.topic, [2, 2])
        self.written = self.load.written

    def after(self):
        wait(lambda: self.written + 100 <= self.load.written or self.load.error, "the producer does not go on")
        wait_for_values(self.members, {f"{n}" for n in range(self.load.written)})
        wait_for_split(self.members, self.topic, [2, 2])

    def end(self):
        self.after()
        wait_for_values(self.members, self.load.stop())
        for member in self.members:
            member.leave()


def side_by_side(steps):
    threads = [threading.Thread(target=step, daemon=True) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def restarts(checks, groups):
    """The broker ends and comes back under groups, in order and by SIGKILL."""
    for want, feature, outcome in [
        ("restart", "broker stopped and started under a group", lambda group: group.after),
        ("kill", "broker killed under a group", lambda group: group.end),
    ]:
        for group in groups:
            group.before()
        done = checks.want(want)
        side_by_side(
            lambda group=group: checks.run_if(done, f"{group.protocol}/{feature}", outcome(group)) for group in groups
        )


def main(client, version):
    if sys.argv[1:2] == ["member"]:
        return stay(client, *sys.argv[2:])
    checks = Checks(client.name, version)
    suites = [Groups(client, protocol) for protocol in client.protocols]
    side_by_side([step for suite in suites for step in suite.steps(checks)] + client.further_steps(checks))
    restarts(checks, [suite.settled() for suite in suites] + client.further_groups())
    checks.finish()


def stay(client, protocol, topic):
    """A member in a process of its own, to be killed."""
    member = Member(client, topic, [topic], protocol=protocol, session_ms=SESSION_MS)
    wait(lambda: member.assigned, "no partitions")
    print("joined", flush=True)
    member.join()
    member.healthy()
