import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import java.util.stream.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.*;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.header.internals.*;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.serialization.*;

/** What the cases of this tour share: clients, topics, and small assertions. */
class Client {
  static final String P = "jc" + Long.toString(System.currentTimeMillis(), 36);
  static final AtomicInteger seq = new AtomicInteger();
  static final short RF = 1;
  static String B;
  static Admin adm;
  static Report report;
  static int N0;

  static void c(String name, Report.Case body) throws Exception {
    report.run(name, body);
  }

  static void eq(Object w, Object g) {
    if (!Objects.equals(w, g)) throw new AssertionError("want " + w + " got " + g);
  }

  static void ok(boolean b, String m) {
    if (!b) throw new AssertionError(m);
  }

  static <T extends Throwable> T fails(Class<T> cl, Report.Case k) throws Exception {
    try {
      k.run();
    } catch (Throwable x) {
      Throwable y = x;
      while (y != null) {
        if (cl.isInstance(y)) return cl.cast(y);
        y = y.getCause();
      }
      throw new AssertionError("want " + cl.getSimpleName() + " got " + x, x);
    }
    throw new AssertionError("want " + cl.getSimpleName() + ", nothing thrown");
  }

  static Properties base() {
    Properties p = new Properties();
    p.put("bootstrap.servers", B);
    return p;
  }

  static Properties props(String... kv) {
    Properties p = base();
    for (int i = 0; i < kv.length; i += 2) p.put(kv[i], kv[i + 1]);
    return p;
  }

  static KafkaProducer<String, String> prod(String... kv) {
    return new KafkaProducer<>(props(kv), new StringSerializer(), new StringSerializer());
  }

  static KafkaConsumer<String, String> cons(String... kv) {
    Properties p = props(kv);
    p.putIfAbsent("auto.offset.reset", "earliest");
    return new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer());
  }

  static String topic(int parts, String... cfg) throws Exception {
    String n = P + "-t" + seq.incrementAndGet();
    Map<String, String> m = new HashMap<>();
    for (int i = 0; i < cfg.length; i += 2) m.put(cfg[i], cfg[i + 1]);
    adm.createTopics(List.of(new NewTopic(n, parts, RF).configs(m))).all().get();
    for (int i = 0; i < 100; i++) {
      try {
        if (adm.describeTopics(List.of(n)).allTopicNames().get().get(n).partitions().stream()
            .allMatch(x -> x.leader() != null)) break;
      } catch (ExecutionException x) {
      }
      Thread.sleep(50);
    }
    return n;
  }

  static List<ConsumerRecord<String, String>> drain(
      KafkaConsumer<String, String> c, int n, int ms) {
    List<ConsumerRecord<String, String>> l = new ArrayList<>();
    long end = System.currentTimeMillis() + ms;
    while (l.size() < n && System.currentTimeMillis() < end)
      for (ConsumerRecord<String, String> r : c.poll(Duration.ofMillis(200))) l.add(r);
    return l;
  }

  static List<ConsumerRecord<String, String>> all(String t, String iso, int n, int ms)
      throws Exception {
    try (KafkaConsumer<String, String> c = cons("isolation.level", iso)) {
      c.assign(c.partitionsFor(t).stream().map(i -> new TopicPartition(t, i.partition())).toList());
      c.seekToBeginning(c.assignment());
      return drain(c, n, ms);
    }
  }

  static void fill(String t, int n) throws Exception {
    try (KafkaProducer<String, String> p = prod("linger.ms", "5")) {
      List<Future<RecordMetadata>> f = new ArrayList<>();
      for (int i = 0; i < n; i++) f.add(p.send(new ProducerRecord<>(t, "k" + i, "v" + i)));
      for (Future<RecordMetadata> x : f) x.get();
    }
  }

  static TopicPartition tp(String t, int p) {
    return new TopicPartition(t, p);
  }

  static <T> T get(KafkaFuture<T> f) throws Exception {
    return f.get(60, TimeUnit.SECONDS);
  }

  /**
   * run n consumers on topics until all records seen; returns per-consumer assignments at the end
   */
  static void group(String prefix, int n, Map<String, String> cfg, List<String> topics, int total)
      throws Exception {
    List<KafkaConsumer<String, String>> cs = new ArrayList<>();
    Map<String, Integer> seen = new HashMap<>();
    try {
      String g = P + "-" + prefix;
      for (int i = 0; i < n; i++) {
        Map<String, String> m = new HashMap<>(cfg);
        m.put("group.id", g);
        m.put("client.id", g + "-" + i);
        cs.add(
            cons(
                m.entrySet().stream()
                    .flatMap(e -> Stream.of(e.getKey(), e.getValue()))
                    .toArray(String[]::new)));
        cs.get(i).subscribe(topics);
      }
      long end = System.currentTimeMillis() + 70000;
      int parts = 0;
      for (String t : topics) parts += cs.get(0).partitionsFor(t).size();
      final int fp = parts;
      boolean bal = false;
      while (System.currentTimeMillis() < end) {
        for (KafkaConsumer<String, String> c : cs)
          for (ConsumerRecord<String, String> r : c.poll(Duration.ofMillis(100)))
            seen.merge(r.topic() + r.partition() + "@" + r.offset(), 1, Integer::sum);
        Set<TopicPartition> u = new HashSet<>();
        int sum = 0;
        boolean each = true;
        for (KafkaConsumer<String, String> c : cs) {
          u.addAll(c.assignment());
          sum += c.assignment().size();
          each &= !c.assignment().isEmpty();
        }
        bal = each && sum == fp && u.size() == fp;
        if (bal && seen.size() >= total) break;
      }
      ok(bal, "not balanced: " + cs.stream().map(c -> c.assignment().toString()).toList());
      eq(total, seen.size());
      for (KafkaConsumer<String, String> c : cs) c.commitSync();
      eq(n, descMembers(g));
    } finally {
      for (KafkaConsumer<String, String> c : cs)
        c.close(CloseOptions.timeout(Duration.ofSeconds(5)));
    }
  }

  static int descMembers(String g) throws Exception {
    return get(adm.describeConsumerGroups(List.of(g)).all()).get(g).members().size();
  }

  public static class PI implements ProducerInterceptor<String, String> {
    static final AtomicInteger sends = new AtomicInteger(), acks = new AtomicInteger();

    public ProducerRecord<String, String> onSend(ProducerRecord<String, String> r) {
      sends.incrementAndGet();
      return new ProducerRecord<>(r.topic(), r.partition(), r.key(), r.value() + "!");
    }

    public void onAcknowledgement(RecordMetadata m, Exception e) {
      if (e == null) acks.incrementAndGet();
    }

    public void close() {}

    public void configure(Map<String, ?> m) {}
  }

  public static class CI implements ConsumerInterceptor<String, String> {
    static final AtomicInteger got = new AtomicInteger(), commits = new AtomicInteger();

    public ConsumerRecords<String, String> onConsume(ConsumerRecords<String, String> r) {
      got.addAndGet(r.count());
      return r;
    }

    public void onCommit(Map<TopicPartition, OffsetAndMetadata> m) {
      commits.incrementAndGet();
    }

    public void close() {}

    public void configure(Map<String, ?> m) {}
  }

  static boolean get0(String n) {
    return false;
  }
}
