import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;

/** What a worker did and was told, one JSON list per line, as tools/faults/workers.py writes it. */
class Ledger implements AutoCloseable {
  private final PrintWriter out;

  Ledger(Path file) throws IOException {
    out = new PrintWriter(Files.newBufferedWriter(file), true);
  }

  synchronized void put(String format, Object... values) {
    out.println(String.format(Locale.ROOT, format, values));
  }

  @Override
  public synchronized void close() {
    out.close();
  }

  /** Seconds since 1970. */
  static double now() {
    return System.currentTimeMillis() / 1000.0;
  }

  static String quoted(Throwable error) {
    String text = error.getClass().getSimpleName() + ": " + error.getMessage();
    text = text.replaceAll("[\\\\\"\\p{Cntrl}]", " ");
    return "\"" + text.substring(0, Math.min(200, text.length())) + "\"";
  }

  static void sleep(long ms) {
    try {
      Thread.sleep(ms);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }
}
