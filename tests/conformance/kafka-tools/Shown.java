import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;

/** Prints whatever a method of Admin returns: every value that its getters give, waiting for what is still to come. */
final class Shown {
    private static final int DEPTH_MAX = 12;
    private static final long LIMIT_SECONDS = 20;
    /** Getters that say nothing about the broker, repeat another, or want more than a look. */
    private static final Set<String> SKIPPED = Set.of(
        "getClass", "hashCode", "toString", "notify", "notifyAll", "wait", "iterator", "describeConstable", "ordinal",
        "getDeclaringClass", "name", "code", "clone", "isEmpty", "documentation", "memberId", "consumerId", "producerId",
        "lastTimestamp", "clientInstanceId", "transactionStartTimeMs", "lastFetchTimestamp", "lastCaughtUpTimestamp",
        "totalBytes", "usableBytes", "size", "directoryId", "nodeApiVersions", "finalizedFeaturesEpoch");

    private final StringBuilder out = new StringBuilder();

    /** Several lines, each a path and a value. */
    static String of(Object value) {
        Shown shown = new Shown();
        shown.add("", value, 0);
        return shown.out.toString();
    }

    private void add(String path, Object value, int depth) {
        if (value == null || isPlain(value)) {
            line(path, plain(value));
        } else if (value instanceof KafkaFuture<?> future) {
            future(path, future.toCompletionStage().toCompletableFuture(), depth);
        } else if (value instanceof CompletableFuture<?> future) {
            future(path, future, depth);
        } else if (value instanceof Optional<?> optional) {
            add(path, optional.orElse(null), depth);
        } else if (value instanceof Map<?, ?> map) {
            map(path, map, depth);
        } else if (value instanceof Collection<?> collection) {
            collection(path, collection, depth);
        } else if (value instanceof Throwable error) {
            line(path, error.getClass().getSimpleName() + ": " + error.getMessage());
        } else if (depth < DEPTH_MAX) {
            getters(path, value, depth);
        }
    }

    private void line(String path, String value) {
        out.append(path.isEmpty() ? "" : path + " = ").append(value).append('\n');
    }

    private static boolean isPlain(Object value) {
        return value instanceof String || value instanceof Number || value instanceof Boolean || value instanceof Enum<?>
            || value instanceof Uuid || value instanceof OptionalInt || value instanceof OptionalLong
            || value instanceof Void || value instanceof byte[] || value instanceof Node || value instanceof ConfigEntry
            || value instanceof TopicPartition;
    }

    private static String plain(Object value) {
        if (value instanceof Uuid id) {
            return id.equals(Uuid.ZERO_UUID) ? "no id" : "ID";
        }
        if (value instanceof Node node) {
            return "node " + node.id() + (node.isFenced() ? " fenced" : "") + (node.hasRack() ? " in " + node.rack() : "");
        }
        if (value instanceof ConfigEntry entry) {
            return entry(entry);
        }
        return value instanceof byte[] bytes ? bytes.length + " bytes" : String.valueOf(value);
    }

    private static String entry(ConfigEntry entry) {
        StringBuilder line = new StringBuilder(entry.name() + ": " + entry.value() + ", " + entry.type() + ", " + entry.source());
        line.append(entry.isReadOnly() ? ", read-only" : "").append(entry.isSensitive() ? ", sensitive" : "");
        line.append(entry.documentation() == null || entry.documentation().isEmpty() ? "" : ", documented");
        for (ConfigEntry.ConfigSynonym synonym : entry.synonyms()) {
            line.append("; ").append(synonym.source()).append(' ').append(synonym.name()).append(' ').append(synonym.value());
        }
        return line.toString();
    }

    private void future(String path, CompletableFuture<?> future, int depth) {
        try {
            add(path, future.get(LIMIT_SECONDS, TimeUnit.SECONDS), depth);
        } catch (ExecutionException error) {
            add(path, error.getCause(), depth);
        } catch (Exception error) {
            line(path, error.getClass().getSimpleName());
        }
    }

    private void map(String path, Map<?, ?> map, int depth) {
        if (map.isEmpty()) {
            line(path, "{}");
        }
        Map<String, Object> sorted = new TreeMap<>();
        map.forEach((key, value) -> sorted.put(plain(key), value));
        sorted.forEach((key, value) -> add(path + "[" + key + "]", value, depth + 1));
    }

    private void collection(String path, Collection<?> collection, int depth) {
        if (collection.isEmpty()) {
            line(path, "[]");
        }
        Map<String, List<String>> places = new TreeMap<>();
        int index = 0;
        for (Object element : collection) {
            Shown shown = new Shown();
            shown.add("", element, depth + 1);
            String text = shown.out.toString();
            boolean isOrdered = collection instanceof List<?> && text.contains(" = ");
            places.computeIfAbsent(named(element).orElse(isOrdered ? Integer.toString(index) : ""), place -> new ArrayList<>())
                .add(text);
            index++;
        }
        places.forEach((place, texts) -> texts.stream().sorted().flatMap(String::lines).forEach(line -> out.append(path)
            .append('[').append(place).append(line.contains(" = ") ? "] " : "] = ").append(line).append('\n')));
    }

    /** Elements with names come in any order. */
    private static Optional<String> named(Object element) {
        for (String getter : List.of("groupId", "name")) {
            try {
                Method method = element.getClass().getMethod(getter);
                method.setAccessible(true);
                return element instanceof ConfigEntry ? Optional.empty() : Optional.of(String.valueOf(method.invoke(element)));
            } catch (ReflectiveOperationException | RuntimeException none) {
                // Goes by its place.
            }
        }
        return Optional.empty();
    }

    private void getters(String path, Object value, int depth) {
        List<Method> getters = Arrays.stream(value.getClass().getMethods())
            .filter(method -> method.getParameterCount() == 0 && method.getReturnType() != void.class)
            .filter(method -> !Modifier.isStatic(method.getModifiers()) && !SKIPPED.contains(method.getName()))
            .filter(method -> !method.isSynthetic() && method.getDeclaringClass() != Object.class)
            .sorted(Comparator.comparing(Method::getName))
            .toList();
        if (getters.stream().anyMatch(getter -> !getter.getName().startsWith("all"))) {
            // What is said of all of them is said of each.
            getters = getters.stream().filter(getter -> !getter.getName().startsWith("all")).toList();
        }
        if (getters.isEmpty()) {
            line(path, value.getClass().getSimpleName());
        }
        for (Method getter : getters) {
            String inner = path.isEmpty() ? getter.getName() : path + "." + getter.getName();
            try {
                getter.setAccessible(true);
                Object inside = getter.invoke(value);
                if (inside != value) {
                    add(inner, inside, depth + 1);
                }
            } catch (InvocationTargetException error) {
                line(inner, error.getCause().getClass().getSimpleName());
            } catch (ReflectiveOperationException | RuntimeException error) {
                line(inner, error.getClass().getSimpleName());
            }
        }
    }
}
