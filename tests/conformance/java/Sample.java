import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;

/** The records that every client writes and must read back unchanged. The other languages make the same ones. */
record Sample(byte[] key, byte[] value, List<Header> headers, long timestamp) {
    /** 2023-11-14T22:13:20Z, in milliseconds. */
    static final long FIRST_TIMESTAMP = 1_700_000_000_000L;
    /** Between two records. */
    static final long TIMESTAMP_STEP = 1_000;
    static final int COUNT = 60;

    private static final byte[] ALL_BYTES = allBytes();

    static List<Sample> samples(String codec) {
        List<Sample> samples = new ArrayList<>();
        for (int i = 0; i < COUNT; i++) {
            samples.add(new Sample(key(i), value(codec, i), headers(i), FIRST_TIMESTAMP + i * TIMESTAMP_STEP));
        }
        return samples;
    }

    ProducerRecord<byte[], byte[]> to(String topic, Integer partition) {
        return new ProducerRecord<>(topic, partition, timestamp, key, value, headers);
    }

    void same(ConsumerRecord<byte[], byte[]> actual, long offset) {
        Checks.equal(actual.offset(), offset, "offset");
        Checks.equal(actual.timestampType(), TimestampType.CREATE_TIME, "timestamp type of record " + offset);
        Checks.equal(actual.timestamp(), timestamp, "timestamp of record " + offset);
        Checks.equal(actual.key(), key, "key of record " + offset);
        Checks.equal(actual.value(), value, "value of record " + offset);
        Checks.equal(List.of(actual.headers().toArray()), headers, "headers of record " + offset);
    }

    private static byte[] key(int i) {
        return switch (i % 10) {
            case 3 -> null;
            case 4 -> new byte[0];
            case 5 -> ALL_BYTES;
            default -> utf8("key-" + i);
        };
    }

    private static byte[] value(String codec, int i) {
        return switch (i % 10) {
            case 5 -> null;
            case 6 -> new byte[0];
            case 7 -> ALL_BYTES;
            case 8 -> utf8((codec + " " + i + " grüße ").repeat(200));
            case 9 -> noise(i, 20_000);
            default -> utf8("value " + i + " of " + codec);
        };
    }

    private static List<Header> headers(int i) {
        return switch (i % 5) {
            case 1 -> List.of(header("one", utf8("1")));
            case 2 -> List.of(
                header("twice", utf8("first")), header("other", utf8("x")), header("twice", utf8("second")),
                header("twice", utf8("first")));
            case 3 -> List.of(header("null", null), header("empty", new byte[0]), header("bytes", ALL_BYTES));
            case 4 -> List.of(header("schlüssel", utf8("wert é")));
            default -> List.of();
        };
    }

    private static Header header(String key, byte[] value) {
        return new RecordHeader(key, value);
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] allBytes() {
        byte[] all = new byte[256];
        for (int i = 0; i < all.length; i++) {
            all[i] = (byte) i;
        }
        return all;
    }

    /** Bytes that do not compress: a linear congruential generator, the same in every language. */
    private static byte[] noise(int seed, int length) {
        long state = seed + 1;
        byte[] out = new byte[length];
        for (int i = 0; i < length; i++) {
            state = (state * 1_103_515_245L + 12_345) % (1L << 31);
            out[i] = (byte) (state >> 16);
        }
        return out;
    }
}
