import java.time.Duration;
import java.util.*;
import java.util.function.Function;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.*;

/** Share groups (KIP-932): records shared by members, one by one, each with its own end. */
class ShareCases extends Client {
  static KafkaShareConsumer<String, String> member(String group, String topic, String... more) {
    Properties p = props(more);
    p.put("group.id", group);
    KafkaShareConsumer<String, String> member =
        new KafkaShareConsumer<>(p, new StringDeserializer(), new StringDeserializer());
    member.subscribe(List.of(topic));
    return member;
  }

  static KafkaShareConsumer<String, String> explicit(String group, String topic) {
    return member(group, topic, "share.acknowledgement.mode", "explicit");
  }

  static void configure(String group, String... settings) throws Exception {
    ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
    List<AlterConfigOp> ops = new ArrayList<>();
    for (int i = 0; i < settings.length; i += 2)
      ops.add(
          new AlterConfigOp(
              new ConfigEntry(settings[i], settings[i + 1]), AlterConfigOp.OpType.SET));
    get(adm.incrementalAlterConfigs(Map.of(resource, ops)).all());
    Thread.sleep(300);
  }

  /** A group that reads from the start. */
  static String group(String name, String... settings) throws Exception {
    String group = P + "-share-" + name;
    List<String> all = new ArrayList<>(List.of("share.auto.offset.reset", "earliest"));
    all.addAll(List.of(settings));
    configure(group, all.toArray(String[]::new));
    return group;
  }

  /** Polls until there are so many records; says of each what `of` says, if that is anything. */
  static List<ConsumerRecord<String, String>> take(
      KafkaShareConsumer<String, String> member,
      int count,
      int ms,
      Function<ConsumerRecord<String, String>, AcknowledgeType> of) {
    List<ConsumerRecord<String, String>> taken = new ArrayList<>();
    long end = System.currentTimeMillis() + ms;
    while (taken.size() < count && System.currentTimeMillis() < end)
      for (ConsumerRecord<String, String> record : member.poll(Duration.ofMillis(200))) {
        taken.add(record);
        if (of != null) member.acknowledge(record, of.apply(record));
      }
    return taken;
  }

  static void stored(Map<TopicIdPartition, Optional<KafkaException>> results) {
    results.forEach((at, error) -> ok(error.isEmpty(), at + ": " + error));
  }

  static Set<Long> offsets(List<ConsumerRecord<String, String>> records) {
    Set<Long> offsets = new TreeSet<>();
    for (ConsumerRecord<String, String> record : records) offsets.add(record.offset());
    return offsets;
  }

  private static final List<Thread> cases = new ArrayList<>();

