import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;

import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Share groups with Apache Kafka's Java client 4.x. */
final class Shares {
    /** How long a record is locked where a check waits for the end of it; else it is long, so that no pause ends a lock. */
    private static final int SHORT_LOCK_MS = 4000;
    /** How often a record is handed out by default. */
    private static final int DELIVERIES = 5;

    private Shares() {
    }

    static List<Checks.Check> steps(Checks checks) {
        Map<String, Checks.Check> features = new LinkedHashMap<>();
        features.put("members share a partition", Shares::twoMembers);
        features.put("accept, release and reject", Shares::acknowledgements);
        features.put("renew", Shares::renew);
        features.put("locks expire", Shares::locks);
        features.put("delivery limit", Shares::deliveryLimit);
        features.put("list, describe and delete groups", Shares::administration);
        features.put("alter and delete offsets of a group", Shares::offsets);
        List<Checks.Check> steps = new ArrayList<>();
        features.forEach((name, check) -> steps.add(() -> checks.run("share/" + name, check)));
        return steps;
    }

    /** A topic of one partition, and a share group of the same name that reads it from its beginning. */
    private static String topic(String what) throws Exception {
        return topic(what, new ConfigEntry("share.auto.offset.reset", "earliest"));
    }

    private static String topicWithShortLocks(String what) throws Exception {
        return topic(what, new ConfigEntry("share.auto.offset.reset", "earliest"),
            new ConfigEntry("share.record.lock.duration.ms", Integer.toString(SHORT_LOCK_MS)));
    }

    private static String topic(String what, ConfigEntry... settings) throws Exception {
        String name = Checks.unique("java-share-" + what);
        Groups.create(name, 1, false);
        var changes = Arrays.stream(settings).map(entry -> new AlterConfigOp(entry, AlterConfigOp.OpType.SET)).toList();
        Groups.get(Groups.ADMIN.incrementalAlterConfigs(
            Map.of(new ConfigResource(ConfigResource.Type.GROUP, name), changes)).all());
        return name;
    }

    private static KafkaShareConsumer<String, String> consumer(String topic, String mode) {
        Map<String, Object> settings = Groups.settings(Map.of("group.id", topic, "share.acknowledgement.mode", mode));
        var consumer = new KafkaShareConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
        consumer.subscribe(List.of(topic));
        return consumer;
    }

    /** The records of one poll that has some. */
    private static List<ConsumerRecord<String, String>> take(KafkaShareConsumer<String, String> consumer, int count)
        throws Exception {
        List<ConsumerRecord<String, String>> taken = new ArrayList<>();
        Groups.waitFor(() -> {
            consumer.poll(Duration.ofMillis(200)).forEach(taken::add);
            return count <= taken.size();
        }, () -> count + " records, but " + taken.size() + " came");
        taken.sort(Comparator.comparingLong(ConsumerRecord::offset));
        return taken;
    }

    private static List<String> tell(List<ConsumerRecord<String, String>> records) {
        return records.stream().map(r -> r.value() + " " + r.deliveryCount().orElse((short) -1)).toList();
    }

    private static void commit(KafkaShareConsumer<String, String> consumer) {
        consumer.commitSync(Groups.LIMIT).forEach(
            (partition, error) -> Checks.isTrue(error.isEmpty(), "acknowledging in " + partition + ": " + error));
    }

