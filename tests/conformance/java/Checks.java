import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.locks.LockSupport;
import java.util.function.Predicate;

/** Runs the checks of one client and prints a line for each; the harness counts them. */
final class Checks {
    /** What a check does; it fails by throwing. */
    interface Check {
        void run() throws Exception;
    }

    private static final BufferedReader INPUT = new BufferedReader(new InputStreamReader(System.in));

    private volatile boolean failed = false;

    Checks(String client, String version) {
        System.out.println("client " + client + " " + version);
    }

    /** The broker to test, HOST:PORT. */
    static String bootstrap() {
        return Objects.requireNonNull(System.getenv("SENDLOG_TEST_BOOTSTRAP"), "SENDLOG_TEST_BOOTSTRAP is not set");
    }

    /** A topic name that no earlier run has used. */
    static String unique(String name) {
        return "conformance-" + name + "-" + UUID.randomUUID().toString().substring(0, 8);
    }

    void run(String name, Check check) {
        try {
            check.run();
            System.out.println("ok " + name);
        } catch (Exception | AssertionError | LinkageError error) {
            failed = true;
            System.out.println("FAIL " + name + ": " + String.join(" ", error.toString().split("\\s+")));
            error.printStackTrace();
        }
    }

    /** Runs one check if what it needs was done. */
    void runIf(boolean done, String name, Check check) {
        if (done) {
            run(name, check);
        } else {
            System.out.println("skip " + name + ": nobody here owns the broker");
        }
    }

    /** Asks the harness, which owns the broker, to `restart` it or to `kill` and start it; whether that was done. */
    static boolean want(String what) throws IOException {
        System.out.println("want " + what);
        return "done".equals(INPUT.readLine());
    }

    void finish() {
        System.out.flush();
        System.exit(failed ? 1 : 0);
    }

    /**
     * Succeeds at the first try: sendlog has done what it has answered. Apache Kafka answers before its brokers know, so
     * there (SENDLOG_TEST_EVENTUAL=1) the check is tried for some seconds.
     */
    static void eventually(Check check) throws Exception {
        long patience = System.getenv("SENDLOG_TEST_EVENTUAL") == null ? 0 : 10_000_000_000L;
        long deadline = System.nanoTime() + patience;
        while (true) {
            try {
                check.run();
                return;
            } catch (Exception | AssertionError error) {
                if (deadline <= System.nanoTime()) {
                    throw error;
                }
                LockSupport.parkNanos(50_000_000L);
            }
        }
    }

    static void equal(Object actual, Object expected, String what) {
        if (!Objects.deepEquals(actual, expected)) {
            throw new AssertionError(what + " is " + shorten(actual) + ", expected " + shorten(expected));
        }
    }

    static void isTrue(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    /** The check must fail with an error of that kind, itself or as the cause. */
    static void fails(Class<? extends Throwable> kind, String what, Check check) {
        fails(kind::isInstance, what, check);
    }

    static void fails(Predicate<Throwable> accepts, String what, Check check) {
        try {
            check.run();
        } catch (Exception error) {
            Throwable reason = error instanceof ExecutionException ? error.getCause() : error;
            if (!accepts.test(reason)) {
                throw new AssertionError(what + ": " + reason, reason);
            }
            return;
        }
        throw new AssertionError(what + ": no error");
    }

    private static String shorten(Object value) {
        String text = value instanceof byte[] bytes ? Arrays.toString(bytes) : String.valueOf(value);
        return text.length() <= 300 ? text : text.substring(0, 300) + "... (" + text.length() + " characters)";
    }
}
