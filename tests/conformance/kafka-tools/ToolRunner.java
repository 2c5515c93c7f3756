import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import java.util.stream.Stream;

import org.apache.kafka.common.utils.internals.Exit;

/**
 * Runs the steps of a script against a broker, all in this process, and prints what each of them printed.
 *
 * <p>A step is one of Apache's command-line tools, named as its shell script is, or one of our own programs. The broker's
 * address is given to each tool as its script would be given it. Behind each step's name come its lines of standard output,
 * of standard error, and its exit code, as {@link Normal} writes them.
 */
public final class ToolRunner {
    /** Ends a step that hangs. */
    private static final long STEP_LIMIT_MS = 40_000;
    /** How long a step is repeated that waits for a text. */
    private static final long UNTIL_LIMIT_MS = 30_000;
    private static final long UNTIL_PAUSE_MS = 100;
    private static final long HOOK_LIMIT_MS = 5_000;

    /** The class of a tool, and the option that takes the broker's address. */
    private record Tool(String name, String address) { }

    private static final Map<String, Tool> TOOLS = Map.ofEntries(
        tool("kafka-broker-api-versions", "BrokerApiVersionsCommand"),
        tool("kafka-client-metrics", "ClientMetricsCommand"),
        tool("kafka-configs", "ConfigCommand"),
        tool("kafka-console-consumer", "consumer.ConsoleConsumer"),
        tool("kafka-console-producer", "ConsoleProducer"),
        tool("kafka-console-share-consumer", "consumer.ConsoleShareConsumer"),
        tool("kafka-consumer-groups", "consumer.group.ConsumerGroupCommand"),
        tool("kafka-consumer-perf-test", "ConsumerPerformance"),
        tool("kafka-acls", "AclCommand"),
        tool("kafka-cluster", "ClusterTool"),
        tool("kafka-delete-records", "DeleteRecordsCommand"),
        tool("kafka-features", "FeatureCommand"),
        tool("kafka-get-offsets", "GetOffsetShell"),
        tool("kafka-groups", "GroupsCommand"),
        tool("kafka-leader-election", "LeaderElectionCommand"),
        tool("kafka-log-dirs", "LogDirsCommand"),
        tool("kafka-metadata-quorum", "MetadataQuorumCommand"),
        tool("kafka-producer-perf-test", "ProducerPerformance"),
        tool("kafka-reassign-partitions", "reassign.ReassignPartitionsCommand"),
        tool("kafka-share-groups", "consumer.group.ShareGroupCommand"),
        tool("kafka-share-consumer-perf-test", "ShareConsumerPerformance"),
        tool("kafka-streams-application-reset", "StreamsResetter"),
        tool("kafka-streams-groups", "streams.StreamsGroupCommand"),
        tool("kafka-topics", "TopicCommand"),
        tool("kafka-transactions", "TransactionsCommand"),
        tool("kafka-verifiable-consumer", "VerifiableConsumer"),
        tool("kafka-verifiable-producer", "VerifiableProducer"),
        tool("kafka-verifiable-share-consumer", "VerifiableShareConsumer"));

    /** What the tool of this step would do at the end of its process. */
    private static final List<Runnable> HOOKS = Collections.synchronizedList(new ArrayList<>());

    private final String bootstrap;
    private final Path folder;
    private final Normal normal;
    private final Members members;
    private final AdminCalls admin;
    private final PrintStream transcript = System.out;

    private ToolRunner(String bootstrap, Path folder) {
        this.bootstrap = bootstrap;
        this.folder = folder;
        this.normal = new Normal(bootstrap, folder);
        this.members = new Members(bootstrap);
        this.admin = new AdminCalls(bootstrap);
    }

    private static Map.Entry<String, Tool> tool(String script, String type) {
        return Map.entry(script, new Tool("org.apache.kafka.tools." + type, "--bootstrap-server"));
    }

    /** BOOTSTRAP, SCRIPT, a folder for files that steps make, and optionally the name of the only step group to run. */
    public static void main(String[] args) throws Exception {
        Exit.setExitProcedure((status, message) -> {
            throw new Ended(status);
        });
        Exit.setHaltProcedure((status, message) -> {
            throw new Ended(status);
        });
        Exit.setShutdownHookAdder((name, hook) -> HOOKS.add(hook));
        ToolRunner runner = new ToolRunner(args[0], Path.of(args[2]));
        for (Step step : Step.all(Path.of(args[1]))) {
            if (args.length < 4 || step.name().startsWith(args[3])) {
                runner.run(step);
            }
        }
        runner.members.stopAll();
        runner.admin.close();
        runner.transcript.flush();
        // Threads of a tool that was given up must not keep the process.
        Runtime.getRuntime().halt(0);
    }

