import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigOp.OpType;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.ListOffsetsResult.ListOffsetsResultInfo;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.consumer.OffsetOutOfRangeException;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidPartitionsException;
import org.apache.kafka.common.errors.InvalidReplicationFactorException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicIdException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Apache Kafka's Java client, default settings apart from the address. Compiles against 3.9 and 4.x, and runs with 3.7. */
public final class JavaClient {
    private static final Duration LIMIT = Duration.ofSeconds(30);

    private final Admin admin = Admin.create(settings());
    private final String plain = Checks.unique("java");
    private final String wide = Checks.unique("java-wide");

    public static void main(String[] arguments) {
        Checks checks = new Checks(arguments[0], arguments[1]);
        JavaClient client = new JavaClient();
        checks.run("describe cluster", client::cluster);
        checks.run("describe features", client::features);
        checks.run("create topics", client::createTopics);
        checks.run("describe and list topics", client::describeTopics);
        checks.run("create topics: existing and invalid", client::badTopics);
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            checks.run("round trip, offsets and times: " + codec, () -> client.roundTrip(codec));
        }
        checks.run("producer with default settings", client::defaultProducer);
        checks.run("acks 0, 1 and all", client::acknowledgements);
        checks.run("several partitions at once", client::partitions);
        checks.run("list offsets", client::listOffsets);
        checks.run("log append time", client::logAppendTime);
        checks.run("describe and alter configs", client::configs);
        checks.run("describe log dirs", client::logDirs);
        checks.run("describe producers", client::producers);
        checks.run("create partitions", client::createPartitions);
        checks.run("delete records, offset out of range", client::deleteRecords);
        checks.run("oversized record", client::oversized);
        checks.run("unknown topic", client::unknownTopic);
        checks.run("topic made by producing to it", client::autoCreate);
        checks.run("delete topics, by name and by id", client::deleteTopics);
        client.admin.close();
        checks.finish();
    }

    private static Map<String, Object> settings() {
        return new HashMap<>(Map.of("bootstrap.servers", Checks.bootstrap()));
    }

    private static <T> T get(Future<T> future) throws Exception {
        return future.get(LIMIT.toSeconds(), TimeUnit.SECONDS);
    }

    private static KafkaProducer<byte[], byte[]> producer(Map<String, Object> changes) {
        Map<String, Object> settings = settings();
        settings.putAll(changes);
        return new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private static KafkaConsumer<byte[], byte[]> consumer(Map<String, Object> changes) {
        Map<String, Object> settings = settings();
        settings.putAll(changes);
        return new KafkaConsumer<>(settings, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private void create(String name, int partitions, Map<String, String> changes) throws Exception {
        Map<String, String> configs = new HashMap<>(Map.of("retention.ms", "-1"));
        configs.putAll(changes);
        get(admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(configs))).all());
        Checks.eventually(() -> Checks.equal(describe(name).partitions().size(), partitions, "partitions"));
    }

    private TopicDescription describe(String name) throws Exception {
        return get(admin.describeTopics(List.of(name)).allTopicNames()).get(name);
    }

    private void cluster() throws Exception {
        var cluster = admin.describeCluster();
        List<Node> nodes = List.copyOf(get(cluster.nodes()));
        Checks.equal(nodes.size(), 1, "number of nodes");
        Checks.equal(nodes.get(0).host() + ":" + nodes.get(0).port(), Checks.bootstrap(), "advertised address");
        Checks.equal(get(cluster.controller()).id(), nodes.get(0).id(), "controller");
        Checks.isTrue(!get(cluster.clusterId()).isEmpty(), "no cluster id");
    }

    private void features() throws Exception {
        Checks.isTrue(get(admin.describeFeatures().featureMetadata()).finalizedFeatures() != null, "no features");
    }

    private void createTopics() throws Exception {
        create(plain, 1, Map.of());
        create(wide, 4, Map.of("max.message.bytes", "200000"));
        String defaults = Checks.unique("java-defaults");
        var created = admin.createTopics(List.of(new NewTopic(defaults, java.util.Optional.empty(), java.util.Optional.empty())));
        Checks.equal(get(created.numPartitions(defaults)), 1, "partitions by default");
        Checks.equal(get(created.replicationFactor(defaults)), 1, "replication factor by default");
        Checks.isTrue(!get(created.topicId(defaults)).equals(Uuid.ZERO_UUID), "no topic id");
        Checks.equal(get(created.config(defaults)).get("cleanup.policy").value(), "delete", "cleanup.policy of the new topic");
        String validated = Checks.unique("java-validated");
        get(admin.createTopics(
            List.of(new NewTopic(validated, 2, (short) 1)), new CreateTopicsOptions().validateOnly(true)).all());
        Checks.isTrue(!get(admin.listTopics().names()).contains(validated), "the validated topic was made");
    }

    private void describeTopics() throws Exception {
        TopicDescription topic = describe(wide);
        Checks.equal(topic.isInternal(), false, "internal");
        for (TopicPartitionInfo partition : topic.partitions()) {
            Checks.equal(partition.isr(), List.of(partition.leader()), "in-sync replicas");
            Checks.equal(partition.replicas(), List.of(partition.leader()), "replicas");
        }
        Uuid id = topic.topicId();
        var byId = get(admin.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds());
        Checks.equal(byId.get(id).name(), wide, "name for the topic id");
        Checks.isTrue(get(admin.listTopics().names()).containsAll(Set.of(plain, wide)), "a topic is not listed");
    }

    private void badTopics() {
        Checks.fails(TopicExistsException.class, "creating it again", () -> create(plain, 1, Map.of()));
        Checks.fails(InvalidTopicException.class, "name a/b", () -> create("a/b", 1, Map.of()));
        Checks.fails(InvalidPartitionsException.class, "no partitions", () -> create(Checks.unique("p"), 0, Map.of()));
        Checks.fails(InvalidReplicationFactorException.class, "three replicas",
            () -> get(admin.createTopics(List.of(new NewTopic(Checks.unique("r"), 1, (short) 3))).all()));
        Checks.fails(InvalidConfigurationException.class, "retention.ms=soon",
            () -> create(Checks.unique("c"), 1, Map.of("retention.ms", "soon")));
        Checks.fails(InvalidConfigurationException.class, "no.such.setting",
            () -> create(Checks.unique("c"), 1, Map.of("no.such.setting", "1")));
    }

    private static List<RecordMetadata> produce(
        String topic, Integer partition, List<Sample> samples, Map<String, Object> settings) throws Exception {
        try (KafkaProducer<byte[], byte[]> producer = producer(settings)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (Sample sample : samples) {
                sent.add(producer.send(sample.to(topic, partition)));
                if (sent.size() == Sample.COUNT / 2) {
                    producer.flush();
                }
            }
            List<RecordMetadata> placed = new ArrayList<>();
            for (Future<RecordMetadata> future : sent) {
                placed.add(get(future));
            }
            return placed;
        }
    }

    private static List<ConsumerRecord<byte[], byte[]>> poll(KafkaConsumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        while (records.size() < count) {
            int before = records.size();
            consumer.poll(LIMIT).forEach(records::add);
            Checks.isTrue(before < records.size(), "nothing came after " + before + " records");
        }
        return records;
    }

    /** Reads from an offset, from the beginning where it is negative. */
    private static List<ConsumerRecord<byte[], byte[]>> read(
        String topic, int partition, long offset, int count, Map<String, Object> settings) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(settings)) {
            TopicPartition at = new TopicPartition(topic, partition);
            consumer.assign(List.of(at));
            if (offset < 0) {
                consumer.seekToBeginning(List.of(at));
            } else {
                consumer.seek(at, offset);
            }
            return poll(consumer, count).subList(0, count);
        }
    }

    private static void sameRecords(String topic, int partition, List<Sample> expected) {
        var records = read(topic, partition, -1, expected.size(), Map.of());
        for (int i = 0; i < expected.size(); i++) {
            expected.get(i).same(records.get(i), i);
        }
    }

    private void roundTrip(String codec) throws Exception {
        String topic = Checks.unique("java-codec-" + codec);
        create(topic, 1, Map.of());
        List<Sample> expected = Sample.samples(codec);
        List<RecordMetadata> placed = produce(topic, 0, expected, Map.of("compression.type", codec));
        for (int i = 0; i < placed.size(); i++) {
            Checks.equal(placed.get(i).offset(), (long) i, "offset of a produced record");
            Checks.equal(placed.get(i).timestamp(), expected.get(i).timestamp(), "timestamp of a produced record");
        }
        sameRecords(topic, 0, expected);
        for (int offset : List.of(1, 17, Sample.COUNT / 2 + 5, Sample.COUNT - 1)) {
            expected.get(offset).same(read(topic, 0, offset, 1, Map.of()).get(0), offset);
        }
        times(new TopicPartition(topic, 0));
    }

    private static void times(TopicPartition at) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(Map.of())) {
            for (long i : List.of(0, 1, 29, 42, Sample.COUNT - 1)) {
                long time = Sample.FIRST_TIMESTAMP + i * Sample.TIMESTAMP_STEP;
                for (long timestamp : List.of(time, time - 1)) {
                    OffsetAndTimestamp found = consumer.offsetsForTimes(Map.of(at, timestamp)).get(at);
                    Checks.equal(found.offset(), i, "offset for a time");
                    Checks.equal(found.timestamp(), time, "timestamp for a time");
                }
            }
            long later = Sample.FIRST_TIMESTAMP + Sample.COUNT * Sample.TIMESTAMP_STEP;
            Checks.equal(consumer.offsetsForTimes(Map.of(at, later)).get(at), null, "offset for a later time");
        }
    }

    private void defaultProducer() throws Exception {
        String topic = Checks.unique("java-keyed");
        create(topic, 3, Map.of());
        List<Sample> samples = Sample.samples("defaults");
        produce(topic, null, samples, Map.of());
        List<TopicPartition> all =
            List.of(new TopicPartition(topic, 0), new TopicPartition(topic, 1), new TopicPartition(topic, 2));
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(Map.of("isolation.level", "read_committed"))) {
            long sum = consumer.endOffsets(all).values().stream().mapToLong(Long::longValue).sum();
            Checks.equal(sum, (long) Sample.COUNT, "records in all partitions");
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Checks.equal(poll(consumer, Sample.COUNT).size(), Sample.COUNT, "committed records");
        }
    }

    private void acknowledgements() throws Exception {
        for (String acks : List.of("0", "1", "all")) {
            String topic = Checks.unique("java-acks-" + acks);
            create(topic, 1, Map.of());
            List<Sample> samples = Sample.samples("acks " + acks);
            produce(topic, 0, samples, Map.of("acks", acks));
            sameRecords(topic, 0, samples);
        }
    }

    private void partitions() throws Exception {
        List<TopicPartition> all = new ArrayList<>();
        for (int p = 0; p < 4; p++) {
            produce(wide, p, Sample.samples("partition " + p).subList(0, 10 + p), Map.of());
            all.add(new TopicPartition(wide, p));
        }
        Map<Integer, Integer> seen = new LinkedHashMap<>();
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(Map.of())) {
            consumer.assign(all);
            consumer.seekToBeginning(all);
            for (ConsumerRecord<byte[], byte[]> record : poll(consumer, 46)) {
                int number = seen.merge(record.partition(), 1, Integer::sum) - 1;
                Sample.samples("partition " + record.partition()).get(number).same(record, number);
            }
        }
        Checks.equal(seen, Map.of(0, 10, 1, 11, 2, 12, 3, 13), "records by partition");
    }

    private ListOffsetsResultInfo offset(OffsetSpec spec) throws Exception {
        TopicPartition at = new TopicPartition(wide, 3);
        return get(admin.listOffsets(Map.of(at, spec)).partitionResult(at));
    }

    /** Whether this is 3.9 or later, by a word of its. */
    private static boolean isRecent() {
        return Arrays.stream(OffsetSpec.class.getMethods()).anyMatch(method -> method.getName().equals("latestTiered"));
    }

    private void listOffsets() throws Exception {
        Checks.equal(offset(OffsetSpec.earliest()).offset(), 0L, "earliest offset");
        Checks.equal(offset(OffsetSpec.latest()).offset(), 13L, "latest offset");
        Checks.equal(offset(OffsetSpec.maxTimestamp()).offset(), 12L, "offset of the highest timestamp");
        Checks.equal(offset(OffsetSpec.maxTimestamp()).timestamp(), Sample.FIRST_TIMESTAMP + 12_000, "highest timestamp");
        if (isRecent()) {
            Checks.equal(offset(OffsetSpec.earliestLocal()).offset(), 0L, "earliest local offset");
            Checks.equal(offset(OffsetSpec.latestTiered()).offset(), -1L, "latest tiered offset");
        }
        Checks.equal(offset(OffsetSpec.forTimestamp(Sample.FIRST_TIMESTAMP + 3_500)).offset(), 4L, "offset for a time");
    }

    private void logAppendTime() throws Exception {
        String topic = Checks.unique("java-append-time");
        create(topic, 1, Map.of("message.timestamp.type", "LogAppendTime"));
        List<RecordMetadata> placed =
            produce(topic, 0, Sample.samples("append time"), Map.of("compression.type", "lz4"));
        var records = read(topic, 0, -1, Sample.COUNT, Map.of());
        for (int i = 0; i < Sample.COUNT; i++) {
            ConsumerRecord<byte[], byte[]> record = records.get(i);
            Checks.equal(record.timestampType().name, "LogAppendTime", "timestamp type");
            Checks.equal(record.timestamp(), placed.get(i).timestamp(), "timestamp");
            Checks.isTrue(Sample.FIRST_TIMESTAMP + 1_000_000 < record.timestamp(), "the producer's timestamp");
        }
    }

    private ConfigEntry config(ConfigResource resource, String name) throws Exception {
        return get(admin.describeConfigs(List.of(resource)).all()).get(resource).get(name);
    }

    private void alter(String name, String value, OpType operation) throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, wide);
        AlterConfigOp change = new AlterConfigOp(new ConfigEntry(name, value), operation);
        get(admin.incrementalAlterConfigs(Map.of(topic, List.of(change))).all());
    }

    private void configs() throws Exception {
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, wide);
        Checks.equal(config(topic, "max.message.bytes").value(), "200000", "max.message.bytes");
        Checks.equal(config(topic, "max.message.bytes").source().name(), "DYNAMIC_TOPIC_CONFIG", "its source");
        Checks.equal(config(topic, "cleanup.policy").isDefault(), true, "cleanup.policy by default");
        alter("retention.bytes", "123456789", OpType.SET);
        Checks.eventually(() -> Checks.equal(config(topic, "retention.bytes").value(), "123456789", "retention.bytes"));
        alter("cleanup.policy", "compact", OpType.APPEND);
        Checks.eventually(() -> Checks.equal(config(topic, "cleanup.policy").value(), "delete,compact", "cleanup.policy"));
        alter("cleanup.policy", "compact", OpType.SUBTRACT);
        Checks.eventually(() -> Checks.equal(config(topic, "cleanup.policy").value(), "delete", "cleanup.policy"));
        alter("retention.bytes", null, OpType.DELETE);
        Checks.eventually(() -> Checks.equal(config(topic, "retention.bytes").value(), "-1", "retention.bytes"));
        Checks.fails(InvalidConfigurationException.class, "retention.ms=soon", () -> alter("retention.ms", "soon", OpType.SET));
        Checks.equal(config(topic, "max.message.bytes").value(), "200000", "max.message.bytes after the changes");
        String node = get(admin.describeCluster().controller()).idString();
        ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, node);
        Checks.isTrue(config(broker, "message.max.bytes") != null, "no message.max.bytes of the broker");
    }

    private void logDirs() throws Exception {
        int node = get(admin.describeCluster().controller()).id();
        var folders = get(admin.describeLogDirs(List.of(node)).allDescriptions()).get(node);
        var replica = folders.values().stream().map(f -> f.replicaInfos().get(new TopicPartition(wide, 3)))
            .filter(info -> info != null).findFirst();
        Checks.isTrue(replica.isPresent() && 0 < replica.get().size(), "the partition is in no log dir");
    }

    private void producers() throws Exception {
        TopicPartition at = new TopicPartition(wide, 3);
        List<ProducerState> active =
            get(admin.describeProducers(List.of(at)).partitionResult(at)).activeProducers();
        Checks.equal(active.size(), 1, "active producers");
        Checks.equal(active.get(0).lastSequence(), 12, "last sequence");
    }

    private void createPartitions() throws Exception {
        get(admin.createPartitions(Map.of(wide, NewPartitions.increaseTo(6))).all());
        Checks.eventually(() -> Checks.equal(describe(wide).partitions().size(), 6, "partitions"));
        Checks.fails(InvalidPartitionsException.class, "fewer partitions",
            () -> get(admin.createPartitions(Map.of(wide, NewPartitions.increaseTo(2))).all()));
    }

    private long deleteBefore(long offset) throws Exception {
        TopicPartition at = new TopicPartition(wide, 3);
        var deleted = admin.deleteRecords(Map.of(at, RecordsToDelete.beforeOffset(offset)));
        return get(deleted.lowWatermarks().get(at)).lowWatermark();
    }

    private void deleteRecords() throws Exception {
        Checks.equal(deleteBefore(7), 7L, "low watermark");
        Checks.equal(offset(OffsetSpec.earliest()).offset(), 7L, "earliest offset");
        Checks.equal(read(wide, 3, -1, 6, Map.of()).get(0).offset(), 7L, "offset from the beginning");
        Checks.equal(read(wide, 3, 2, 1, Map.of("auto.offset.reset", "earliest")).get(0).offset(), 7L, "offset after a reset");
        Checks.fails(OffsetOutOfRangeException.class, "reading below the log start",
            () -> read(wide, 3, 2, 1, Map.of("auto.offset.reset", "none")));
        Checks.fails(org.apache.kafka.common.errors.OffsetOutOfRangeException.class, "deleting beyond the end", () -> deleteBefore(1000));
        Checks.equal(deleteBefore(-1), 13L, "low watermark after deleting all");
    }

    private void oversized() {
        Sample big = new Sample(null, new byte[300_000], List.of(), Sample.FIRST_TIMESTAMP);
        Checks.fails(RecordTooLargeException.class, "a record above max.message.bytes",
            () -> produce(wide, 0, List.of(big), Map.of()));
    }

    private void unknownTopic() {
        String absent = Checks.unique("java-absent");
        Checks.fails(UnknownTopicOrPartitionException.class, "describing an unknown topic", () -> describe(absent));
        Checks.fails(UnknownTopicOrPartitionException.class, "deleting an unknown topic",
            () -> get(admin.deleteTopics(List.of(absent)).all()));
        Class<? extends Throwable> unknownId = isRecent() ? UnknownTopicIdException.class : InvalidTopicException.class;
        Checks.fails(unknownId, "describing an unknown topic id",
            () -> get(admin.describeTopics(TopicCollection.ofTopicIds(List.of(Uuid.randomUuid()))).allTopicIds()));
        Checks.fails(InvalidTopicException.class, "producing to an invalid name",
            () -> produce("not a name", null, Sample.samples("x").subList(0, 1), Map.of()));
    }

    private void autoCreate() throws Exception {
        String topic = Checks.unique("java-auto");
        List<Sample> samples = Sample.samples("auto").subList(0, 5);
        produce(topic, null, samples, Map.of());
        sameRecords(topic, 0, samples);
    }

    private void deleteTopics() throws Exception {
        get(admin.deleteTopics(List.of(plain)).all());
        Uuid id = describe(wide).topicId();
        KafkaFuture<Void> deleted = admin.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all();
        get(deleted);
        Checks.eventually(() -> {
            Set<String> listed = get(admin.listTopics().names());
            Checks.isTrue(!listed.contains(plain) && !listed.contains(wide), "a deleted topic is still listed");
        });
    }
}
