import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.apache.kafka.common.utils.Exit;

/**
 * Runs Apache Kafka's own command-line tools in one JVM and judges exit code and output.
 *
 * <p>Arguments: BOOTSTRAP DATA_DIRECTORY CASES_FILE. The cases file explains its own format.
 */
public class ToolsTour {
  /** Thrown in place of ending the JVM. */
  static class ToolExit extends Error {
    final int code;

    ToolExit(int code) {
      super("exit " + code, null, false, false);
      this.code = code;
    }
  }

  /** One block of the cases file. */
  static class Case {
    String name;
    String tool;
    boolean ownJvm;
    boolean narus;
    String sameAs;
    List<String> arguments = new ArrayList<>();
    String input = "";
    int exitCode;
    int secondsMax;
    List<Pattern> wanted = new ArrayList<>();
    List<Pattern> unwanted = new ArrayList<>();
  }

  static final long PATIENCE_MS = 90_000;
  static final PrintStream OUT = System.out;
  static final String PREFIX = "tt" + Long.toString(System.currentTimeMillis(), 36);
  static final List<String> PACKAGES =
      List.of(
          "org.apache.kafka.tools.",
          "org.apache.kafka.tools.consumer.",
          "org.apache.kafka.tools.consumer.group.",
          "org.apache.kafka.tools.reassign.",
          "org.apache.kafka.tools.streams.",
          "kafka.admin.",
          "");
  static final List<Runnable> hooks = Collections.synchronizedList(new ArrayList<>());
  static volatile Integer firstExit;
  static String bootstrap;

  /** Naru's program, where its own tools are run. */
  static final String NARU = System.getenv("NARU_BINARY");

  static Path data;

