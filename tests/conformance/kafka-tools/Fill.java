import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;

import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Puts numbered records into the partitions of a topic in turn, so that each has the same in every run. */
final class Fill {
    private static final long FIRST_TIMESTAMP = 1_700_000_000_000L;

    private final String bootstrap;

    Fill(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    /** TOPIC, how many partitions, how many records. */
    void run(List<String> arguments) throws Exception {
        int partitions = Integer.parseInt(arguments.get(1));
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "linger.ms", 5);
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
                 new KafkaProducer<>(settings, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int index = 0; index < Integer.parseInt(arguments.get(2)); index++) {
                byte[] value = ("record " + index).getBytes(StandardCharsets.UTF_8);
                sent.add(producer.send(new ProducerRecord<>(arguments.get(0), index % partitions,
                    FIRST_TIMESTAMP + index, ("key " + index % 10).getBytes(StandardCharsets.UTF_8), value)));
            }
        }
        for (Future<RecordMetadata> future : sent) {
            future.get();
        }
    }
}