    private static void acknowledgements() throws Exception {
        String topic = topic("kinds");
        try (var consumer = consumer(topic, "explicit")) {
            Groups.fill(topic, 1, 0, 6);
            List<ConsumerRecord<String, String>> records = new ArrayList<>();
            // Records of a poll must be acknowledged before the next one.
            while (records.size() < 6) {
                for (var record : take(consumer, 1)) {
                    records.add(record);
                    AcknowledgeType[] kinds = {AcknowledgeType.ACCEPT, AcknowledgeType.RELEASE, AcknowledgeType.REJECT};
                    if (record.deliveryCount().orElse((short) 0) == 1) {
                        consumer.acknowledge(record, kinds[(int) record.offset() % 3]);
                    } else {
                        consumer.acknowledge(record, AcknowledgeType.ACCEPT);
                    }
                }
                commit(consumer);
            }
            Set<String> came = new HashSet<>(tell(records));
            while (!came.containsAll(Set.of("1 2", "4 2"))) {
                for (var record : take(consumer, 1)) {
                    came.addAll(tell(List.of(record)));
                    consumer.acknowledge(record, AcknowledgeType.ACCEPT);
                }
                commit(consumer);
            }
            Checks.equal(came, Set.of("0 1", "1 1", "2 1", "3 1", "4 1", "5 1", "1 2", "4 2"), "records and deliveries");
            Groups.fill(topic, 1, 6, 7);
            var last = take(consumer, 1);
            Checks.equal(tell(last), List.of("6 1"), "what comes after all is acknowledged");
            consumer.acknowledge(last.get(0));
            commit(consumer);
        }
    }

    private static void renew() throws Exception {
        String topic = topicWithShortLocks("renew");
        Groups.fill(topic, 1, 0, 1);
        try (var holder = consumer(topic, "explicit"); var other = consumer(topic, "explicit")) {
            var held = take(holder, 1).get(0);
            // Beyond the time of the first lock.
            long end = System.nanoTime() + Duration.ofMillis(SHORT_LOCK_MS * 3 / 2).toNanos();
            while (System.nanoTime() < end) {
                holder.acknowledge(held, AcknowledgeType.RENEW);
                commit(holder);
                // It comes again, still with its first delivery.
                held = take(holder, 1).get(0);
                Checks.equal(tell(List.of(held)), List.of("0 1"), "renewed record");
                Checks.equal(other.poll(Duration.ofMillis(300)).count(), 0, "records of the other member");
            }
            holder.acknowledge(held, AcknowledgeType.ACCEPT);
            commit(holder);
        }
    }

    private static void locks() throws Exception {
        String topic = topicWithShortLocks("locks");
        Groups.fill(topic, 1, 0, 1);
        try (var holder = consumer(topic, "explicit"); var other = consumer(topic, "explicit")) {
            Checks.equal(tell(take(holder, 1)), List.of("0 1"), "record");
            var taken = take(other, 1);
            Checks.equal(tell(taken), List.of("0 2"), "record after its lock");
            other.acknowledge(taken.get(0));
            commit(other);
        }
    }

    private static void deliveryLimit() throws Exception {
        String topic = topic("limit");
        Groups.fill(topic, 1, 0, 1);
        try (var consumer = consumer(topic, "explicit")) {
            for (int delivery = 1; delivery <= DELIVERIES; delivery++) {
                var taken = take(consumer, 1);
                Checks.equal(tell(taken), List.of("0 " + delivery), "record");
                consumer.acknowledge(taken.get(0), AcknowledgeType.RELEASE);
                commit(consumer);
            }
            Groups.fill(topic, 1, 1, 2);
            var next = take(consumer, 1);
            Checks.equal(tell(next), List.of("1 1"), "record after the last delivery of the other");
            consumer.acknowledge(next.get(0));
            commit(consumer);
        }
    }

    private static void administration() throws Exception {
        String topic = topic("admin");
        Groups.fill(topic, 1, 0, 1);
        try (var consumer = consumer(topic, "implicit")) {
            take(consumer, 1);
            commit(consumer);
            Set<String> listed = Groups.get(Groups.ADMIN.listGroups().all()).stream()
                .filter(group -> group.type().isPresent() && group.type().get().toString().equals("Share"))
                .map(GroupListing::groupId).collect(Collectors.toSet());
            Checks.isTrue(listed.contains(topic), "the group is not listed");
            var group = Groups.get(Groups.ADMIN.describeShareGroups(List.of(topic)).all()).get(topic);
            Checks.equal(group.groupState().toString(), "Stable", "state");
            Checks.equal(group.members().size(), 1, "members");
            Checks.equal(group.members().iterator().next().assignment().topicPartitions(),
                Set.of(new TopicPartition(topic, 0)), "assignment");
            Checks.fails(GroupNotEmptyException.class, "deleting a group with a member",
                () -> Groups.get(Groups.ADMIN.deleteShareGroups(List.of(topic)).all()));
        }
        Groups.get(Groups.ADMIN.deleteShareGroups(List.of(topic)).all());
    }

