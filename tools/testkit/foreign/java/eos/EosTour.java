import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams with exactly_once_v2 while brokers die: two instances count each key's records over
 * a repartition topic and a store with a changelog.
 *
 * <p>Arguments: BOOTSTRAP STOP FOLDER PROTOCOL. A producer writes 0, 1, 2... under each key until the
 * file STOP is there. In the end readers of committed records must find, for each key, every number
 * once and in order, each with the count of records so far: a record lost, doubled or counted twice
 * shows.
 */
public class EosTour {
  static final int PARTITIONS = 3;
  static final int KEYS = 12;
  static final long PAUSE_MS = 5;
  static final long DRAIN_S = 120;
  static String from;
  static String to;
  static final String STORE = "counts";

  static String bootstrap;
  static Path stop;
  static final int[] sent = new int[KEYS];
  static final ConcurrentLinkedQueue<String> refused = new ConcurrentLinkedQueue<>();
  static final ConcurrentLinkedQueue<String> replaced = new ConcurrentLinkedQueue<>();

  public static void main(String[] args) throws Exception {
    bootstrap = args[0];
    stop = Path.of(args[1]);
    from = "eos-in-" + args[3];
    to = "eos-out-" + args[3];
    try (Admin admin = Admin.create(properties())) {
      List<NewTopic> topics = new ArrayList<>();
      for (String name : List.of(from, to)) topics.add(new NewTopic(name, PARTITIONS, (short) 3));
      admin.createTopics(topics).all().get();
    }
    List<KafkaStreams> instances = new ArrayList<>();
    for (int i = 0; i < 2; i++) instances.add(instance(args[2] + "/state-" + i, args[3]));
    instances.forEach(KafkaStreams::start);
    write();
    List<List<String>> found = new ArrayList<>();
    String drained = drain(found);
    for (KafkaStreams instance : instances) instance.close(Duration.ofSeconds(30));
    for (String why : replaced) System.err.println("a thread was replaced: " + why);
    String name = "Kafka Streams, exactly_once_v2, " + args[3] + " protocol: ";
    Report report = new Report();
    report.run(name + "its input was written without an error", () -> none(refused));
    report.run(
        name + "all of it comes out",
        () -> {
          if (!drained.isEmpty()) throw new AssertionError(drained);
        });
    report.run(name + "each record is counted once, in order", () -> judge(found));
    report.end();
  }

  static Properties properties(String... more) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    for (int i = 0; i < more.length; i += 2) properties.put(more[i], more[i + 1]);
    return properties;
  }

  /** Counts a key's records and passes each on with its number. */
  static class Counter implements Processor<String, String, String, String> {
    private ProcessorContext<String, String> context;
    private KeyValueStore<String, Long> counts;

    @Override
    public void init(ProcessorContext<String, String> context) {
      this.context = context;
      counts = context.getStateStore(STORE);
    }

    @Override
    public void process(Record<String, String> record) {
      Long before = counts.get(record.key());
      long count = before == null ? 1 : before + 1;
      counts.put(record.key(), count);
      context.forward(record.withValue(record.value() + ":" + count));
    }
  }

  static Topology topology() {
    StreamsBuilder builder = new StreamsBuilder();
    builder.addStateStore(
        Stores.keyValueStoreBuilder(
            Stores.inMemoryKeyValueStore(STORE), Serdes.String(), Serdes.Long()));
    builder.<String, String>stream(from)
        .selectKey((key, value) -> "again-" + key)
        .repartition(Repartitioned.as("by-key"))
        .process(Counter::new, STORE)
        .to(to);
    return builder.build();
  }

  static KafkaStreams instance(String folder, String protocol) {
    Properties properties =
        properties(
            "application.id", "eos-tour-" + protocol,
            "processing.guarantee", "exactly_once_v2",
            "group.protocol", protocol,
            "replication.factor", "3",
            "num.stream.threads", "1",
            "state.dir", folder,
            "default.key.serde", Serdes.StringSerde.class.getName(),
            "default.value.serde", Serdes.StringSerde.class.getName(),
            "consumer.auto.offset.reset", "earliest");
    // Of groups of the streams protocol the broker says how long a session is.
    if (protocol.equals("classic")) properties.put("consumer.session.timeout.ms", "10000");
    KafkaStreams streams = new KafkaStreams(topology(), properties);
    streams.setUncaughtExceptionHandler(
        error -> {
          replaced.add(error.toString());
          return StreamThreadExceptionResponse.REPLACE_THREAD;
        });
    return streams;
  }

  static void write() throws InterruptedException {
    StringSerializer strings = new StringSerializer();
    try (KafkaProducer<String, String> producer =
        new KafkaProducer<>(properties("acks", "all", "linger.ms", "2"), strings, strings)) {
      for (int i = 0; !Files.exists(stop); i++) {
        int key = i % KEYS;
        String value = Integer.toString(sent[key]++);
        producer.send(
            new ProducerRecord<>(from, "key-" + key, value),
            (metadata, error) -> {
              if (error != null) refused.add(error.toString());
            });
        Thread.sleep(PAUSE_MS);
      }
    }
  }

  /** Reads what is committed until all is there and a while longer; says what is missing. */
  static String drain(List<List<String>> found) {
    StringDeserializer strings = new StringDeserializer();
    Properties properties = properties("isolation.level", "read_committed");
    try (KafkaConsumer<String, String> reader =
        new KafkaConsumer<>(properties, strings, strings)) {
      List<TopicPartition> all =
          IntStream.range(0, PARTITIONS).mapToObj(i -> new TopicPartition(to, i)).toList();
      for (int i = 0; i < KEYS; i++) found.add(new ArrayList<>());
      reader.assign(all);
      reader.seekToBeginning(all);
      long wanted = IntStream.of(sent).sum();
      long count = 0;
      long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(DRAIN_S);
      long quiet = 0;
      while (System.nanoTime() < end && (count < wanted || quiet < 10)) {
        quiet = count < wanted ? 0 : quiet + 1;
        for (ConsumerRecord<String, String> record : reader.poll(Duration.ofMillis(200))) {
          found.get(Integer.parseInt(record.key().substring("again-key-".length())))
              .add(record.value());
          count++;
        }
      }
      System.err.println(count + " of " + wanted + " records came out");
      return count >= wanted ? "" : count + " of " + wanted + " records";
    }
  }

  static void judge(List<List<String>> found) {
    for (int key = 0; key < KEYS; key++) {
      List<String> want = IntStream.range(0, sent[key]).mapToObj(n -> n + ":" + (n + 1)).toList();
      List<String> got = found.get(key);
      for (int at = 0; at < Math.max(want.size(), got.size()); at++) {
        String expected = at < want.size() ? want.get(at) : "nothing";
        String came = at < got.size() ? got.get(at) : "nothing";
        if (!expected.equals(came)) {
          throw new AssertionError(
              "key " + key + ", record " + at + ": want " + expected + ", got " + came + "; "
                  + got.size() + " of " + want.size());
        }
      }
    }
  }

  static void none(ConcurrentLinkedQueue<String> errors) {
    if (!errors.isEmpty()) throw new AssertionError(errors.size() + ", first " + errors.peek());
  }
}
