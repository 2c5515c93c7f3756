import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.stream.IntStream;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.state.KeyValueStore;

/**
 * An application of Kafka Streams: which lines contain which word, counted with a state store, its changelog and a
 * repartition topic. Lines are numbered, and a word has the set of its lines: processing a line twice changes nothing, so
 * that the result of an application that is killed, and promises "at least once", can be compared exactly.
 */
public final class StreamsLines {
    private static final String APPLICATION = "words";
    private static final String LINES = "streams-lines";
    private static final String WORDS = "streams-words";
    private static final int PARTITIONS = 3;
    private static final long LIMIT_MS = 120_000;

    /** "run BOOTSTRAP FOLDER", "feed BOOTSTRAP FILE FROM TO", "check BOOTSTRAP FILE TO" or "topics BOOTSTRAP". */
    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "run" -> run(args[1], args[2]);
            case "feed" -> feed(args[1], lines(args[2]), Integer.parseInt(args[3]), Integer.parseInt(args[4]));
            case "check" -> check(args[1], expected(lines(args[2]).subList(0, Integer.parseInt(args[3]))));
            case "topics" -> topics(args[1]);
            default -> throw new IllegalArgumentException(args[0]);
        }
        System.out.flush();
    }

    private static List<String> lines(String file) throws Exception {
        return Files.readAllLines(Path.of(file), StandardCharsets.UTF_8);
    }

    /** Until SIGTERM. */
    private static void run(String bootstrap, String folder) throws Exception {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(LINES, Consumed.with(Serdes.String(), Serdes.String()))
            .flatMap((number, line) -> distinctWords(line).stream().map(word -> KeyValue.pair(word, number)).toList())
            .groupByKey(Grouped.with("by-word", Serdes.String(), Serdes.String()))
            .aggregate(() -> new byte[0], (word, number, set) -> with(set, Integer.parseInt(number)),
                Materialized.<String, byte[], KeyValueStore<Bytes, byte[]>>as("sets")
                    .withKeySerde(Serdes.String()).withValueSerde(Serdes.ByteArray()))
            .toStream()
            .to(WORDS, Produced.with(Serdes.String(), Serdes.ByteArray()));
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, APPLICATION);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, folder);
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 200);
        settings.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        // The least that brokers allow: one that is killed is missed sooner.
        settings.put(StreamsConfig.consumerPrefix("session.timeout.ms"), 6_000);
        settings.put(StreamsConfig.consumerPrefix("heartbeat.interval.ms"), 1_000);
        CountDownLatch ended = new CountDownLatch(1);
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        streams.setStateListener((state, before) -> {
            System.out.println("state " + state);
            if (state == KafkaStreams.State.ERROR || state == KafkaStreams.State.NOT_RUNNING) {
                ended.countDown();
            }
        });
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(streams::close));
        streams.start();
        ended.await();
    }

    private static Set<String> distinctWords(String line) {
        Set<String> words = new TreeSet<>(List.of(line.split("\\W+")));
        words.remove("");
        return words;
    }

    private static byte[] with(byte[] set, int number) {
        BitSet lines = BitSet.valueOf(set);
        lines.set(number);
        return lines.toByteArray();
    }

    private static void feed(String bootstrap, List<String> lines, int from, int to) throws Exception {
        if (from == 0) {
            try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
                NewTopic words = new NewTopic(WORDS, PARTITIONS, (short) 1).configs(Map.of("cleanup.policy", "compact"));
                admin.createTopics(List.of(new NewTopic(LINES, PARTITIONS, (short) 1), words)).all().get();
            }
        }
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap,
            "linger.ms", 5), new StringSerializer(), new StringSerializer())) {
            for (int number = from; number < to; number++) {
                producer.send(new ProducerRecord<>(LINES, Integer.toString(number), lines.get(number)), (metadata, error) -> {
                    if (error != null) {
                        error.printStackTrace();
                        System.exit(1);
                    }
                });
            }
        }
    }

    private static Map<String, BitSet> expected(List<String> lines) {
        Map<String, BitSet> expected = new TreeMap<>();
        for (int number = 0; number < lines.size(); number++) {
            for (String word : distinctWords(lines.get(number))) {
                expected.computeIfAbsent(word, unseen -> new BitSet()).set(number);
            }
        }
        return expected;
    }

    /** Reads the words until they are as expected, then to their end to see that they stay so. */
    private static void check(String bootstrap, Map<String, BitSet> expected) {
        Map<String, BitSet> found = new HashMap<>();
        long end = System.nanoTime() + LIMIT_MS * 1_000_000;
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "auto.offset.reset", "earliest");
        try (KafkaConsumer<String, byte[]> consumer =
                 new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = IntStream.range(0, PARTITIONS)
                .mapToObj(index -> new TopicPartition(WORDS, index)).toList();
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            boolean isQuiet = false;
            while (!(isQuiet && found.equals(expected)) && System.nanoTime() < end) {
                isQuiet = true;
                for (ConsumerRecord<String, byte[]> record : consumer.poll(Duration.ofMillis(500))) {
                    isQuiet = false;
                    found.put(record.key(), BitSet.valueOf(record.value()));
                }
            }
        }
        if (found.equals(expected)) {
            System.out.println("as expected: " + expected.size() + " words");
            return;
        }
        Set<String> differing = new TreeSet<>(expected.keySet());
        differing.addAll(found.keySet());
        differing.removeIf(word -> expected.getOrDefault(word, new BitSet()).equals(found.get(word)));
        System.err.println(found.size() + " words instead of " + expected.size() + "; " + differing.size() + " differ:");
        differing.stream().limit(10).forEach(word ->
            System.err.println(word + ": " + found.get(word) + " instead of " + expected.get(word)));
        System.exit(1);
    }

    /** The topics that Streams has made, with what it asked for. */
    private static void topics(String bootstrap) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            Set<String> names = new TreeSet<>(admin.listTopics().names().get());
            for (String name : names) {
                if (name.startsWith(APPLICATION + "-")) {
                    ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, name);
                    var settings = admin.describeConfigs(List.of(resource)).all().get().get(resource);
                    System.out.println(name + " " + settings.get("cleanup.policy").value() + " "
                        + settings.get("retention.ms").value());
                }
            }
        }
    }
}
