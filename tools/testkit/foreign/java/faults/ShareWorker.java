import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.StringJoiner;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.zip.CRC32;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.admin.SharePartitionOffsetInfo;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicIdPartition;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Two members of one share group under faults, with explicit acknowledgement, and an observer.
 *
 * <p>judge_shares.py says what is asked of them. Their ledger:
 *
 * <ul>
 *   <li>["given", member, batch, since, time, [[topic, partition, offset, count, how, checksum]]]
 *       records that a poll returned, and what will be said of each; they were asked for after
 *       `since`
 *   <li>["ended", member, batch, sent, answered, {"topic-partition": "" or error}] what was
 *       answered; a partition without an answer is missing
 *   <li>["start", topic, partition, offset, asked, answered] the start of a share-partition
 *   <li>["leads", topic, partition, leader, time]
 *   <li>["lost", member, time, error] a member that has ended for good and was replaced
 *   <li>["drained", whether, time]
 * </ul>
 */
class ShareWorker {
  static final int MEMBERS = 2;
  static final int CONFIGURE_TRIES = 5;
  static final Duration POLL = Duration.ofMillis(200);
  static final Duration COMMIT = Duration.ofSeconds(10);
  static final long OBSERVE_MS = 250;
  static final int QUIET_OBSERVATIONS = 3;

  private final Ledger ledger;
  private final Path stop;
  private final String group;
  private final List<String> topics;
  private final int lockMs;
  private volatile boolean ended;

  ShareWorker(Ledger ledger, Path stop, String topic, int lockMs) {
    this.ledger = ledger;
    this.stop = stop;
    this.group = "share-" + topic;
    this.topics = List.of(topic + "-shared", topic + "-a");
    this.lockMs = lockMs;
  }

  /** Ends when the stop is there, the other load has ended, and nothing is left to read. */
  void run(long patienceSeconds, Thread other) throws Exception {
    Properties properties = FaultLoad.properties();
    properties.put("default.api.timeout.ms", "10000");
    List<Thread> members = new ArrayList<>();
    try (Admin admin = Admin.create(properties)) {
      configure(admin);
      for (int i = 0; i < MEMBERS; i++) {
        int number = i;
        Thread member = new Thread(() -> member(number));
        member.start();
        members.add(member);
      }
      observe(admin, TimeUnit.SECONDS.toNanos(patienceSeconds), other);
    }
    for (Thread member : members) member.join(TimeUnit.SECONDS.toMillis(20));
    ledger.close();
  }

