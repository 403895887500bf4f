import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.TimeUnit;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;
import org.apache.kafka.streams.*;
import org.apache.kafka.streams.KafkaStreams.State;
import org.apache.kafka.streams.kstream.*;

/**
 * Kafka Streams applications with exactly_once_v2 against any broker: a word count with a
 * repartition topic and a store with a changelog, in two processes of which one is killed. Argument:
 * BOOTSTRAP. (The second process is this class with other arguments.)
 */
public class StreamsTour {
  static final String P = "js" + Long.toString(System.currentTimeMillis(), 36);
  static final int PARTITIONS = 3;
  static final List<String> WORDS = List.of("ant", "bee", "cat", "dog", "elk", "fox", "gnu");
  static String B;
  static Admin adm;

  public static void main(String[] args) throws Exception {
    B = args[0];
    if (args.length > 1) {
      KafkaStreams other = application(args[1], args[2], args[3], 1);
      other.start();
      Thread.sleep(600_000);
      return;
    }
    adm = Admin.create(Map.of("bootstrap.servers", B));
    Report report = new Report();
    for (String protocol : List.of("streams", "classic"))
      report.run("streams." + protocol + ".eos", () -> exactlyOnce(protocol));
    report.run("streams.missing-source", StreamsTour::missingSource);
    report.end();
  }

  static KafkaStreams application(String app, String protocol, String dir, int threads) {
    Properties p = new Properties();
    p.put("bootstrap.servers", B);
    p.put("application.id", app);
    p.put("group.protocol", protocol);
    p.put("processing.guarantee", "exactly_once_v2");
    p.put("state.dir", dir);
    p.put("num.stream.threads", threads);
    p.put("commit.interval.ms", 100);
    p.put("statestore.cache.max.bytes", 0);
    p.put("replication.factor", 1);
    p.put("metadata.max.age.ms", 1000);
    p.put("producer.transaction.timeout.ms", 5000);
    p.put("consumer.auto.offset.reset", "earliest");
    if (protocol.equals("classic")) {
      p.put("num.standby.replicas", 1);
      p.put("acceptable.recovery.lag", 100_000);
      p.put("consumer.session.timeout.ms", 6000);
      p.put("consumer.heartbeat.interval.ms", 500);
    }
    return new KafkaStreams(wordCount(app), p);
  }

  static Topology wordCount(String app) {
    StreamsBuilder builder = new StreamsBuilder();
    builder.stream(app + "-in", Consumed.with(Serdes.String(), Serdes.String()))
        .flatMapValues(line -> Arrays.asList(line.split(" ")))
        .groupBy((key, word) -> word, Grouped.with("words", Serdes.String(), Serdes.String()))
        .count(Materialized.as("counts"))
        .toStream()
        .to(app + "-out", Produced.with(Serdes.String(), Serdes.Long()));
    return builder.build();
  }

  static Process otherProcess(String app, String protocol, Path dir) throws Exception {
    return new ProcessBuilder(
            "java",
            "-Xmx200m",
            "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=off",
            "-cp",
            System.getProperty("java.class.path"),
            "StreamsTour",
            B,
            app,
            protocol,
            dir.toString())
        .redirectErrorStream(true)
        .redirectOutput(dir.resolve("log").toFile())
        .start();
  }