  /** Members wait for heartbeats most of the time: cases run side by side. */
  static void c(String name, Report.Case body) {
    Thread thread =
        new Thread(
            () -> {
              try {
                report.run(name, body);
              } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
              }
            });
    thread.start();
    cases.add(thread);
  }

  static void run() throws Exception {
    c(
        "share.implicit",
        () -> {
          String t = topic(2), g = group("implicit");
          fill(t, 50);
          try (var x = member(g, t)) {
            eq(50, take(x, 50, 40000, null).size());
            stored(x.commitSync());
            eq(0, take(x, 1, 1500, null).size());
          }
          try (var x = member(g, t)) {
            eq(0, take(x, 1, 3000, null).size());
          }
        });
    c(
        "share.explicit",
        () -> {
          String t = topic(1), g = group("explicit");
          fill(t, 10);
          try (var x = explicit(g, t)) {
            var first =
                take(
                    x,
                    10,
                    40000,
                    r ->
                        r.offset() < 3
                            ? AcknowledgeType.RELEASE
                            : r.offset() < 5 ? AcknowledgeType.REJECT : AcknowledgeType.ACCEPT);
            eq(10, first.size());
            for (var record : first) eq((short) 1, record.deliveryCount().get());
            stored(x.commitSync());
            var again = take(x, 3, 30000, r -> AcknowledgeType.ACCEPT);
            eq(Set.of(0L, 1L, 2L), offsets(again));
            for (var record : again) eq((short) 2, record.deliveryCount().get());
            stored(x.commitSync());
            eq(0, take(x, 1, 1500, r -> AcknowledgeType.ACCEPT).size());
          }
        });
    c(
        "share.delivery-limit",
        () -> {
          String t = topic(1), g = group("limit", "share.delivery.count.limit", "3");
          fill(t, 1);
          int deliveries = 0;
          try (var x = explicit(g, t)) {
            long end = System.currentTimeMillis() + 30000;
            while (System.currentTimeMillis() < end) {
              int taken =
                  take(x, 1, deliveries == 0 ? 20000 : 2000, r -> AcknowledgeType.RELEASE).size();
              if (taken == 0) break;
              deliveries += taken;
              stored(x.commitSync());
            }
          }
          eq(3, deliveries);
        });
    c(
        "share.two-members-of-one-partition",
        () -> {
          String t = topic(1), g = group("two");
          try (var x = member(g, t, "max.poll.records", "10");
              var y = member(g, t, "max.poll.records", "10")) {
            for (int i = 0; i < 10; i++) {
              x.poll(Duration.ofMillis(100));
              y.poll(Duration.ofMillis(100));
            }
            List<Long> xs = new ArrayList<>(), ys = new ArrayList<>();
            long end = System.currentTimeMillis() + 40000;
            for (int k = 0; System.currentTimeMillis() < end && xs.size() + ys.size() < 200; k++) {
              if (k < 20) fill(t, 10);
              for (var record : x.poll(Duration.ofMillis(100))) xs.add(record.offset());
              for (var record : y.poll(Duration.ofMillis(100))) ys.add(record.offset());
            }
            Set<Long> all = new HashSet<>(xs);
            all.addAll(ys);
            eq(200, xs.size() + ys.size());
            eq(200, all.size());
            ok(!xs.isEmpty() && !ys.isEmpty(), "one idle " + xs.size() + "/" + ys.size());
          }
        });
    c(
        "share.holds-end-and-are-renewed",
        () -> {
          // The shortest hold that a broker allows by default.
          String t = topic(1), g = group("holds", "share.record.lock.duration.ms", "15000");
          fill(t, 1);
          try (var x = explicit(g, t)) {
            var held = take(x, 1, 30000, r -> AcknowledgeType.RENEW);
            long began = System.currentTimeMillis();
            eq(Set.of(0L), offsets(held));
            stored(x.commitSync());
            eq(Optional.of(15000), x.acquisitionLockTimeoutMs());
            // Nobody else gets it before the hold is over, which x lets pass. On a slow machine x's
            // client has asked for more just when the record came, and goes on asking by itself: it
            // gets the record a second time, which nobody polls, and lets that hold pass too.
            try (var y = explicit(g, t)) {
              var taken = take(y, 1, 60000, r -> AcknowledgeType.ACCEPT);
              long took = System.currentTimeMillis() - began;
              eq(Set.of(0L), offsets(taken));
              int passed = taken.get(0).deliveryCount().get() - 1;
              ok(passed >= 1 && took >= passed * 14000L, passed + " holds in " + took + " ms");
              stored(y.commitSync());
            }
          }
        });
    c(
        "share.what-a-member-holds-comes-back-when-it-closes",
        () -> {
          String t = topic(1), g = group("closed");
          fill(t, 5);
          try (var x = explicit(g, t)) {
            eq(5, take(x, 5, 30000, r -> AcknowledgeType.RELEASE).size());
          }
          try (var y = explicit(g, t)) {
            var taken = take(y, 5, 20000, r -> AcknowledgeType.ACCEPT);
            eq(5, taken.size());
            for (var record : taken) eq((short) 2, record.deliveryCount().get());
            stored(y.commitSync());
          }
        });
    c(
        "share.read-committed",
        () -> {
          String t = topic(1), g = group("committed", "share.isolation.level", "read_committed");
          try (var p = prod("transactional.id", P + "-share-tx")) {
            p.initTransactions();
            for (boolean commit : List.of(true, false, true)) {
              p.beginTransaction();
              for (int i = 0; i < 5; i++) p.send(new ProducerRecord<>(t, commit ? "good" : "bad"));
              if (commit) p.commitTransaction();
              else p.abortTransaction();
            }
            p.beginTransaction();
            p.send(new ProducerRecord<>(t, "open")).get();
            try (var x = member(g, t)) {
              var taken = take(x, 10, 40000, null);
              eq(10, taken.size());
              for (var record : taken) eq("good", record.value());
              stored(x.commitSync());
              eq(0, take(x, 1, 1500, null).size());
              p.commitTransaction();
              eq("open", take(x, 1, 20000, null).get(0).value());
              stored(x.commitSync());
            }
          }
        });
    for (Thread thread : cases) thread.join();
  }
}