  public static void main(String[] args) throws Exception {
    bootstrap = args[0];
    data = Paths.get(args[1]);
    Exit.setExitProcedure(
        (code, message) -> {
          if (firstExit == null) firstExit = code;
          if (message != null) System.err.println(message);
          throw new ToolExit(code);
        });
    Exit.setHaltProcedure(
        (code, message) -> {
          if (firstExit == null) firstExit = code;
          throw new ToolExit(code);
        });
    Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));

    Report report = new Report();
    String[] blocks = Files.readString(Paths.get(args[2])).split("\n\n+");
    for (String block : blocks) {
      if (!block.startsWith("[")) continue;
      String name = block.substring(1, block.indexOf(']'));
      if (name.equals("-")) runQuietly(block);
      else report.run(name, () -> judge(parse(block)));
    }
    report.end();
  }

  /** Housekeeping: its result is nobody's business. */
  static void runQuietly(String block) {
    try {
      Case housekeeping = parse(block);
      runTool(housekeeping, new int[1], new StringBuilder());
    } catch (Exception ignored) {
      // The next case shows it if it mattered.
    }
  }

  /** A case about something that takes its time is repeated until it passes or the time is up. */
  static void judge(Case c) throws Exception {
    long end = System.nanoTime() + c.secondsMax * 1_000_000_000L;
    while (true) {
      try {
        judgeOnce(c);
        return;
      } catch (AssertionError error) {
        if (System.nanoTime() > end) throw error;
        Thread.sleep(200);
      }
    }
  }

  static void judgeOnce(Case c) throws Exception {
    int[] code = new int[1];
    StringBuilder output = new StringBuilder();
    String printed = runTool(c, code, output);
    List<String> wrong = new ArrayList<>();
    if (code[0] != c.exitCode) wrong.add("exit code " + code[0] + ", wanted " + c.exitCode);
    for (Pattern p : c.wanted) if (!p.matcher(printed).find()) wrong.add("output lacks " + p);
    for (Pattern p : c.unwanted) if (p.matcher(printed).find()) wrong.add("output has " + p);
    if (wrong.isEmpty() && c.sameAs != null) compare(c, code[0], output.toString());
    if (wrong.isEmpty()) return;
    String words = printed.replaceAll("\\s+", " ").trim();
    throw new AssertionError(
        String.join("; ", wrong) + " | " + words.substring(0, Math.min(500, words.length())));
  }

  /** Naru's own tool does and prints the same; what goes to standard error may have stacks. */
  static void compare(Case c, int wantedCode, String wanted) throws Exception {
    int[] code = new int[1];
    StringBuilder output = new StringBuilder();
    String printed = runNaru(c.sameAs, c, code, output);
    if (code[0] != wantedCode)
      throw new AssertionError(
          c.sameAs + ": exit code " + code[0] + ", wanted " + wantedCode + " | " + printed);
    if (!output.toString().equals(wanted))
      throw new AssertionError(
          c.sameAs + " prints <" + output + "> where Apache's prints <" + wanted + ">");
  }

  static String runNaru(String tool, Case c, int[] code, StringBuilder output) throws Exception {
    List<String> command = new ArrayList<>(List.of(NARU, tool));
    command.addAll(c.arguments);
    Path out = Files.createTempFile("tour", ".out");
    Path err = Files.createTempFile("tour", ".err");
    Path in = Files.createTempFile("tour", ".in");
    Files.writeString(in, c.input);
    Process process =
        new ProcessBuilder(command)
            .redirectInput(in.toFile())
            .redirectOutput(out.toFile())
            .redirectError(err.toFile())
            .start();
    boolean ended = process.waitFor(PATIENCE_MS, TimeUnit.MILLISECONDS);
    if (!ended) process.destroyForcibly().waitFor();
    code[0] = ended ? process.exitValue() : 124;
    output.append(Files.readString(out));
    return output + Files.readString(err);
  }

  static Case parse(String block) throws Exception {
    Case c = new Case();
    for (String line : block.split("\n")) {
      String rest = line.length() > 2 ? fill(line.substring(2)) : "";
      switch (line.charAt(0)) {
        case '[' -> c.name = line.substring(1, line.length() - 1);
        case '&' -> c.sameAs = rest;
        case '$', '%', '@' -> {
          c.ownJvm = line.charAt(0) == '%';
          c.narus = line.charAt(0) == '@';
          String[] words = rest.split(" ");
          c.tool = words[0];
          for (int i = 1; i < words.length; i++) c.arguments.add(argument(words[i]));
        }
        case '<' -> c.input = rest.replace("\\n", "\n").replace("\\t", "\t");
        case '=' -> c.exitCode = Integer.parseInt(rest);
        case '*' -> c.secondsMax = Integer.parseInt(rest);
        case '~' -> c.wanted.add(regex(rest));
        case '!' -> c.unwanted.add(regex(rest));
        default -> throw new IllegalArgumentException("in " + c.name + ": " + line);
      }
    }
    return c;
  }

  static Pattern regex(String text) {
    return Pattern.compile(text, Pattern.DOTALL | Pattern.MULTILINE);
  }

  static String fill(String text) {
    return text.replace("{B}", bootstrap).replace("{P}", PREFIX).replace("{D}", data.toString());
  }

  static String argument(String word) throws Exception {
    if (word.startsWith("{file:")) {
      Path file = Files.createTempFile("tour", ".json");
      Files.writeString(file, word.substring("{file:".length(), word.length() - 1));
      return file.toString();
    }
    return word.startsWith(data.toString()) && word.contains("*") ? largestMatch(word) : word;
  }

  /** The shell is not there to expand a pattern; one file is what the dump tool is to read. */
  static String largestMatch(String glob) throws Exception {
    var matcher = data.getFileSystem().getPathMatcher("glob:" + glob);
    try (Stream<Path> files = Files.walk(data)) {
      return files
          .filter(matcher::matches)
          .max((a, b) -> Long.compare(a.toFile().length(), b.toFile().length()))
          .orElseThrow(() -> new AssertionError("nothing matches " + glob))
          .toString();
    }
  }

  static Class<?> find(String tool) throws ClassNotFoundException {
    for (String name : PACKAGES) {
      try {
        return Class.forName(name + tool);
      } catch (ClassNotFoundException ignored) {
        // It is in one of the others.
      }
    }
    throw new ClassNotFoundException(tool);
  }

  /** For a tool that ends its work in the JVM's own shutdown. */
  static String runProcess(Case c, int[] code) throws Exception {
    List<String> command = new ArrayList<>(List.of("java", "-XX:TieredStopAtLevel=1", "-cp"));
    command.addAll(List.of(System.getProperty("java.class.path"), find(c.tool).getName()));
    command.addAll(c.arguments);
    Path output = Files.createTempFile("tour", ".out");
    Process process =
        new ProcessBuilder(command)
            .redirectErrorStream(true)
            .redirectOutput(output.toFile())
            .start();
    boolean ended = process.waitFor(PATIENCE_MS, TimeUnit.MILLISECONDS);
    if (!ended) process.destroyForcibly().waitFor();
    code[0] = ended ? process.exitValue() : 124;
    return Files.readString(output);
  }

  /** Writes to both. */
  static class Tee extends OutputStream {
    final OutputStream one;
    final OutputStream other;

    Tee(OutputStream one, OutputStream other) {
      this.one = one;
      this.other = other;
    }

    @Override
    public void write(int b) throws java.io.IOException {
      one.write(b);
      other.write(b);
    }
  }

  /**
   * Runs the tool's main with its own standard streams; returns all that it printed, and what of it
   * went to standard output in the builder.
   */
  static String runTool(Case c, int[] code, StringBuilder output) throws Exception {
    if (c.narus) return runNaru(c.tool, c, code, output);
    if (c.ownJvm) return runProcess(c, code);
    ByteArrayOutputStream printed = new ByteArrayOutputStream();
    ByteArrayOutputStream standard = new ByteArrayOutputStream();
    PrintStream stream = new PrintStream(printed, true, StandardCharsets.UTF_8);
    PrintStream both =
        new PrintStream(new Tee(printed, standard), true, StandardCharsets.UTF_8);
    PrintStream errors = System.err;
    InputStream input = System.in;
    System.setOut(both);
    System.setErr(stream);
    System.setIn(new ByteArrayInputStream(c.input.getBytes(StandardCharsets.UTF_8)));
    firstExit = null;
    hooks.clear();
    try {
      var main = find(c.tool).getMethod("main", String[].class);
      Object arguments = c.arguments.toArray(new String[0]);
      Thread thread = new Thread(() -> code[0] = call(main, arguments, stream), "tool-" + c.tool);
      thread.setDaemon(true);
      thread.start();
      thread.join(PATIENCE_MS);
      if (thread.isAlive()) {
        code[0] = 124;
        stream.println("still running at " + List.of(thread.getStackTrace()));
        thread.interrupt();
      }
      for (Runnable hook : new ArrayList<>(hooks)) {
        Thread ending = new Thread(hook);
        ending.setDaemon(true);
        ending.start();
        ending.join(10_000);
      }
    } finally {
      System.setOut(OUT);
      System.setErr(errors);
      System.setIn(input);
    }
    if (firstExit != null) code[0] = firstExit;
    output.append(standard.toString(StandardCharsets.UTF_8));
    return printed.toString(StandardCharsets.UTF_8);
  }

  static int call(java.lang.reflect.Method main, Object arguments, PrintStream stream) {
    try {
      main.invoke(null, arguments);
      return 0;
    } catch (InvocationTargetException e) {
      if (e.getCause() instanceof ToolExit exit) return exit.code;
      e.getCause().printStackTrace(stream);
      return 1;
    } catch (IllegalAccessException e) {
      e.printStackTrace(stream);
      return 99;
    }
  }
}