  private void configure(Admin admin) throws Exception {
    Map<String, String> settings =
        Map.of(
            "share.auto.offset.reset", "earliest",
            "share.isolation.level", "read_committed",
            "share.record.lock.duration.ms", Integer.toString(lockMs));
    List<AlterConfigOp> ops = new ArrayList<>();
    settings.forEach(
        (key, value) ->
            ops.add(new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET)));
    ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
    for (int tries = 1; ; tries++) {
      try {
        admin.incrementalAlterConfigs(Map.of(resource, ops)).all().get();
        return;
      } catch (ExecutionException error) {
        // On a busy machine a JVM's first request may take longer than its short patience.
        if (tries == CONFIGURE_TRIES) throw error;
      }
    }
  }

  // Members

  private void member(int number) {
    int batch = 0;
    while (!ended) {
      try (KafkaShareConsumer<byte[], byte[]> consumer = open()) {
        double since = Ledger.now(), begins = since;
        while (!ended) {
          since = begins;
          begins = Ledger.now();
          ConsumerRecords<byte[], byte[]> records = consumer.poll(POLL);
          // What a poll returns may have been fetched while the one before was waiting.
          if (!records.isEmpty()) one(consumer, records, number, batch++, since);
        }
      } catch (RuntimeException error) {
        ledger.put("[\"lost\",%d,%.3f,%s]", number, Ledger.now(), Ledger.quoted(error));
        Ledger.sleep(300);
      }
    }
  }

  private KafkaShareConsumer<byte[], byte[]> open() {
    Properties properties = FaultLoad.properties();
    properties.put("default.api.timeout.ms", "10000");
    properties.put("group.id", group);
    properties.put("share.acknowledgement.mode", "explicit");
    properties.put("max.poll.records", "50");
    ByteArrayDeserializer bytes = new ByteArrayDeserializer();
    KafkaShareConsumer<byte[], byte[]> consumer =
        new KafkaShareConsumer<>(properties, bytes, bytes);
    consumer.subscribe(topics);
    return consumer;
  }

  private void one(
      KafkaShareConsumer<byte[], byte[]> consumer,
      ConsumerRecords<byte[], byte[]> records,
      int member,
      int batch,
      double since) {
    StringJoiner rows = new StringJoiner(",", "[", "]");
    double given = Ledger.now();
    for (ConsumerRecord<byte[], byte[]> record : records) {
      long checksum = checksum(record.value());
      AcknowledgeType how = choice(checksum);
      consumer.acknowledge(record, how);
      int count = record.deliveryCount().map(Short::intValue).orElse(-1);
      rows.add(
          String.format(
              "[\"%s\",%d,%d,%d,\"%s\",%d]",
              record.topic(), record.partition(), record.offset(), count, how.name(), checksum));
    }
    // Before anything is said about them: a worker that dies here has had them.
    ledger.put("[\"given\",%d,%d,%.3f,%.3f,%s]", member, batch, since, given, rows);
    Ledger.sleep(ThreadLocalRandom.current().nextInt(60));
    double sent = Ledger.now();
    StringJoiner answers = new StringJoiner(",", "{", "}");
    RuntimeException failed = null;
    try {
      Map<TopicIdPartition, Optional<KafkaException>> results =
          consumer.commitSync(COMMIT);
      results.forEach(
          (place, error) ->
              answers.add(
                  String.format(
                      "\"%s-%d\":%s",
                      place.topic(),
                      place.partition(),
                      error.isEmpty() ? "\"\"" : Ledger.quoted(error.get()))));
    } catch (RuntimeException error) {
      failed = error;
    }
    ledger.put("[\"ended\",%d,%d,%.3f,%.3f,%s]", member, batch, sent, Ledger.now(), answers);
    if (failed != null) throw failed;
  }

  /** Some records are always released, until their deliveries are used up. */
  static AcknowledgeType choice(long checksum) {
    if (checksum % 101 == 0) return AcknowledgeType.RELEASE;
    int dice = ThreadLocalRandom.current().nextInt(100);
    if (dice < 6) return AcknowledgeType.RELEASE;
    return dice < 8 ? AcknowledgeType.REJECT : AcknowledgeType.ACCEPT;
  }

  // The observer

  /** Watches starts and leaders, and ends all when nothing is left to read. */
  private void observe(Admin admin, long patience, Thread other) {
    Map<TopicPartition, Integer> leaders = new HashMap<>();
    long end = Long.MAX_VALUE;
    int quiet = 0;
    while (quiet < QUIET_OBSERVATIONS && System.nanoTime() < end) {
      if (end == Long.MAX_VALUE && Files.exists(stop) && !other.isAlive()) {
        end = System.nanoTime() + patience;
      }
      try {
        boolean all = places(admin, leaders) == starts(admin);
        quiet = end != Long.MAX_VALUE && all ? quiet + 1 : 0;
      } catch (Exception error) {
        quiet = 0;
      }
      Ledger.sleep(OBSERVE_MS);
    }
    ledger.put("[\"drained\",%b,%.3f]", quiet >= QUIET_OBSERVATIONS, Ledger.now());
    ended = true;
  }

  /** How many partitions there are; tells who leads them when that has changed. */
  private int places(Admin admin, Map<TopicPartition, Integer> leaders) throws Exception {
    int count = 0;
    Collection<TopicDescription> found = admin.describeTopics(topics).allTopicNames().get().values();
    for (TopicDescription topic : found) {
      for (TopicPartitionInfo partition : topic.partitions()) {
        count++;
        int leader = partition.leader() == null ? -1 : partition.leader().id();
        TopicPartition place = new TopicPartition(topic.name(), partition.partition());
        Integer before = leaders.put(place, leader);
        if (before == null || before != leader) {
          String row = "[\"leads\",\"%s\",%d,%d,%.3f]";
          ledger.put(row, place.topic(), place.partition(), leader, Ledger.now());
        }
      }
    }
    return count;
  }

  /** How many share-partitions have nothing left; tells where each of them starts. */
  private int starts(Admin admin) throws Exception {
    double asked = Ledger.now();
    Map<TopicPartition, SharePartitionOffsetInfo> starts =
        admin
            .listShareGroupOffsets(Map.of(group, new ListShareGroupOffsetsSpec()))
            .partitionsToOffsetInfo(group)
            .get();
    double answered = Ledger.now();
    int done = 0;
    for (Map.Entry<TopicPartition, SharePartitionOffsetInfo> start : starts.entrySet()) {
      if (start.getValue() == null) continue;
      TopicPartition place = start.getKey();
      long offset = start.getValue().startOffset();
      String row = "[\"start\",\"%s\",%d,%d,%.3f,%.3f]";
      ledger.put(row, place.topic(), place.partition(), offset, asked, answered);
      if (start.getValue().lag().orElse(-1L) == 0L) done++;
    }
    return done;
  }

  static long checksum(byte[] value) {
    CRC32 crc = new CRC32();
    crc.update(value);
    return crc.getValue();
  }
}
