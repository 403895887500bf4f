import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.*;
import org.apache.kafka.common.serialization.*;

/** What Java clients from 0.11 to 3.9 have in common. Arguments: BOOTSTRAP VERSION. */
public class OldTour {
  static String B, V, P;
  static int seq;

  static Report report;

  static void c(String name, Report.Case body) throws Exception {
    report.run(name, body);
  }

  static void eq(Object w, Object g) {
    if (!Objects.equals(w, g)) throw new AssertionError("want " + w + " got " + g);
  }

  static Properties p(String... kv) {
    Properties p = new Properties();
    p.put("bootstrap.servers", B);
    p.put("request.timeout.ms", "20000");
    for (int i = 0; i < kv.length; i += 2) p.put(kv[i], kv[i + 1]);
    return p;
  }

  static KafkaProducer<String, String> prod(String... kv) {
    Properties p = p(kv);
    p.putIfAbsent("max.block.ms", "15000");
    return new KafkaProducer<>(p, new StringSerializer(), new StringSerializer());
  }

  static KafkaConsumer<String, String> cons(String... kv) {
    Properties p = p(kv);
    p.put("auto.offset.reset", "earliest");
    p.put("session.timeout.ms", "10000");
    return new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
  }

  static List<ConsumerRecord<String, String>> drain(
      KafkaConsumer<String, String> c, int n, int ms) {
    List<ConsumerRecord<String, String>> l = new ArrayList<>();
    long e = System.currentTimeMillis() + ms;
    while (l.size() < n && System.currentTimeMillis() < e)
      for (ConsumerRecord<String, String> r : c.poll(200)) l.add(r);
    return l;
  }

  static String topic(int n) throws Exception {
    String t = P + "-" + (++seq);
    try (AdminClient a = AdminClient.create(p())) {
      a.createTopics(Collections.singletonList(new NewTopic(t, n, (short) 1)))
          .all()
          .get(20, TimeUnit.SECONDS);
    }
    Thread.sleep(300);
    return t;
  }