    private static long start(String topic) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        var spec = new org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec().topicPartitions(List.of(partition));
        var offsets = Groups.get(Groups.ADMIN.listShareGroupOffsets(Map.of(topic, spec)).all()).get(topic);
        return offsets.get(partition).startOffset();
    }

    private static void offsets() throws Exception {
        String topic = topic("offsets");
        TopicPartition partition = new TopicPartition(topic, 0);
        Groups.fill(topic, 1, 0, 3);
        try (var consumer = consumer(topic, "implicit")) {
            take(consumer, 3);
            commit(consumer);
        }
        Groups.get(Groups.ADMIN.alterShareGroupOffsets(topic, Map.of(partition, 1L)).all());
        Checks.equal(start(topic), 1L, "start offset");
        try (var consumer = consumer(topic, "implicit")) {
            Checks.equal(tell(take(consumer, 2)), List.of("1 1", "2 1"), "records behind the new offset");
            commit(consumer);
        }
        Groups.get(Groups.ADMIN.deleteShareGroupOffsets(topic, Set.of(topic)).all());
    }

    /** A member of a share group that accepts all it gets. */
    private static final class Sharer extends Thread {
        private final String topic;
        final List<String> values = Collections.synchronizedList(new ArrayList<>());
        private volatile boolean leaving = false;
        private volatile Throwable failure;

        Sharer(String topic) {
            this.topic = topic;
            start();
        }

        @Override
        public void run() {
            try (var consumer = consumer(topic, "implicit")) {
                while (!leaving) {
                    consumer.poll(Duration.ofMillis(100)).forEach(record -> values.add(record.value()));
                }
            } catch (Exception error) {
                failure = error;
            }
        }

        int count() {
            Checks.isTrue(failure == null, "consuming: " + failure);
            return values.size();
        }
    }

    /** Two members, who both get records. */
    private static final class Sharing implements Groups.Settled {
        private final String topic;
        private final Load load;
        final List<Sharer> members;
        private int written;

        Sharing(String topic) {
            this.topic = topic;
            load = new Load(topic, 1);
            members = List.of(new Sharer(topic), new Sharer(topic));
        }

        @Override
        public String protocol() {
            return "share";
        }

        @Override
        public void before() throws Exception {
            List<Integer> had = members.stream().map(Sharer::count).toList();
            Groups.waitFor(() -> had.get(0) < members.get(0).count() && had.get(1) < members.get(1).count(),
                () -> "records for both members");
            written = load.written();
        }

        private void waitForAll(Set<String> expected) throws Exception {
            Groups.waitFor(() -> missing(expected).isEmpty(), () -> "records that did not come: " + missing(expected));
        }

        private Set<String> missing(Set<String> expected) {
            Set<String> left = new HashSet<>(expected);
            for (Sharer member : members) {
                synchronized (member.values) {
                    left.removeAll(member.values);
                }
            }
            return left;
        }

        @Override
        public void after() throws Exception {
            load.goesOn(written);
            waitForAll(Groups.numbers(0, load.written()));
            before();
        }

        @Override
        public void end() throws Exception {
            after();
            waitForAll(load.end());
            for (Sharer member : members) {
                member.leaving = true;
                member.join(Groups.LIMIT.toMillis());
                Checks.isTrue(!member.isAlive(), topic + ": the consumer does not close");
            }
        }
    }

    private static void twoMembers() throws Exception {
        Sharing group = new Sharing(topic("two"));
        group.before();
        group.end();
        int total = group.members.stream().mapToInt(Sharer::count).sum();
        Checks.equal(total, group.load.written(), "records in all");
    }

    static Groups.Settled settled() throws Exception {
        return new Sharing(topic("restarts"));
    }
}
