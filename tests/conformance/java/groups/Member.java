import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/** A consumer with a thread of its own, the only one that touches it. */
final class Member extends Thread {
    private final KafkaConsumer<String, String> consumer;
    private final ConcurrentLinkedQueue<Runnable> commands = new ConcurrentLinkedQueue<>();
    final List<ConsumerRecord<String, String>> records = Collections.synchronizedList(new ArrayList<>());
    final Set<TopicPartition> taken = Collections.synchronizedSet(new HashSet<>());
    volatile int rebalances = 0;
    volatile Set<TopicPartition> assigned = Set.of();
    private volatile boolean leaving = false;
    volatile Throwable failure;

    Member(String protocol, String group, Collection<String> topics, Pattern pattern, Map<String, Object> changes) {
        Map<String, Object> settings = Groups.settings(Map.of(
            "group.id", group, "group.protocol", protocol, "auto.offset.reset", "earliest",
            // Five minutes by default.
            "metadata.max.age.ms", 1000));
        if (protocol.equals("classic")) {
            settings.put("heartbeat.interval.ms", 500);
        }
        settings.putAll(changes);
        consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
        ConsumerRebalanceListener listener = new ConsumerRebalanceListener() {
            @Override
            public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                taken.addAll(partitions);
                rebalances += 1;
            }

            @Override
            public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                rebalances += 1;
            }
        };
        if (pattern == null) {
            consumer.subscribe(topics, listener);
        } else if (protocol.equals("classic")) {
            consumer.subscribe(pattern, listener);
        } else {
            consumer.subscribe(new SubscriptionPattern(pattern.pattern()), listener);
        }
        start();
    }

    @Override
    public void run() {
        try (consumer) {
            while (!leaving) {
                for (Runnable command = commands.poll(); command != null; command = commands.poll()) {
                    command.run();
                }
                consumer.poll(Duration.ofMillis(50)).forEach(records::add);
                assigned = Set.copyOf(consumer.assignment());
            }
        } catch (Exception error) {
            failure = error;
        }
    }

    /** Runs a command between two polls. */
    <T> T call(Function<KafkaConsumer<String, String>, T> command) throws Exception {
        CompletableFuture<T> answer = new CompletableFuture<>();
        commands.add(() -> {
            try {
                answer.complete(command.apply(consumer));
            } catch (Exception error) {
                answer.completeExceptionally(error);
            }
        });
        return Groups.get(answer);
    }

    void healthy() {
        Checks.isTrue(failure == null, "consuming: " + failure);
    }

    void leave() throws Exception {
        leaving = true;
        join(Groups.LIMIT.toMillis());
        Checks.isTrue(!isAlive(), "the consumer does not close");
        healthy();
    }

    Set<String> values() {
        synchronized (records) {
            return records.stream().map(ConsumerRecord::value).collect(Collectors.toSet());
        }
    }

    /** Waits until the members share the partitions of the topic, so many for each, in any order. */
    static void waitForSplit(List<Member> members, String topic, Integer... counts) throws Exception {
        Groups.waitFor(() -> {
            Set<TopicPartition> union = new HashSet<>();
            List<Integer> found = new ArrayList<>();
            for (Member member : members) {
                member.healthy();
                union.addAll(member.assigned);
                found.add(member.assigned.size());
            }
            Collections.sort(found);
            int total = List.of(counts).stream().mapToInt(Integer::intValue).sum();
            return found.equals(List.of(counts)) && union.size() == total && union.stream().allMatch(p -> p.topic().equals(topic));
        }, () -> "a split into " + List.of(counts) + ", but " + members.stream().map(m -> m.assigned).toList());
    }

    /** Waits until the members together have these values. */
    static void waitForValues(List<Member> members, Set<String> expected) throws Exception {
        Supplier<Set<String>> missing = () -> {
            Set<String> left = new TreeSet<>(expected);
            for (Member member : members) {
                member.healthy();
                left.removeAll(member.values());
            }
            return left;
        };
        Groups.waitFor(() -> missing.get().isEmpty(), () -> "records that did not come: " + missing.get());
    }
}