    private void run(Step step) throws Exception {
        long started = System.nanoTime();
        Captured captured = attempt(step);
        while (step.until() != null && !captured.stdout().contains(step.until())
            && System.nanoTime() - started < UNTIL_LIMIT_MS * 1_000_000) {
            Thread.sleep(UNTIL_PAUSE_MS);
            captured = attempt(step);
        }
        if (step.save() != null) {
            Files.writeString(folder.resolve(step.save()), captured.stdout());
        }
        transcript.println("step " + step.name());
        print("out", captured.stdout(), step);
        print("err", captured.stderr(), step);
        transcript.println("exit " + captured.exit());
        transcript.flush();
        if (System.getenv("TOOL_RUNNER_TIMES") != null) {
            System.err.println(step.name() + ": " + (System.nanoTime() - started) / 1_000_000 + " ms");
        }
    }

    private void print(String stream, String text, Step step) {
        Stream<String> lines = normal.lines(text).stream().filter(line -> step.only().matcher(line).find());
        if (step.isSorted()) {
            lines = lines.sorted();
        }
        if (step.isDistinct()) {
            lines = lines.distinct();
        }
        lines.forEach(line -> transcript.println(stream + " " + line));
    }

    private record Captured(String stdout, String stderr, String exit) { }

    /** Runs the step once, in a thread of its own, with the standard streams caught. */
    private Captured attempt(Step step) throws Exception {
        PrintStream out = System.out;
        PrintStream err = System.err;
        java.io.InputStream in = System.in;
        Sink stdout = new Sink();
        Sink stderr = new Sink();
        String[] exit = {"still running"};
        System.setOut(stdout.stream());
        System.setErr(stderr.stream());
        System.setIn(new ByteArrayInputStream(step.input().getBytes(StandardCharsets.UTF_8)));
        Thread thread = new Thread(() -> {
            try {
                call(step);
                runHooks();
                exit[0] = "0";
            } catch (Ended ended) {
                exit[0] = Integer.toString(ended.first());
            } catch (Throwable error) {
                exit[0] = "thrown " + error;
                if (System.getenv("TOOL_RUNNER_TIMES") != null) {
                    error.printStackTrace(err);
                }
            }
        }, "step");
        Ended.CURRENT.set(null);
        HOOKS.clear();
        Ended.onFirst(() -> {
            runHooks();
            stdout.close();
            stderr.close();
        });
        thread.setDaemon(true);
        thread.start();
        thread.join(STEP_LIMIT_MS);
        if (thread.isAlive()) {
            thread.interrupt();
            thread.join(5_000);
        }
        System.setOut(out);
        System.setErr(err);
        System.setIn(in);
        Integer ended = Ended.CURRENT.get();
        return new Captured(stdout.text(), stderr.text(), ended != null ? ended.toString() : exit[0]);
    }

