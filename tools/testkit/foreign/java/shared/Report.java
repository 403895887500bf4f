import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;

/** Runs cases and reports them in the lines that the test command reads. */
public class Report {
  /** A case fails by throwing. */
  public interface Case {
    void run() throws Throwable;
  }

  private static final long PATIENCE_MS = Long.getLong("case.seconds", 120) * 1000;
  private final PrintStream out = System.out;
  private final Map<Pattern, String> later = new LinkedHashMap<>();
  private final String only = System.getenv("ONLY");
  private int passed;
  private int failed;
  private int skipped;

  public Report() throws Exception {
    String list = System.getenv("NARU_LATER");
    if (list == null) return;
    for (String line : Files.readAllLines(Paths.get(list))) {
      String[] parts = line.split("\t", 2);
      later.put(Pattern.compile(parts[0]), parts[1]);
    }
  }

  public void run(String name, Case body) throws InterruptedException {
    if (only != null && !name.contains(only)) return;
    for (Map.Entry<Pattern, String> entry : later.entrySet()) {
      if (entry.getKey().matcher(name).find()) {
        synchronized (this) {
          skipped++;
        }
        out.println("SKIP " + name + " -- " + entry.getValue());
        return;
      }
    }
    Throwable[] thrown = new Throwable[1];
    Thread thread =
        new Thread(
            () -> {
              try {
                body.run();
              } catch (Throwable t) {
                thrown[0] = t;
              }
            },
            "case-" + name);
    thread.setDaemon(true);
    thread.start();
    thread.join(PATIENCE_MS);
    if (thread.isAlive()) {
      thrown[0] = new AssertionError("hangs at " + Arrays.toString(thread.getStackTrace()));
      thread.interrupt();
    }
    tell(name, thrown[0]);
  }

  private synchronized void tell(String name, Throwable thrown) {
    if (thrown == null) passed++;
    else failed++;
    String why = thrown == null ? "" : " -- " + explain(thrown);
    out.println((thrown == null ? "PASS " : "FAIL ") + name + why);
    out.flush();
  }

  private static String explain(Throwable thrown) {
    String text = thrown + place(thrown);
    for (Throwable t = thrown.getCause(); t != null; t = t.getCause()) text += ", for " + t;
    String line = text.replaceAll("\\s+", " ");
    return line.substring(0, Math.min(800, line.length()));
  }

  private static String place(Throwable thrown) {
    for (StackTraceElement at : thrown.getStackTrace()) {
      if (at.getClassName().contains("Tour")) return " at line " + at.getLineNumber();
    }
    return "";
  }

  /** Prints the totals and ends the JVM, whatever threads clients have left behind. */
  public void end() {
    out.println(passed + " passed, " + failed + " failed, " + skipped + " skipped");
    out.flush();
    Runtime.getRuntime().halt(failed == 0 ? 0 : 1);
  }
}
