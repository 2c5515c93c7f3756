import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Groups with members that stay, in threads of their own, while tools look at them. */
final class Members {
    private static final long LIMIT_MS = 35_000;
    private static final Duration POLL = Duration.ofMillis(100);

    private final String bootstrap;
    private final Map<String, List<Member>> groups = new LinkedHashMap<>();

    Members(String bootstrap) {
        this.bootstrap = bootstrap;
    }

    /** "start GROUP classic|consumer|share TOPIC COUNT PARTITIONS [static]" waits until they own so many; "stop GROUP". */
    void run(List<String> arguments) throws Exception {
        String group = arguments.get(1);
        if (arguments.get(0).equals("stop")) {
            stop(group);
            return;
        }
        List<Member> members = new ArrayList<>();
        groups.put(group, members);
        boolean isStatic = arguments.contains("static");
        for (int index = 0; index < Integer.parseInt(arguments.get(4)); index++) {
            members.add(new Member(group, arguments.get(2), arguments.get(3), index, isStatic));
        }
        members.forEach(Member::start);
        int wanted = Integer.parseInt(arguments.get(5));
        long end = System.nanoTime() + LIMIT_MS * 1_000_000;
        while (!isSettled(members, wanted)) {
            if (end < System.nanoTime()) {
                throw new IllegalStateException(group + " owns " + members.stream().map(Member::owned).toList());
            }
            Thread.sleep(20);
        }
        System.out.println(members.size() + " members own " + wanted + " partitions");
    }

    private static boolean isSettled(List<Member> members, int wanted) {
        members.forEach(Member::check);
        return members.stream().allMatch(member -> member.owned() > 0 || wanted == 0)
            && wanted <= members.stream().mapToInt(Member::owned).sum();
    }

    private void stop(String group) throws Exception {
        List<Member> members = groups.remove(group);
        for (Member member : members == null ? List.<Member>of() : members) {
            member.isStopping = true;
        }
        for (Member member : members == null ? List.<Member>of() : members) {
            member.join(LIMIT_MS);
        }
    }

    void stopAll() throws Exception {
        for (String group : List.copyOf(groups.keySet())) {
            stop(group);
        }
    }

    private final class Member extends Thread {
        private final String group;
        private final String protocol;
        private final String topic;
        private final int index;
        private final boolean isStatic;
        private final Set<TopicPartition> owned = ConcurrentHashMap.newKeySet();
        private volatile RuntimeException failure;
        volatile boolean isStopping;

        Member(String group, String protocol, String topic, int index, boolean isStatic) {
            this.group = group;
            this.protocol = protocol;
            this.topic = topic;
            this.index = index;
            this.isStatic = isStatic;
            setDaemon(true);
        }

        int owned() {
            return owned.size();
        }

        void check() {
            if (failure != null) {
                throw failure;
            }
        }

        private Map<String, Object> settings() {
            Map<String, Object> settings = new HashMap<>();
            settings.put("bootstrap.servers", bootstrap);
            settings.put("group.id", group);
            // The same for all: which member owns what is a matter of their random ids.
            settings.put("client.id", group);
            settings.put("key.deserializer", ByteArrayDeserializer.class);
            settings.put("value.deserializer", ByteArrayDeserializer.class);
            if (!protocol.equals("share")) {
                settings.put("auto.offset.reset", "earliest");
                settings.put("enable.auto.commit", true);
                settings.put("auto.commit.interval.ms", 100);
                settings.put("group.protocol", protocol);
                if (isStatic) {
                    settings.put("group.instance.id", group + "-instance-" + index);
                }
            }
            return settings;
        }

        @Override
        public void run() {
            try {
                if (protocol.equals("share")) {
                    share();
                } else {
                    consume();
                }
            } catch (WakeupException expected) {
                // The end.
            } catch (RuntimeException error) {
                failure = error;
            }
        }

        private void consume() {
            try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(settings())) {
                consumer.subscribe(List.of(topic), new ConsumerRebalanceListener() {
                    @Override
                    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                        owned.removeAll(partitions);
                    }

                    @Override
                    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                        owned.addAll(partitions);
                    }
                });
                while (!isStopping) {
                    consumer.poll(POLL);
                }
            }
        }

        /** A share consumer is not told what it owns: records that come show that it takes part. */
        private void share() {
            try (KafkaShareConsumer<byte[], byte[]> consumer = new KafkaShareConsumer<>(settings())) {
                consumer.subscribe(List.of(topic));
                while (!isStopping) {
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(POLL)) {
                        owned.add(new TopicPartition(record.topic(), record.partition()));
                    }
                }
            }
        }
    }
}
