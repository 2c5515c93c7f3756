import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Fills topics of a Kafka, or of sendlog, in every way that a log can look, and prints all that is in them. */
public final class KafkaData {
    private static final Duration LIMIT = Duration.ofSeconds(60);
    /** Far enough back for any retention that nobody chose to strike. */
    private static final long FIRST_TIMESTAMP = 1_500_000_000_000L;
    private static final long TIMESTAMP_STEP = 1_000;
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");
    /** Each of its topics rolls a segment after so many records, by their timestamps. */
    private static final String SEGMENT_MS = "20000";

    private final String bootstrap;
    private final Admin admin;

    private KafkaData(String bootstrap) {
        this.bootstrap = bootstrap;
        this.admin = Admin.create(settings(Map.of()));
    }

    /** BOOTSTRAP, then commands with their arguments, each but the first behind a "--". */
    public static void main(String[] args) throws Exception {
        KafkaData data = new KafkaData(args[0]);
        List<String> command = new ArrayList<>();
        for (String word : List.of(args).subList(1, args.length)) {
            if (word.equals("--")) {
                data.run(command);
                command.clear();
            } else {
                command.add(word);
            }
        }
        data.run(command);
        data.admin.close();
        System.out.flush();
    }

    private void run(List<String> command) throws Exception {
        List<String> arguments = List.copyOf(command.subList(1, command.size()));
        switch (command.get(0)) {
            case "ready" -> admin.describeCluster().nodes().get();
            case "create" -> create();
            case "topics" -> plainTopics(arguments);
            case "write" -> write(Integer.parseInt(arguments.get(0)));
            case "settle" -> settle(Path.of(arguments.get(0)));
            case "append" -> append(arguments);
            case "dump" -> dump(arguments);
            default -> throw new IllegalArgumentException(command.get(0));
        }
    }

    private Map<String, Object> settings(Map<String, Object> changes) {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
        settings.putAll(changes);
        return settings;
    }