  static void exactlyOnce(String protocol) throws Exception {
    String app = P + "-" + protocol;
    boolean isStreams = protocol.equals("streams");
    get(adm.createTopics(List.of(topic(app + "-in"), topic(app + "-out"))).all());
    if (isStreams) {
      ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, app);
      AlterConfigOp standby =
          new AlterConfigOp(
              new ConfigEntry("streams.num.standby.replicas", "1"), AlterConfigOp.OpType.SET);
      get(adm.incrementalAlterConfigs(Map.of(group, List.of(standby))).all());
    }
    Path mine = Files.createTempDirectory("streams-a"), its = Files.createTempDirectory("streams-b");
    Map<String, Long> sent = new TreeMap<>();
    KafkaStreams streams = application(app, protocol, mine.toString(), 2);
    Process other = otherProcess(app, protocol, its);
    try {
      streams.start();
      say(app, sent, 300);
      until("both run", () -> streams.state() == State.RUNNING && shares(app, isStreams));
      say(app, sent, 300);
      if (isStreams) described(app);
      other.destroyForcibly();
      other.waitFor(10, TimeUnit.SECONDS);
      say(app, sent, 300);
      counted(app, sent);
      if (isStreams) until("one runs all", () -> tasks(app).size() == 1);
    } finally {
      other.destroyForcibly();
      streams.close(Duration.ofSeconds(20));
    }
    if (isStreams) administered(app);
  }

  /** Sends lines and remembers how often each word was said. */
  static void say(String app, Map<String, Long> sent, int lines) throws Exception {
    Properties p = new Properties();
    p.put("bootstrap.servers", B);
    p.put("acks", "all");
    Random random = new Random(7 + sent.size());
    try (KafkaProducer<String, String> producer =
        new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
      for (int at = 0; at < lines; at++) {
        String a = WORDS.get(random.nextInt(WORDS.size()));
        String b = WORDS.get(random.nextInt(WORDS.size()));
        for (String word : List.of(a, b)) sent.merge(word, 1L, Long::sum);
        producer.send(new ProducerRecord<>(app + "-in", at % PARTITIONS, null, a + " " + b));
      }
    }
  }

  /** Every word was counted 1, 2, 3 ... as often as it was said: nothing lost, nothing twice. */
  static void counted(String app, Map<String, Long> sent) throws Exception {
    Properties p = new Properties();
    p.put("bootstrap.servers", B);
    p.put("isolation.level", "read_committed");
    p.put("auto.offset.reset", "earliest");
    Map<String, Long> seen = new TreeMap<>();
    try (KafkaConsumer<String, Long> consumer =
        new KafkaConsumer<>(p, new StringDeserializer(), new LongDeserializer())) {
      consumer.assign(
          IntStream.range(0, PARTITIONS).mapToObj(n -> new TopicPartition(app + "-out", n)).toList());
      long end = System.currentTimeMillis() + 60_000;
      while (!seen.equals(sent)) {
        if (System.currentTimeMillis() > end) {
          throw new AssertionError("said " + sent + " counted " + seen);
        }
        for (ConsumerRecord<String, Long> r : consumer.poll(Duration.ofMillis(200))) {
          long next = seen.getOrDefault(r.key(), 0L) + 1;
          if (r.value() != next) {
            throw new AssertionError(r.key() + " is counted " + r.value() + " after " + (next - 1));
          }
          seen.put(r.key(), next);
        }
      }
      if (!consumer.poll(Duration.ofMillis(500)).isEmpty()) throw new AssertionError("too many");
    }
  }

  /** Whether both processes have something to do. */
  static boolean shares(String app, boolean isStreams) throws Exception {
    if (isStreams) return tasks(app).size() == 2;
    ConsumerGroupDescription group =
        get(adm.describeConsumerGroups(List.of(app)).describedGroups().get(app));
    return group.groupState() == GroupState.STABLE
        && group.members().stream().filter(m -> !m.assignment().topicPartitions().isEmpty()).count()
            == 3;
  }

  /** Active tasks by process. */
  static Map<String, Integer> tasks(String app) throws Exception {
    Map<String, Integer> tasks = new TreeMap<>();
    StreamsGroupDescription group;
    try {
      group = get(adm.describeStreamsGroups(List.of(app)).all()).get(app);
    } catch (GroupIdNotFoundException notYet) {
      return tasks;
    }
    if (group.groupState() != GroupState.STABLE) return Map.of();
    for (StreamsGroupMemberDescription member : group.members()) {
      int count = member.assignment().activeTasks().stream().mapToInt(t -> t.partitions().size()).sum();
      tasks.merge(member.processId(), count, Integer::sum);
    }
    tasks.values().removeIf(count -> count == 0);
    return tasks;
  }

  static void described(String app) throws Exception {
    StreamsGroupDescription group = get(adm.describeStreamsGroups(List.of(app)).all()).get(app);
    eq(3, group.members().size());
    eq(2, group.subtopologies().size());
    Set<String> internal =
        group.subtopologies().stream()
            .flatMap(
                s ->
                    Stream.concat(
                        s.repartitionSourceTopics().entrySet().stream(),
                        s.stateChangelogTopics().entrySet().stream()))
            .peek(e -> eq(PARTITIONS, e.getValue().partitions()))
            .map(Map.Entry::getKey)
            .collect(Collectors.toSet());
    eq(Set.of(app + "-words-repartition", app + "-counts-changelog"), internal);
    eq(2 * PARTITIONS, tasks(app).values().stream().mapToInt(n -> n).sum());
    int standby =
        group.members().stream()
            .flatMap(m -> m.assignment().standbyTasks().stream())
            .mapToInt(t -> t.partitions().size())
            .sum();
    eq(PARTITIONS, standby);
    GroupListing listed =
        get(adm.listGroups(ListGroupsOptions.forStreamsGroups()).all()).stream()
            .filter(g -> g.groupId().equals(app))
            .findFirst()
            .orElseThrow();
    eq(Optional.of(GroupType.STREAMS), listed.type());
    fails(GroupNotEmptyException.class, () -> get(adm.deleteStreamsGroups(List.of(app)).all()));
    TopicPartition in = new TopicPartition(app + "-in", 0);
    fails(
        GroupSubscribedToTopicException.class,
        () -> get(adm.deleteStreamsGroupOffsets(app, Set.of(in)).all()));
  }

  /** What an administrator does with the offsets and the group when it does not run. */
  static void administered(String app) throws Exception {
    until("empty", () -> members(app) == 0);
    TopicPartition in = new TopicPartition(app + "-in", 0);
    Map<TopicPartition, OffsetAndMetadata> offsets =
        get(
            adm.listStreamsGroupOffsets(Map.of(app, new ListStreamsGroupOffsetsSpec()))
                .partitionsToOffsetAndMetadata(app));
    eq(300L, offsets.get(in).offset());
    get(adm.alterStreamsGroupOffsets(app, Map.of(in, new OffsetAndMetadata(5))).all());
    get(adm.deleteStreamsGroupOffsets(app, Set.of(in)).all());
    get(adm.deleteStreamsGroups(List.of(app)).all());
    fails(GroupIdNotFoundException.class, () -> get(adm.describeStreamsGroups(List.of(app)).all()));
  }

  static int members(String app) throws Exception {
    return get(adm.describeStreamsGroups(List.of(app)).all()).get(app).members().size();
  }

  /** An application whose source is not there is told so, and ends. */
  static void missingSource() throws Exception {
    String app = P + "-missing";
    Path dir = Files.createTempDirectory("streams-c");
    KafkaStreams streams = application(app, "streams", dir.toString(), 1);
    Throwable[] thrown = new Throwable[1];
    streams.setUncaughtExceptionHandler(
        error -> {
          thrown[0] = error;
          return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler
              .StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
    try {
      streams.start();
      until("it is told", () -> thrown[0] != null);
      eq(
          org.apache.kafka.streams.errors.MissingSourceTopicException.class,
          thrown[0].getClass());
    } finally {
      streams.close(Duration.ofSeconds(10));
    }
  }

  static NewTopic topic(String name) {
    return new NewTopic(name, PARTITIONS, (short) 1);
  }

  interface Condition {
    boolean holds() throws Exception;
  }

  static void until(String what, Condition done) throws Exception {
    long end = System.currentTimeMillis() + 60_000;
    while (!done.holds()) {
      if (System.currentTimeMillis() > end) throw new AssertionError("never so: " + what);
      Thread.sleep(100);
    }
  }

  static <T> T get(KafkaFuture<T> future) throws Exception {
    try {
      return future.get(30, TimeUnit.SECONDS);
    } catch (java.util.concurrent.ExecutionException e) {
      if (e.getCause() instanceof Exception cause) throw cause;
      throw e;
    }
  }

  static void eq(Object want, Object got) {
    if (!Objects.equals(want, got)) throw new AssertionError("want " + want + " got " + got);
  }

  static void fails(Class<? extends Exception> want, Report.Case body) throws Exception {
    try {
      body.run();
    } catch (Throwable got) {
      if (want.isInstance(got)) return;
      throw new AssertionError("want " + want.getSimpleName() + " got " + got, got);
    }
    throw new AssertionError("want " + want.getSimpleName() + ", nothing thrown");
  }
}