    private static void runHooks() {
        List<Runnable> hooks = List.copyOf(HOOKS);
        HOOKS.clear();
        for (Runnable hook : hooks) {
            // At the end of a process they run beside the rest, and one that hangs does not keep the others.
            Thread thread = new Thread(hook, "hook");
            thread.setDaemon(true);
            thread.start();
            try {
                thread.join(HOOK_LIMIT_MS);
            } catch (InterruptedException stopped) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private void call(Step step) throws Throwable {
        List<String> words = step.words(folder);
        String name = words.get(0);
        List<String> arguments = words.subList(1, words.size());
        switch (name) {
            case "admin" -> admin.call(arguments);
            case "fill" -> new Fill(bootstrap).run(arguments);
            case "file" -> Files.writeString(folder.resolve(arguments.get(0)), step.input());
            case "members" -> members.run(arguments);
            default -> callTool(TOOLS.get(name), arguments);
        }
    }

    private void callTool(Tool tool, List<String> arguments) throws Throwable {
        List<String> all = new ArrayList<>();
        // Subcommands come first, and argparse4j wants an option that belongs to all of them before these.
        all.addAll(List.of(tool.address(), bootstrap));
        all.addAll(arguments);
        if (all.contains("cluster-id") || all.contains("list-endpoints") || all.contains("unregister")) {
            all = new ArrayList<>(arguments);
            all.addAll(List.of(tool.address(), bootstrap));
        }
        try {
            Class.forName(tool.name()).getMethod("main", String[].class).invoke(null, (Object) all.toArray(String[]::new));
        } catch (InvocationTargetException wrapped) {
            throw wrapped.getCause();
        }
    }

    /** What is thrown where a tool would end the process. Tools that catch everything may end several times. */
    private static final class Ended extends RuntimeException {
        static final java.util.concurrent.atomic.AtomicReference<Integer> CURRENT =
            new java.util.concurrent.atomic.AtomicReference<>();
        private static volatile Runnable hook = () -> { };

        Ended(int status) {
            super("exit " + status);
            if (CURRENT.compareAndSet(null, status)) {
                hook.run();
            }
        }

        int first() {
            return CURRENT.get();
        }

        static void onFirst(Runnable runnable) {
            hook = runnable;
        }
    }

    /** Takes what is written until it is closed, as a process that ends writes no more. */
    private static final class Sink extends OutputStream {
        private final ByteArrayOutputStream taken = new ByteArrayOutputStream();
        private boolean isClosed;

        PrintStream stream() {
            return new PrintStream(this, true, StandardCharsets.UTF_8);
        }

        @Override
        public synchronized void write(int value) {
            if (!isClosed) {
                taken.write(value);
            }
        }

        @Override
        public synchronized void write(byte[] bytes, int start, int length) {
            if (!isClosed) {
                taken.write(bytes, start, length);
            }
        }

        @Override
        public synchronized void close() {
            isClosed = true;
        }

        synchronized String text() {
            return taken.toString(StandardCharsets.UTF_8);
        }
    }

    /**
     * A step of the script: "NAME: COMMAND", then indented lines: "until TEXT" repeats it until it prints that, "input LINE"
     * is a line of its standard input, "save FILE" keeps its output, "only PATTERN" shows only such lines, "sorted" is for
     * output in no particular order, "distinct" shows equal lines once.
     */
    private record Step(String name, String command, String until, String input, String save, Pattern only,
                        boolean isSorted, boolean isDistinct) {
        static List<Step> all(Path script) throws IOException {
            List<Step> steps = new ArrayList<>();
            List<String> pending = new ArrayList<>();
            for (String line : Files.readAllLines(script)) {
                if (line.isBlank() || line.startsWith("#")) {
                    continue;
                }
                if (!line.startsWith(" ") && !pending.isEmpty()) {
                    steps.add(parse(pending));
                    pending.clear();
                }
                pending.add(line.strip());
            }
            steps.add(parse(pending));
            return steps;
        }

        private static Step parse(List<String> lines) {
            String[] first = lines.get(0).split(": ", 2);
            String until = null;
            String save = null;
            StringBuilder input = new StringBuilder();
            Pattern only = Pattern.compile("");
            boolean isSorted = false;
            boolean isDistinct = false;
            for (String line : lines.subList(1, lines.size())) {
                String[] words = line.split(" ", 2);
                switch (words[0]) {
                    case "until" -> until = words[1];
                    case "input" -> input.append(words.length == 1 ? "" : words[1].replace("\\t", "\t")).append('\n');
                    case "save" -> save = words[1];
                    case "only" -> only = Pattern.compile(words[1]);
                    case "sorted" -> isSorted = true;
                    case "distinct" -> isDistinct = true;
                    default -> throw new IllegalArgumentException(line);
                }
            }
            return new Step(first[0], first[1], until, input.toString(), save, only, isSorted, isDistinct);
        }

        /** The words of the command, with $DIR for the folder of files. Single quotes hold a word together. */
        List<String> words(Path folder) {
            List<String> words = new ArrayList<>();
            String[] parts = command.replace("$DIR", folder.toString()).split("'", -1);
            for (int index = 0; index < parts.length; index++) {
                if (index % 2 == 1) {
                    words.add(parts[index]);
                } else if (!parts[index].isBlank()) {
                    words.addAll(Arrays.asList(parts[index].strip().split(" +")));
                }
            }
            return words;
        }
    }
}
