import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicIdPartition;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.errors.RetriableException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * The Java client while brokers die: an idempotent producer, two groups of two, one
 * of each protocol, a share group of two, and an admin client.
 *
 * <p>Arguments: BOOTSTRAP STOP [SETTINGS], the last a properties file for all clients. All three go
 * on until the file STOP is there; then what was acknowledged is compared with what the topic holds.
 */
public class FailoverTour {
  record Place(int partition, long offset) {}

  static final int PARTITIONS = 3;
  static final long PAUSE_MS = 5;
  static final String TOPIC = "java-failover";

  static String bootstrap;
  static Path stop;
  static final Properties settings = new Properties();
  static final Map<Integer, Place> acknowledged = new ConcurrentHashMap<>();
  static final Set<Integer> got = ConcurrentHashMap.newKeySet();
  static final Set<Integer> gotByConsumerProtocol = ConcurrentHashMap.newKeySet();
  /** What the share group was given. */
  static final Set<Integer> given = ConcurrentHashMap.newKeySet();

  /**
   * What it acknowledged and was told so. What was stored by a leader that died before it could
   * tell is not among it, and is not given again either.
   */
  static final Set<Integer> done = ConcurrentHashMap.newKeySet();

  /** What it was given after that. */
  static final Set<Integer> givenAgain = ConcurrentHashMap.newKeySet();
  static final List<String> refused = new ArrayList<>();
  static final List<String> adminErrors = new ArrayList<>();
  static volatile boolean groupMayEnd;

  public static void main(String[] args) throws Exception {
    bootstrap = args[0];
    stop = Path.of(args[1]);
    if (args.length > 2) settings.load(Files.newBufferedReader(Path.of(args[2])));
    Report report = new Report();
    try (Admin admin = Admin.create(properties())) {
      admin.createTopics(List.of(new NewTopic(TOPIC, PARTITIONS, (short) 3))).all().get();
      beginShareGroup(admin);
      List<Thread> members = new ArrayList<>();
      for (int i = 0; i < 2; i++) members.add(started(FailoverTour::share));
      for (String protocol : List.of("classic", "consumer")) {
        Set<Integer> into = protocol.equals("classic") ? got : gotByConsumerProtocol;
        for (int i = 0; i < 2; i++) members.add(started(() -> read(protocol, into)));
      }
      Thread asking = started(() -> ask(admin));
      write();
      long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
      while (!(got.containsAll(acknowledged.keySet())
              && gotByConsumerProtocol.containsAll(acknowledged.keySet())
              && given.containsAll(acknowledged.keySet()))
          && System.nanoTime() < end) Thread.sleep(100);
      groupMayEnd = true;
      for (Thread member : members) member.join();
      asking.join();
    }
    report.run("the Java producer saw no error", () -> none(refused));
    report.run("the Java admin client saw no error", () -> none(adminErrors));
    report.run("acknowledged to Java is there once, in order, at its offset", FailoverTour::judge);
    report.run("the Java group got every record", () -> complete(got));
    report.run(
        "the Java group of the consumer protocol got every record",
        () -> complete(gotByConsumerProtocol));
    report.run("the Java share group was given every record", () -> complete(given));
    report.run(
        "nothing was given to the Java share group after it had been acknowledged",
        () -> {
          if (done.size() < 100) throw new AssertionError("only " + done.size());
          if (!givenAgain.isEmpty()) throw new AssertionError(givenAgain.size() + " records");
        });
    report.end();
  }

