import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ConsumerGroupDescription;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownMemberIdException;

/** Groups with Apache Kafka's Java client 4.x, default settings apart from the address and what a check is about. */
public final class Groups {
    static final Duration LIMIT = Duration.ofSeconds(60);
    /** A member that is gone is missed after this long, where the client says so and not the broker. */
    private static final int SESSION_MS = 6000;

    static final Admin ADMIN = Admin.create(settings(Map.of()));

    private final String protocol;

    private Groups(String protocol) {
        this.protocol = protocol;
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments.length == 3 && arguments[0].equals("member")) {
            new Groups(arguments[1]).stay(arguments[2]);
            return;
        }
        Checks checks = new Checks(arguments[0], arguments[1]);
        List<Groups> suites = List.of(new Groups("classic"), new Groups("consumer"));
        List<Checks.Check> steps = new ArrayList<>(Shares.steps(checks));
        for (Groups suite : suites) {
            suite.features().forEach((name, check) -> steps.add(() -> checks.run(suite.protocol + "/" + name, check)));
            steps.add(() -> suite.administration(checks));
        }
        sideBySide(steps);
        List<Settled> groups = new ArrayList<>(List.of(Shares.settled()));
        for (Groups suite : suites) {
            groups.add(suite.settled());
        }
        restarts(checks, groups);
        checks.finish();
    }

    /** A group at work, to have the broker restarted under it. */
    interface Settled {
        String protocol();

        void before() throws Exception;

        void after() throws Exception;

        void end() throws Exception;
    }

    /** The broker ends and comes back under groups, in order and by SIGKILL. */
    private static void restarts(Checks checks, List<Settled> groups) throws Exception {
        for (String want : List.of("restart", "kill")) {
            for (Settled group : groups) {
                group.before();
            }
            boolean done = Checks.want(want);
            boolean last = want.equals("kill");
            List<Checks.Check> steps = new ArrayList<>();
            for (Settled group : groups) {
                String name = group.protocol() + (last ? "/broker killed under a group" : "/broker stopped and started under a group");
                steps.add(() -> checks.runIf(done, name, last ? group::end : group::after));
            }
            sideBySide(steps);
        }
    }

    static void sideBySide(List<Checks.Check> steps) throws Exception {
        List<Thread> threads = new ArrayList<>();
        for (Checks.Check step : steps) {
            Thread thread = new Thread(() -> {
                try {
                    step.run();
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            });
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) {
            thread.join();
        }
    }

    static Map<String, Object> settings(Map<String, Object> changes) {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", Checks.bootstrap()));
        settings.putAll(changes);
        return settings;
    }

    static <T> T get(Future<T> future) throws Exception {
        return future.get(LIMIT.toSeconds(), TimeUnit.SECONDS);
    }

    static void waitFor(BooleanSupplier condition, Supplier<String> what) throws InterruptedException {
        long deadline = System.nanoTime() + LIMIT.toNanos();
        while (!condition.getAsBoolean()) {
            Checks.isTrue(System.nanoTime() < deadline, "not after " + LIMIT + ": " + what.get());
            Thread.sleep(20);
        }
    }

    static void create(String topic, int partitions, boolean mayExist) throws Exception {
        try {
            get(ADMIN.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all());
        } catch (ExecutionException error) {
            if (!mayExist || !(error.getCause() instanceof TopicExistsException)) {
                throw error;
            }
        }
        Checks.eventually(() -> get(ADMIN.describeTopics(List.of(topic)).allTopicNames()));
    }

    private String topic(String what, int partitions) throws Exception {
        String name = Checks.unique("java-" + protocol + "-" + what);
        create(name, partitions, false);
        return name;
    }

    static Set<String> numbers(int from, int to) {
        return IntStream.range(from, to).mapToObj(Integer::toString).collect(Collectors.toSet());
    }

    /** Numbers go to the partitions in turn. */
    static void fill(String topic, int partitions, int from, int to) throws Exception {
        try (KafkaProducer<String, String> producer = Load.producer()) {
            Load.write(producer, topic, partitions, from, to);
        }
    }

    private Member member(String topic, Map<String, Object> changes) {
        return new Member(protocol, topic, List.of(topic), null, changes);
    }

    private Member member(String topic) {
        return member(topic, Map.of());
    }

    private Map<String, Checks.Check> features() {
        Map<String, Checks.Check> features = new LinkedHashMap<>();
        features.put("members join and leave under load", this::underLoad);
        features.put("offsets are resumed", this::resume);
        features.put("commits with metadata", this::commits);
        features.put("seek and pause", this::seekAndPause);
        features.put("static members", this::staticMembers);
        features.put("pattern subscriptions", this::pattern);
        features.put("topics made after subscribing", this::laterTopic);
        features.put("a lost member is replaced", this::lostMember);
        if (protocol.equals("classic")) {
            features.put("cooperative rebalancing", this::cooperative);
        }
        return features;
    }

    private void underLoad() throws Exception {
        String topic = topic("load", 6);
        Load load = new Load(topic, 6);
        Member a = member(topic);
        Member b = member(topic);
        Member.waitForSplit(List.of(a, b), topic, 3, 3);
        Member c = member(topic);
        Member.waitForSplit(List.of(a, b, c), topic, 2, 2, 2);
        b.leave();
        Member.waitForSplit(List.of(a, c), topic, 3, 3);
        Member.waitForValues(List.of(a, b, c), load.end());
        a.leave();
        c.leave();
    }

    private void resume() throws Exception {
        String topic = topic("resume", 2);
        fill(topic, 2, 0, 20);
        Member first = member(topic);
        Member.waitForValues(List.of(first), numbers(0, 20));
        first.leave();
        fill(topic, 2, 20, 30);
        Member second = member(topic);
        Member.waitForValues(List.of(second), numbers(20, 30));
        second.leave();
        Checks.equal(second.records.size(), 10, "number of records after the return");
    }

    private static Map<TopicPartition, OffsetAndMetadata> at(TopicPartition partition, long offset, String metadata) {
        return Map.of(partition, new OffsetAndMetadata(offset, metadata));
    }

    private void commits() throws Exception {
        String topic = topic("commits", 2);
        TopicPartition p0 = new TopicPartition(topic, 0);
        TopicPartition p1 = new TopicPartition(topic, 1);
        Member member = member(topic, Map.of("enable.auto.commit", false));
        Member.waitForSplit(List.of(member), topic, 2);
        fill(topic, 2, 0, 20);
        Member.waitForValues(List.of(member), numbers(0, 20));
        Checks.equal(member.call(c -> c.committed(Set.of(p0))).get(p0), null, "committed before the first commit");
        member.call(c -> {
            c.commitSync(at(p0, 4, "so far, grüße"));
            return c.committed(Set.of(p0));
        });
        Checks.equal(member.call(c -> c.committed(Set.of(p0))), at(p0, 4, "so far, grüße"), "committed");
        member.call(c -> {
            c.commitSync(at(p1, 7, ""));
            return null;
        });
        Checks.equal(member.call(c -> c.committed(Set.of(p1))), at(p1, 7, ""), "committed without metadata");
        CompletableFuture<Object> told = new CompletableFuture<>();
        member.call(c -> {
            c.commitAsync(at(p0, 6, "later"), (offsets, error) -> told.complete(error == null ? offsets : error));
            return null;
        });
        Checks.equal(get(told), at(p0, 6, "later"), "the asynchronous commit");
        Checks.equal(member.call(c -> c.committed(Set.of(p0))), at(p0, 6, "later"), "committed");
        member.leave();
        Member again = member(topic, Map.of("enable.auto.commit", false));
        Member.waitForValues(List.of(again), Set.of("12", "14", "16", "18", "15", "17", "19"));
        Checks.equal(again.records.size(), 7, "number of records behind the commits");
        again.leave();
    }

    private void seekAndPause() throws Exception {
        String topic = topic("seek", 2);
        TopicPartition p0 = new TopicPartition(topic, 0);
        fill(topic, 2, 0, 10);
        Member member = member(topic);
        Member.waitForValues(List.of(member), numbers(0, 10));
        member.call(c -> {
            c.pause(Set.of(p0));
            return null;
        });
        fill(topic, 2, 10, 20);
        Member.waitForValues(List.of(member), Set.of("11", "13", "15", "17", "19"));
        Checks.equal(member.records.size(), 15, "number of records with a paused partition");
        member.call(c -> {
            c.resume(Set.of(p0));
            return null;
        });
        Member.waitForValues(List.of(member), numbers(0, 20));
        member.call(c -> {
            member.records.clear();
            c.seek(new TopicPartition(topic, 1), 3);
            return null;
        });
        Member.waitForValues(List.of(member), Set.of("7", "9", "11", "13", "15", "17", "19"));
        Checks.equal(member.records.size(), 7, "number of records behind the offset that was sought");
        member.leave();
    }

    private void staticMembers() throws Exception {
        String topic = topic("static", 4);
        Member a = member(topic, Map.of("group.instance.id", "one"));
        Member b = member(topic, Map.of("group.instance.id", "two"));
        Member.waitForSplit(List.of(a, b), topic, 2, 2);
        Set<TopicPartition> had = a.assigned;
        Set<TopicPartition> kept = b.assigned;
        int rebalances = b.rebalances;
        a.leave();
        a = member(topic, Map.of("group.instance.id", "one"));
        Member.waitForSplit(List.of(a, b), topic, 2, 2);
        Checks.equal(a.assigned, had, "partitions after the bounce");
        Checks.equal(b.assigned, kept, "partitions of the other member");
        Checks.equal(b.rebalances, rebalances, "rebalances that the other member saw");
        a.leave();
        b.leave();
    }

    private void cooperative() throws Exception {
        String topic = topic("cooperative", 4);
        Map<String, Object> sticky = Map.of(
            "partition.assignment.strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor");
        Member a = member(topic, sticky);
        Member.waitForSplit(List.of(a), topic, 4);
        Member b = member(topic, sticky);
        Member.waitForSplit(List.of(a, b), topic, 2, 2);
        Checks.equal(a.taken, b.assigned, "what was taken from the first member");
        a.leave();
        b.leave();
    }

    private void pattern() throws Exception {
        String prefix = Checks.unique("java-" + protocol + "-pattern");
        create(prefix + "-one", 1, false);
        create(prefix + "-two", 1, false);
        Member member = new Member(protocol, prefix, null, Pattern.compile("^" + prefix + "-.*"), Map.of());
        waitFor(() -> member.assigned.size() == 2, () -> "two topics, but " + member.assigned + member.failure);
        create(prefix + "-three", 1, false);
        create("other-" + prefix + "-four", 1, false);
        fill(prefix + "-three", 1, 3, 4);
        fill(prefix + "-one", 1, 1, 2);
        Member.waitForValues(List.of(member), Set.of("1", "3"));
        Checks.equal(member.assigned.size(), 3, "number of partitions");
        member.leave();
    }

    private void laterTopic() throws Exception {
        String topic = Checks.unique("java-" + protocol + "-later");
        Member member = member(topic);
        Thread.sleep(1000);
        create(topic, 1, true);
        fill(topic, 1, 0, 2);
        Member.waitForValues(List.of(member), numbers(0, 2));
        member.leave();
    }

    private Map<String, Object> session() {
        return protocol.equals("classic") ? Map.of("session.timeout.ms", SESSION_MS) : Map.of();
    }

    private void lostMember() throws Exception {
        String topic = topic("lost", 4);
        ProcessHandle.Info self = ProcessHandle.current().info();
        List<String> command = new ArrayList<>(List.of(self.command().orElseThrow(), "-Xmx128m", "-XX:TieredStopAtLevel=1"));
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), "Groups", "member", protocol, topic));
        Process other = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.DISCARD).start();
        try {
            Checks.equal(other.inputReader().readLine(), "joined", "what the other process says");
            Member member = member(topic, session());
            Member.waitForSplit(List.of(member), topic, 2);
            fill(topic, 4, 0, 8);
            other.destroyForcibly();
            Member.waitForSplit(List.of(member), topic, 4);
            Member.waitForValues(List.of(member), numbers(0, 8));
            member.leave();
        } finally {
            other.destroyForcibly();
        }
    }

    /** A member in a process of its own, to be killed. */
    private void stay(String topic) throws Exception {
        Member member = member(topic, session());
        waitFor(() -> !member.assigned.isEmpty(), () -> "partitions");
        System.out.println("joined");
        member.join();
    }

    private Settled settled() throws Exception {
        String topic = topic("restarts", 4);
        Load load = new Load(topic, 4);
        List<Member> members = List.of(member(topic), member(topic));
        return new Settled() {
            private int written;

            @Override
            public String protocol() {
                return protocol;
            }

            @Override
            public void before() throws Exception {
                Member.waitForSplit(members, topic, 2, 2);
                written = load.written();
            }

            @Override
            public void after() throws Exception {
                load.goesOn(written);
                Member.waitForValues(members, numbers(0, load.written()));
                Member.waitForSplit(members, topic, 2, 2);
            }

            @Override
            public void end() throws Exception {
                after();
                Member.waitForValues(members, load.end());
                for (Member member : members) {
                    member.leave();
                }
            }
        };
    }

    private static Map<TopicPartition, Long> committed(String group) throws Exception {
        return get(ADMIN.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).entrySet().stream()
            .filter(e -> e.getValue() != null)
            .collect(Collectors.toMap(Map.Entry::getKey, e -> e.getValue().offset()));
    }

    private static ConsumerGroupDescription describe(String group) throws Exception {
        return get(ADMIN.describeConsumerGroups(List.of(group)).all()).get(group);
    }

    private static boolean listed(String group) throws Exception {
        return get(ADMIN.listGroups().all()).stream().map(GroupListing::groupId).anyMatch(group::equals);
    }

    private void waitForEmpty(String group) throws Exception {
        waitFor(() -> {
            try {
                return describe(group).groupState().toString().equals("Empty");
            } catch (Exception error) {
                throw new AssertionError(error);
            }
        }, () -> "an empty group");
    }

    /** What an admin sees and changes, step by step with one group. */
    private void administration(Checks checks) throws Exception {
        String topic = topic("admin", 2);
        TopicPartition p0 = new TopicPartition(topic, 0);
        TopicPartition p1 = new TopicPartition(topic, 1);
        fill(topic, 2, 0, 20);
        Map<String, Object> manual = Map.of("enable.auto.commit", false);
        Member member = member(topic, manual);
        checks.run(protocol + "/lag", () -> {
            Member.waitForValues(List.of(member), numbers(0, 20));
            member.call(c -> {
                c.commitSync(Map.of(p0, new OffsetAndMetadata(4), p1, new OffsetAndMetadata(10)));
                return null;
            });
            Checks.equal(committed(topic), Map.of(p0, 4L, p1, 10L), "committed offsets");
            var ends = get(ADMIN.listOffsets(Map.of(p0, OffsetSpec.latest(), p1, OffsetSpec.latest())).all());
            Checks.equal(ends.get(p0).offset() - committed(topic).get(p0), 6L, "lag");
            Checks.equal(member.call(c -> c.currentLag(p1)).getAsLong(), 0L, "lag as the consumer sees it");
        });
        checks.run(protocol + "/list and describe groups", () -> {
            Checks.isTrue(listed(topic), "the group is not listed");
            ConsumerGroupDescription group = describe(topic);
            Checks.equal(group.groupState().toString(), "Stable", "state");
            Checks.equal(group.type().toString().toLowerCase(), protocol, "type");
            Checks.equal(group.partitionAssignor(), protocol.equals("classic") ? "range" : "uniform", "assignor");
            Checks.equal(group.members().size(), 1, "members");
            Checks.equal(group.members().iterator().next().assignment().topicPartitions(), Set.of(p0, p1), "assignment");
            Checks.equal(group.coordinator().port(), Integer.parseInt(Checks.bootstrap().split(":")[1]), "coordinator");
        });
        checks.run(protocol + "/groups with members are not deleted", () -> {
            Checks.fails(GroupNotEmptyException.class, "deleting a group with a member",
                () -> get(ADMIN.deleteConsumerGroups(List.of(topic)).all()));
            Checks.fails(GroupSubscribedToTopicException.class, "deleting offsets of a group that is subscribed",
                () -> get(ADMIN.deleteConsumerGroupOffsets(topic, Set.of(p0)).all()));
            Checks.fails(UnknownMemberIdException.class, "altering offsets of a group with a member",
                () -> get(ADMIN.alterConsumerGroupOffsets(topic, at(p0, 1, "")).all()));
            member.leave();
            waitForEmpty(topic);
            Checks.equal(describe(topic).members().size(), 0, "members of an empty group");
        });
        checks.run(protocol + "/unknown groups", () -> {
            String absent = Checks.unique("java-absent");
            Checks.equal(committed(absent), Map.of(), "offsets of an unknown group");
            Checks.fails(GroupIdNotFoundException.class, "describing an unknown group", () -> describe(absent));
            Checks.fails(GroupIdNotFoundException.class, "deleting an unknown group",
                () -> get(ADMIN.deleteConsumerGroups(List.of(absent)).all()));
        });
        checks.run(protocol + "/alter offsets of a group", () -> {
            get(ADMIN.alterConsumerGroupOffsets(topic, Map.of(p0, new OffsetAndMetadata(7), p1, new OffsetAndMetadata(8))).all());
            Member again = member(topic, manual);
            Member.waitForValues(List.of(again), Set.of("14", "16", "18", "17", "19"));
            Checks.equal(again.records.size(), 5, "number of records behind the new offsets");
            again.leave();
            waitForEmpty(topic);
        });
        checks.run(protocol + "/delete offsets of a group", () -> {
            get(ADMIN.deleteConsumerGroupOffsets(topic, Set.of(p1)).all());
            Checks.equal(committed(topic).keySet(), Set.of(p0), "partitions with offsets");
        });
        checks.run(protocol + "/delete groups", () -> {
            get(ADMIN.deleteConsumerGroups(List.of(topic)).all());
            Checks.isTrue(!listed(topic), "the group is still listed");
            Checks.equal(committed(topic), Map.of(), "offsets of the deleted group");
        });
    }
}
