import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Puts numbered records into the partitions of a topic in turn, so that each has the same in every run. */
final class Fill {
    private final String bootstrap;

    Fill(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    /** TOPIC, how many partitions, how many records, and where it matters the time of the first. */
    void run(List<String> arguments) throws Exception {
        int partitions = Integer.parseInt(arguments.get(1));
        long first = 3 < arguments.size() ? Long.parseLong(arguments.get(3)) : System.currentTimeMillis();
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "linger.ms", 5);
        awaitLeaders(arguments.get(0), partitions);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
                 new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int index = 0; index < Integer.parseInt(arguments.get(2)); index++) {
                byte[] value = ("record " + index).getBytes(StandardCharsets.UTF_8);
                sent.add(producer.send(new ProducerRecord<>(arguments.get(0), index % partitions,
                    first + index, ("key " + index % 10).getBytes(StandardCharsets.UTF_8), value)));
            }
        }
        for (Future<RecordMetadata> future : sent) {
            future.get();
        }
    }

    /** Apache Kafka takes records a moment after it has made a topic; this asks until every partition answers. */
    private void awaitLeaders(String topic, int partitions) throws Exception {
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.listOffsets(IntStream.range(0, partitions).boxed().collect(
                Collectors.toMap(index -> new TopicPartition(topic, index), index -> OffsetSpec.latest()))).all().get();
        }
    }
}