  static void beginShareGroup(Admin admin) throws Exception {
    ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, TOPIC + "-share");
    ConfigEntry earliest = new ConfigEntry("share.auto.offset.reset", "earliest");
    List<AlterConfigOp> ops = List.of(new AlterConfigOp(earliest, AlterConfigOp.OpType.SET));
    admin.incrementalAlterConfigs(Map.of(group, ops)).all().get();
  }

  /** A member of the share group: what it was given is acknowledged at once. */
  static void share() {
    StringDeserializer strings = new StringDeserializer();
    Properties properties = properties("group.id", TOPIC + "-share");
    try (KafkaShareConsumer<String, String> member =
        new KafkaShareConsumer<>(properties, strings, strings)) {
      member.subscribe(List.of(TOPIC));
      while (!groupMayEnd) {
        try {
          ConsumerRecords<String, String> records = member.poll(Duration.ofMillis(200));
          for (ConsumerRecord<String, String> record : records) {
            int number = Integer.parseInt(record.value());
            if (done.contains(number)) givenAgain.add(number);
            given.add(number);
          }
          Map<Integer, Boolean> stored = new HashMap<>();
          for (Map.Entry<TopicIdPartition, Optional<KafkaException>> result :
              member.commitSync().entrySet()) {
            stored.put(result.getKey().partition(), result.getValue().isEmpty());
          }
          for (ConsumerRecord<String, String> record : records) {
            if (stored.getOrDefault(record.partition(), false)) {
              done.add(Integer.parseInt(record.value()));
            }
          }
        } catch (KafkaException e) {
          // The leader or the coordinator is moving: the records will be given to somebody again.
        }
      }
    }
  }

  static void complete(Set<Integer> seen) {
    Set<Integer> missing = new HashSet<>(acknowledged.keySet());
    missing.removeAll(seen);
    if (!missing.isEmpty()) throw new AssertionError(missing.size() + " records");
  }

  static Properties properties(String... more) {
    Properties properties = new Properties();
    properties.putAll(settings);
    properties.put("bootstrap.servers", bootstrap);
    for (int i = 0; i < more.length; i += 2) properties.put(more[i], more[i + 1]);
    return properties;
  }

  static Thread started(Runnable body) {
    Thread thread = new Thread(body);
    thread.start();
    return thread;
  }

  static void none(List<String> errors) {
    if (!errors.isEmpty()) throw new AssertionError(errors.size() + ", first " + errors.get(0));
  }

  static boolean stopped() {
    return Files.exists(stop);
  }

  static void write() throws InterruptedException {
    Properties properties = properties("acks", "all", "linger.ms", "2");
    StringSerializer strings = new StringSerializer();
    try (KafkaProducer<String, String> producer =
        new KafkaProducer<>(properties, strings, strings)) {
      for (int i = 0; !stopped(); i++) {
        int number = i;
        producer.send(
            new ProducerRecord<>(TOPIC, i % PARTITIONS, null, Integer.toString(i)),
            (metadata, error) -> {
              if (error == null) {
                acknowledged.put(number, new Place(metadata.partition(), metadata.offset()));
              } else {
                synchronized (refused) {
                  refused.add(error.toString());
                }
              }
            });
        Thread.sleep(PAUSE_MS);
      }
    }
  }

  static KafkaConsumer<String, String> consumer(String... more) {
    StringDeserializer strings = new StringDeserializer();
    return new KafkaConsumer<>(properties(more), strings, strings);
  }

  static void read(String protocol, Set<Integer> into) {
    try (KafkaConsumer<String, String> member =
        consumer(
            "group.id",
            TOPIC + "-" + protocol,
            "group.protocol",
            protocol,
            "auto.offset.reset",
            "earliest",
            "enable.auto.commit",
            "false")) {
      member.subscribe(List.of(TOPIC));
      while (!groupMayEnd) {
        for (ConsumerRecord<String, String> record : member.poll(Duration.ofMillis(200))) {
          into.add(Integer.parseInt(record.value()));
        }
        try {
          member.commitSync();
        } catch (CommitFailedException | RetriableException | RebalanceInProgressException e) {
          // The partitions were moved to another member, or the coordinator is moving.
        }
      }
    }
  }

  static void ask(Admin admin) {
    while (!stopped()) {
      try {
        admin.describeTopics(List.of(TOPIC)).allTopicNames().get();
        admin.listConsumerGroupOffsets(TOPIC + "-consumer").partitionsToOffsetAndMetadata().get();
        Thread.sleep(100);
      } catch (Exception error) {
        adminErrors.add(error.toString());
      }
    }
  }

  /** Reads the topic whole. */
  static void judge() {
    if (acknowledged.size() < 100) throw new AssertionError("only " + acknowledged.size());
    Map<Integer, Place> found = new HashMap<>();
    try (KafkaConsumer<String, String> reader = consumer()) {
      List<TopicPartition> places = new ArrayList<>();
      for (int i = 0; i < PARTITIONS; i++) places.add(new TopicPartition(TOPIC, i));
      reader.assign(places);
      reader.seekToBeginning(places);
      Map<TopicPartition, Long> ends = reader.endOffsets(places);
      int[] last = {-1, -1, -1};
      while (places.stream().anyMatch(place -> reader.position(place) < ends.get(place))) {
        for (ConsumerRecord<String, String> record : reader.poll(Duration.ofSeconds(1))) {
          int number = Integer.parseInt(record.value());
          String where = number + " at " + record.partition() + ":" + record.offset();
          Place place = new Place(record.partition(), record.offset());
          if (found.put(number, place) != null) throw new AssertionError("doubled: " + where);
          if (number < last[record.partition()]) throw new AssertionError("order: " + where);
          last[record.partition()] = number;
        }
      }
    }
    acknowledged.forEach(
        (number, place) -> {
          if (!place.equals(found.get(number))) {
            throw new AssertionError(number + ": " + place + ", found at " + found.get(number));
          }
        });
  }
}