    private static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(LIMIT.toSeconds(), TimeUnit.SECONDS);
    }

    private void newTopic(String name, int partitions, Map<String, String> configs) throws Exception {
        get(admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1).configs(configs))).all());
    }

    /** Topics as `NAME=PARTITIONS`, without settings of their own. */
    private void plainTopics(List<String> topics) throws Exception {
        List<NewTopic> all = new ArrayList<>();
        for (String topic : topics) {
            String[] words = topic.split("=");
            all.add(new NewTopic(words[0], Integer.parseInt(words[1]), (short) 1));
        }
        get(admin.createTopics(all).all());
    }

    private void create() throws Exception {
        Map<String, String> small = Map.of("segment.ms", SEGMENT_MS, "retention.ms", "-1");
        for (String codec : CODECS) {
            newTopic("codec-" + codec, 1, small);
        }
        newTopic("wide", 3, Map.of());
        newTopic("compacted", 1, Map.of(
            "cleanup.policy", "compact", "segment.ms", SEGMENT_MS, "min.cleanable.dirty.ratio", "0.001"));
        newTopic("trimmed", 1, small);
        newTopic("emptied", 1, small);
        newTopic("untouched", 2, small);
        newTopic("stamped", 1, Map.of("message.timestamp.type", "LogAppendTime", "retention.ms", "3600000"));
        newTopic("committed", 1, small);
        newTopic("aborted", 1, small);
        newTopic("removed", 1, small);
    }

    /** A round of records in all topics; several rounds are written under several leader epochs. */
    private void write(int round) throws Exception {
        for (String codec : CODECS) {
            produce("codec-" + codec, 0, round, 60, Map.of("compression.type", codec));
        }
        for (int partition = 0; partition < 3; partition++) {
            produce("wide", partition, round, 10 + 10 * partition, Map.of("compression.type", "zstd"));
        }
        for (int part = 0; part < 3; part++) {
            String codec = CODECS.get((round + part) % CODECS.size());
            produce("compacted", 0, 3 * round + part, 60, Map.of("compression.type", codec));
        }
        for (String topic : List.of("trimmed", "emptied", "stamped", "removed")) {
            produce(topic, 0, round, 60, Map.of());
        }
        transaction("committed", round, true);
        transaction("aborted", round, round == 0);
        commitAnOffset();
    }

    private static ProducerRecord<byte[], byte[]> record(String topic, int partition, int round, int i) {
        // Few keys, so that a compacted topic has something to lose; and now and then a tombstone.
        byte[] key = utf8("key-" + (i % 7));
        byte[] value = i % 13 == 5 ? null : utf8((topic + " " + round + " " + i + " grüße ").repeat(1 + i % 40));
        List<Header> headers = i % 3 == 0
            ? List.of()
            : List.of(new RecordHeader("n", utf8(String.valueOf(i))), new RecordHeader("n", null));
        long timestamp = FIRST_TIMESTAMP + (round * 1000L + i) * TIMESTAMP_STEP;
        return new ProducerRecord<>(topic, partition, timestamp, key, value, headers);
    }

    private KafkaProducer<byte[], byte[]> producer(Map<String, Object> changes) {
        return new KafkaProducer<>(settings(changes), new ByteArraySerializer(), new ByteArraySerializer());
    }

    private void produce(String topic, int partition, int round, int count, Map<String, Object> changes) {
        try (KafkaProducer<byte[], byte[]> producer = producer(changes)) {
            for (int i = 0; i < count; i++) {
                producer.send(record(topic, partition, round, i));
                if (i % 5 == 4) {
                    producer.flush();
                }
            }
        }
    }

    private void transaction(String topic, int round, boolean isCommitted) {
        try (KafkaProducer<byte[], byte[]> producer = producer(Map.of("transactional.id", topic))) {
            producer.initTransactions();
            for (int part = 0; part < 2; part++) {
                producer.beginTransaction();
                for (int i = 0; i < 10; i++) {
                    producer.send(record(topic, 0, round, 10 * part + i));
                }
                producer.flush();
                if (isCommitted) {
                    producer.commitTransaction();
                } else {
                    producer.abortTransaction();
                }
            }
        }
    }

    private void commitAnOffset() {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(Map.of("group.id", "group"))) {
            consumer.commitSync(Map.of(new TopicPartition("wide", 0), new OffsetAndMetadata(3)));
        }
    }

    /** Deletes records and a topic, and waits until compaction has done what there is to do. */
    private void settle(Path logDir) throws Exception {
        delete("trimmed", 37);
        delete("emptied", -1);
        get(admin.deleteTopics(List.of("removed")).all());
        Path checkpoint = logDir.resolve("cleaner-offset-checkpoint");
        while (!Files.exists(checkpoint) || !Files.readString(checkpoint).contains("compacted 0 " + activeSegment(logDir) + "\n")) {
            Thread.sleep(50);
        }
    }

    private void delete(String topic, long before) throws Exception {
        var deletion = admin.deleteRecords(Map.of(new TopicPartition(topic, 0), RecordsToDelete.beforeOffset(before)));
        get(deletion.all());
    }

    private static long activeSegment(Path logDir) throws IOException {
        try (var files = Files.list(logDir.resolve("compacted-0"))) {
            return files.map(path -> path.getFileName().toString())
                .filter(name -> name.endsWith(".log"))
                .mapToLong(name -> Long.parseLong(name.substring(0, 20)))
                .max().orElseThrow();
        }
    }

    private void append(List<String> topics) throws Exception {
        for (String topic : topics) {
            int partitions = get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().size();
            for (int partition = 0; partition < partitions; partition++) {
                produce(topic, partition, 9, 30, Map.of("compression.type", CODECS.get(partition % CODECS.size())));
            }
        }
    }

    private KafkaConsumer<byte[], byte[]> consumer(Map<String, Object> changes) {
        return new KafkaConsumer<>(settings(changes), new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private void dump(List<String> topics) throws Exception {
        for (String topic : topics) {
            int partitions = get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().size();
            for (int partition = 0; partition < partitions; partition++) {
                dump(new TopicPartition(topic, partition), "read_uncommitted");
                dump(new TopicPartition(topic, partition), "read_committed");
            }
        }
    }

    /** A line for each record, and what look-ups by offset and time answer. */
    private void dump(TopicPartition at, String isolation) throws Exception {
        // Fetches that wait at the end of the log would delay each seek.
        Map<String, Object> changes = Map.of("isolation.level", isolation, "fetch.max.wait.ms", 10);
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(changes)) {
            long start = consumer.beginningOffsets(List.of(at)).get(at);
            long end = consumer.endOffsets(List.of(at)).get(at);
            System.out.println("partition " + at + " " + isolation + " " + start + " " + end);
            consumer.assign(List.of(at));
            List<ConsumerRecord<byte[], byte[]>> records = readFrom(consumer, at, start, end);
            for (var record : records) {
                System.out.println("record " + at + " " + show(record));
            }
            if (isolation.equals("read_committed")) {
                return;
            }
            // From offsets that are there and from some that compaction has taken.
            for (long offset = start; offset < end; offset += 1 + (end - start) / 40) {
                long from = offset;
                var next = records.stream().filter(record -> from <= record.offset()).findFirst();
                consumer.seek(at, offset);
                var first = next.isEmpty() ? null : consumer.poll(LIMIT).records(at).get(0);
                long found = first == null ? -1 : first.offset();
                if (next.isPresent() && found != next.get().offset()) {
                    throw new AssertionError(at + ": from offset " + offset + " came " + found);
                }
            }
            // Kafka finds nothing in an empty log whose files are still there, or the wrong thing; so nobody asks.
            if (records.isEmpty()) {
                return;
            }
            long first = records.get(0).timestamp();
            for (int i = 0; i < 10_000; i += 97) {
                // Nor does it look further when the first record of such a time is below the log's start.
                long time = first + i * TIMESTAMP_STEP;
                System.out.println("time " + at + " " + time + " " + consumer.offsetsForTimes(Map.of(at, time)).get(at));
            }
            var latest = admin.listOffsets(Map.of(at, OffsetSpec.maxTimestamp())).partitionResult(at);
            System.out.println("latest " + at + " " + get(latest).offset() + " " + get(latest).timestamp());
        }
    }

    private static List<ConsumerRecord<byte[], byte[]>> readFrom(
        KafkaConsumer<byte[], byte[]> consumer, TopicPartition at, long start, long end) {
        consumer.seek(at, start);
        List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
        while (consumer.position(at) < end) {
            long before = consumer.position(at);
            records.addAll(consumer.poll(LIMIT).records(at));
            if (consumer.position(at) == before) {
                throw new AssertionError(at + ": nothing comes from offset " + before + " on, before " + end);
            }
        }
        return records;
    }

    private static String show(ConsumerRecord<byte[], byte[]> record) throws Exception {
        StringBuilder out = new StringBuilder();
        out.append(record.offset()).append(' ').append(record.timestampType()).append(' ').append(record.timestamp());
        out.append(" epoch ").append(record.leaderEpoch().orElse(-1));
        out.append(' ').append(digest(record.key())).append(' ').append(digest(record.value()));
        for (Header header : record.headers()) {
            out.append(' ').append(header.key()).append('=').append(digest(header.value()));
        }
        return out.toString();
    }

    private static String digest(byte[] bytes) throws Exception {
        if (bytes == null) {
            return "null";
        }
        byte[] hash = MessageDigest.getInstance("SHA-256").digest(bytes);
        return bytes.length + ":" + HexFormat.of().formatHex(hash, 0, 8);
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