  public static void main(String[] a) throws Exception {
    B = a[0];
    report = new Report();
    V = a[1];
    P = "old" + V.replace('.', '_') + "-" + Long.toString(System.currentTimeMillis(), 36);
    boolean zstd = !V.startsWith("0.") && !V.startsWith("1.") && !V.startsWith("2.0");
    c(
        "admin.create+list+describe",
        () -> {
          String t = topic(2);
          try (AdminClient x = AdminClient.create(p())) {
            if (!x.listTopics().names().get(20, TimeUnit.SECONDS).contains(t))
              throw new AssertionError("not listed");
            x.describeCluster().nodes().get(20, TimeUnit.SECONDS);
          }
        });
    c(
        "admin.describeConfigs",
        () -> {
          String t = topic(1);
          try (AdminClient x = AdminClient.create(p())) {
            ConfigResource r = new ConfigResource(ConfigResource.Type.TOPIC, t);
            eq(
                "delete",
                x.describeConfigs(Collections.singleton(r))
                    .all()
                    .get(20, TimeUnit.SECONDS)
                    .get(r)
                    .get("cleanup.policy")
                    .value());
          }
        });
    c(
        "admin.alterConfigs-legacy",
        () -> {
          String t = topic(1);
          try (AdminClient x = AdminClient.create(p())) {
            ConfigResource r = new ConfigResource(ConfigResource.Type.TOPIC, t);
            x.alterConfigs(
                    Collections.singletonMap(
                        r,
                        new org.apache.kafka.clients.admin.Config(
                            Collections.singleton(new ConfigEntry("retention.ms", "12345")))))
                .all()
                .get(20, TimeUnit.SECONDS);
            Thread.sleep(300);
            eq(
                "12345",
                x.describeConfigs(Collections.singleton(r))
                    .all()
                    .get(20, TimeUnit.SECONDS)
                    .get(r)
                    .get("retention.ms")
                    .value());
          }
        });
    c(
        "admin.deleteTopics",
        () -> {
          String t = topic(1);
          try (AdminClient x = AdminClient.create(p())) {
            x.deleteTopics(Collections.singleton(t)).all().get(20, TimeUnit.SECONDS);
          }
        });
    for (String z :
        zstd
            ? new String[] {"none", "gzip", "snappy", "lz4", "zstd"}
            : new String[] {"none", "gzip", "snappy", "lz4"})
      c(
          "produce+consume." + z,
          () -> {
            String t = P + "-c-" + z;
            try (KafkaProducer<String, String> pr =
                prod("compression.type", z, "linger.ms", "10")) {
              List<Future<RecordMetadata>> f = new ArrayList<>();
              for (int i = 0; i < 200; i++) {
                ProducerRecord<String, String> r = new ProducerRecord<>(t, "k" + i, "value" + i);
                r.headers().add("h", new byte[] {1});
                f.add(pr.send(r));
              }
              for (Future<RecordMetadata> x : f) x.get(20, TimeUnit.SECONDS);
            }
            try (KafkaConsumer<String, String> co = cons("group.id", P + z)) {
              co.subscribe(Collections.singletonList(t));
              List<ConsumerRecord<String, String>> l = drain(co, 200, 30000);
              eq(200, l.size());
              eq(1, l.get(0).headers().toArray().length);
              co.commitSync();
            }
          });
    c(
        "idempotent",
        () -> {
          String t = P + "-i";
          try (KafkaProducer<String, String> pr =
              prod(
                  "enable.idempotence",
                  "true",
                  "acks",
                  "all",
                  "retries",
                  "5",
                  "max.in.flight.requests.per.connection",
                  "1")) {
            for (int i = 0; i < 200; i++)
              eq(
                  (long) i,
                  pr.send(new ProducerRecord<>(t, 0, "k", "v")).get(20, TimeUnit.SECONDS).offset());
          }
        });
    c(
        "transactions+sendOffsets",
        () -> {
          String t = topic(1), g = P + "-tg";
          try (KafkaProducer<String, String> pr =
              prod("transactional.id", P + "-tx", "acks", "all", "retries", "5")) {
            pr.initTransactions();
            pr.beginTransaction();
            pr.send(new ProducerRecord<>(t, "a", "committed"));
            pr.sendOffsetsToTransaction(
                Collections.singletonMap(new TopicPartition(t, 0), new OffsetAndMetadata(1)), g);
            pr.commitTransaction();
            pr.beginTransaction();
            pr.send(new ProducerRecord<>(t, "a", "aborted"));
            pr.flush();
            pr.abortTransaction();
          }
          try (KafkaConsumer<String, String> co =
              cons("isolation.level", "read_committed", "group.id", g)) {
            TopicPartition x = new TopicPartition(t, 0);
            eq(1L, co.committed(x).offset());
            co.assign(Collections.singletonList(x));
            co.seekToBeginning(Collections.singletonList(x));
            eq(1, drain(co, 9, 3000).size());
          }
        });
    c(
        "two-consumers-rebalance",
        () -> {
          String t = topic(4), g = P + "-2c";
          try (KafkaConsumer<String, String> x = cons("group.id", g);
              KafkaConsumer<String, String> y = cons("group.id", g)) {
            x.subscribe(Collections.singletonList(t));
            y.subscribe(Collections.singletonList(t));
            Thread th =
                new Thread(
                    () -> {
                      try {
                        long e = System.currentTimeMillis() + 25000;
                        while (System.currentTimeMillis() < e
                            && !Thread.currentThread().isInterrupted()) y.poll(200);
                      } catch (Exception e) {
                      }
                    });
            th.start();
            long e = System.currentTimeMillis() + 25000;
            while (System.currentTimeMillis() < e && x.assignment().size() != 2) x.poll(200);
            th.interrupt();
            th.join();
            eq(2, x.assignment().size());
          }
        });
    c(
        "offsetsForTimes",
        () -> {
          String t = topic(1);
          try (KafkaProducer<String, String> pr = prod()) {
            for (int i = 0; i < 5; i++)
              pr.send(new ProducerRecord<>(t, 0, 1700000000000L + i * 1000, "k", "v"))
                  .get(20, TimeUnit.SECONDS);
          }
          TopicPartition x = new TopicPartition(t, 0);
          try (KafkaConsumer<String, String> co = cons()) {
            eq(3L, co.offsetsForTimes(Collections.singletonMap(x, 1700000002500L)).get(x).offset());
            eq(5L, co.endOffsets(Collections.singletonList(x)).get(x));
          }
        });
    report.end();
  }
}
