import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Future;

import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/** Writes numbers to all partitions, some hundred in a second, until it is stopped. */
final class Load extends Thread {
    private final String topic;
    private final int partitions;
    private volatile int written = 0;
    private volatile boolean stopping = false;
    private volatile Exception failure;

    Load(String topic, int partitions) {
        this.topic = topic;
        this.partitions = partitions;
        start();
    }

    @Override
    public void run() {
        try (KafkaProducer<String, String> producer = producer()) {
            while (!stopping) {
                write(producer, topic, partitions, written, written + 10);
                written += 10;
                Thread.sleep(30);
            }
        } catch (Exception error) {
            failure = error;
        }
    }

    int written() {
        Checks.isTrue(failure == null, "producing: " + failure);
        return written;
    }

    void goesOn(int before) throws Exception {
        Groups.waitFor(() -> before + 100 <= written(), () -> "the producer does not go on after " + before);
    }

    Set<String> end() throws Exception {
        stopping = true;
        join(Groups.LIMIT.toMillis());
        Checks.isTrue(!isAlive(), "the producer hangs");
        return Groups.numbers(0, written());
    }

    /** Numbers go to the partitions in turn. */
    static void write(KafkaProducer<String, String> producer, String topic, int partitions, int from, int to)
        throws Exception {
        List<Future<?>> sent = new ArrayList<>();
        for (int n = from; n < to; n++) {
            sent.add(producer.send(new ProducerRecord<>(topic, n % partitions, null, Integer.toString(n))));
        }
        for (Future<?> one : sent) {
            Groups.get(one);
        }
    }

    static KafkaProducer<String, String> producer() {
        return new KafkaProducer<>(Groups.settings(Map.of()), new StringSerializer(), new StringSerializer());
    }
}
