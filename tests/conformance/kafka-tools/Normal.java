import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;

/** Writes output so that two brokers' can be compared: without addresses, ids, times, rates and the widths of columns. */
final class Normal {
    private final Map<Pattern, String> rules = new LinkedHashMap<>();

    Normal(String bootstrap, Path folder) {
        String port = bootstrap.substring(bootstrap.indexOf(':') + 1);
        rule(Pattern.quote(folder.toString()), "DIR");
        rule("(127\\.0\\.0\\.1|localhost)[:\\t ]+" + port + "\\b", "BROKER");
        rule("\\b" + port + "\\b", "PORT");
        rule("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID");
        // A Kafka id: 22 characters with both capital and small letters, which no name in the scripts has.
        rule("(?<![\\w.-])(?=[\\w-]*[A-Z])(?=[\\w-]*[a-z])(?!\\w+Exception)[\\w-]{22}(?![\\w.-])", "ID");
        rule("(console-(share-)?consumer|perf-consumer)-[0-9]+", "$1-N");
        rule("(groupType-[a-z]+)-[0-9]+", "$1-N");
        rule("\\b(1[5-9]|20)[0-9]{11}\\b", "TIME");
        rule("\\d{4}-\\d\\d-\\d\\d[ T]\\d\\d:\\d\\d:\\d\\d([.:,]\\d{3})?(Z|[+-]\\d\\d:?\\d\\d)?", "TIME");
        rule("\\d+(\\.\\d+)? (records/sec|MB/sec|ms avg latency|ms max latency|ms 50th|ms 95th|ms 99th|ms 99.9th)", "N $2");
        rule("^TIME, TIME, [\\d.]+, [\\d.]+, (\\d+), .*", "TIME, TIME, N, N, $1, N");
        rule("\"size\":\\d+", "\"size\":N");
        rule("(?<=Epoch: )\\d+$", "N");
        rule("(?<=[\"' :=\\[(])/(tmp|data|work)/[^\"' ,)\\]]*", "PATH");
    }

    private void rule(String pattern, String replacement) {
        rules.put(Pattern.compile(pattern), replacement);
    }

    /** The lines that are not empty. */
    List<String> lines(String text) {
        List<String> lines = new ArrayList<>();
        // The formatters of internal topics put no end to a line.
        for (String line : text.replace("}{\"key\"", "}\n{\"key\"").split("\n")) {
            for (Map.Entry<Pattern, String> rule : rules.entrySet()) {
                line = rule.getKey().matcher(line).replaceAll(rule.getValue());
            }
            line = line.replaceAll("[ \\t\\r]+", " ").strip();
            if (!line.isEmpty() && !isStack(line)) {
                lines.add(line);
            }
        }
        return lines;
    }

    /** Traces name lines of Kafka's source, which say nothing about the broker. */
    private static boolean isStack(String line) {
        return line.startsWith("at ") || line.matches("\\.\\.\\. \\d+ more");
    }
}
