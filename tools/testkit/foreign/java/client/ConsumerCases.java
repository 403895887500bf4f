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

/** Reading and classic groups. */
class ConsumerCases extends Client {
  static void run() throws Exception {
    c(
        "consumer.offsetsForTimes",
        () -> {
          String t = topic(1);
          try (KafkaProducer<String, String> p = prod()) {
            for (int i = 0; i < 10; i++)
              p.send(new ProducerRecord<>(t, 0, 1_700_000_000_000L + i * 1000, "k", "v")).get();
          }
          try (KafkaConsumer<String, String> c = cons()) {
            TopicPartition x = tp(t, 0);
            OffsetAndTimestamp o = c.offsetsForTimes(Map.of(x, 1_700_000_004_500L)).get(x);
            eq(5L, o.offset());
            eq(1_700_000_005_000L, o.timestamp());
            eq(null, c.offsetsForTimes(Map.of(x, 1_800_000_000_000L)).get(x));
          }
        });
    c(
        "consumer.seek-pause-resume-lag",
        () -> {
          String t = topic(1);
          fill(t, 100);
          TopicPartition x = tp(t, 0);
          try (KafkaConsumer<String, String> c = cons("max.poll.records", "10")) {
            c.assign(List.of(x));
            c.seek(x, 50);
            eq(50L, drain(c, 1, 10000).get(0).offset());
            c.pause(List.of(x));
            eq(0, drain(c, 1, 1000).size());
            c.resume(List.of(x));
            ok(drain(c, 5, 10000).size() >= 5, "resume");
            c.seekToEnd(List.of(x));
            eq(100L, c.position(x));
            c.seekToBeginning(List.of(x));
            eq(0L, c.position(x));
            drain(c, 1, 10000);
            ok(c.currentLag(x).isPresent(), "lag");
            eq(0L, c.beginningOffsets(List.of(x)).get(x));
            eq(100L, c.endOffsets(List.of(x)).get(x));
          }
        });
    c(
        "consumer.offset-out-of-range",
        () -> {
          String t = topic(1);
          fill(t, 10);
          TopicPartition x = tp(t, 0);
          try (KafkaConsumer<String, String> c = cons("auto.offset.reset", "none")) {
            c.assign(List.of(x));
            c.seek(x, 999);
            fails(
                org.apache.kafka.clients.consumer.OffsetOutOfRangeException.class,
                () -> drain(c, 1, 10000));
          }
          try (KafkaConsumer<String, String> c =
              cons("auto.offset.reset", "none", "group.id", P + "-none")) {
            c.assign(List.of(x));
            fails(NoOffsetForPartitionException.class, () -> drain(c, 1, 10000));
          }
        });
    c(
        "consumer.reset.by_duration",
        () -> {
          String t = topic(1);
          try (KafkaProducer<String, String> p = prod()) {
            p.send(new ProducerRecord<>(t, 0, System.currentTimeMillis() - 7200_000, "k", "old"))
                .get();
            p.send(new ProducerRecord<>(t, 0, System.currentTimeMillis(), "k", "new")).get();
          }
          try (KafkaConsumer<String, String> c = cons("auto.offset.reset", "by_duration:PT1H")) {
            c.assign(List.of(tp(t, 0)));
            eq("new", drain(c, 1, 10000).get(0).value());
          }
        });
    c(
        "consumer.big-record-small-fetch",
        () -> {
          String t = topic(1);
          try (KafkaProducer<String, String> p = prod()) {
            p.send(new ProducerRecord<>(t, "x".repeat(500_000))).get();
            p.send(new ProducerRecord<>(t, "tail")).get();
          }
          try (KafkaConsumer<String, String> c =
              cons("max.partition.fetch.bytes", "1000", "fetch.max.bytes", "1000")) {
            c.assign(List.of(tp(t, 0)));
            eq(2, drain(c, 2, 20000).size());
          }
        });
    c(
        "consumer.fetch-min-bytes-wait",
        () -> {
          String t = topic(1);
          fill(t, 1);
          try (KafkaConsumer<String, String> c =
              cons("fetch.min.bytes", "100000", "fetch.max.wait.ms", "3000")) {
            c.assign(List.of(tp(t, 0)));
            c.partitionsFor(t);
            long t0 = System.currentTimeMillis();
            eq(1, drain(c, 1, 20000).size());
            long d = System.currentTimeMillis() - t0;
            ok(d >= 2500, "returned after " + d);
          }
        });
    c(
        "consumer.commit-metadata",
        () -> {
          String t = topic(1), g = P + "-cm";
          fill(t, 5);
          TopicPartition x = tp(t, 0);
          try (KafkaConsumer<String, String> c =
              cons("group.id", g, "enable.auto.commit", "false")) {
            c.assign(List.of(x));
            c.commitSync(Map.of(x, new OffsetAndMetadata(3, Optional.of(0), "meta\u00e9")));
            OffsetAndMetadata o = c.committed(Set.of(x)).get(x);
            eq(3L, o.offset());
            eq("meta\u00e9", o.metadata());
            eq(Optional.of(0), o.leaderEpoch());
            fails(
                OffsetMetadataTooLarge.class,
                () -> c.commitSync(Map.of(x, new OffsetAndMetadata(3, "m".repeat(5000)))));
            CompletableFuture<Object> f = new CompletableFuture<>();
            c.commitAsync(
                Map.of(x, new OffsetAndMetadata(4)), (m, e) -> f.complete(e == null ? "ok" : e));
            long end = System.currentTimeMillis() + 10000;
            while (!f.isDone() && System.currentTimeMillis() < end) c.poll(Duration.ofMillis(100));
            eq("ok", f.getNow(null));
          }
        });
    c(
        "consumer.pattern-subscribe",
        () -> {
          String t = topic(2);
          fill(t, 20);
          try (KafkaConsumer<String, String> c =
              cons("group.id", P + "-pat", "metadata.max.age.ms", "1000")) {
            c.subscribe(java.util.regex.Pattern.compile(t + ".*"));
            eq(20, drain(c, 20, 30000).size());
            adm.createTopics(List.of(new NewTopic(t + "-b", 1, RF))).all().get();
            fill(t + "-b", 5);
            eq(5, drain(c, 5, 30000).size());
          }
        });
    c(
        "consumer.listTopics",
        () -> {
          String t = topic(3);
          try (KafkaConsumer<String, String> c = cons()) {
            eq(3, c.listTopics().get(t).size());
          }
        });
    Map<String, String> asg = new LinkedHashMap<>();
    asg.put("range", "RangeAssignor");
    asg.put("roundrobin", "RoundRobinAssignor");
    asg.put("sticky", "StickyAssignor");
    asg.put("cooperative", "CooperativeStickyAssignor");
    for (Map.Entry<String, String> e : asg.entrySet())
      c(
          "group.classic." + e.getKey(),
          () -> {
            String t = topic(4), u = topic(4);
            fill(t, 100);
            fill(u, 100);
            group(
                "cl-" + e.getKey(),
                2,
                Map.of(
                    "partition.assignment.strategy",
                    "org.apache.kafka.clients.consumer." + e.getValue(),
                    "max.poll.records",
                    "20"),
                List.of(t, u),
                200);
          });
    for (String pr : List.of("classic", "consumer"))
      c(
          "group.static-membership." + pr,
          () -> {
            String t = topic(2), g = P + "-st-" + pr;
            fill(t, 10);
            String[] cf = {"group.id", g, "group.instance.id", "i1", "group.protocol", pr};
            AtomicInteger revoked = new AtomicInteger();
            KafkaConsumer<String, String> o =
                cons("group.id", g, "group.instance.id", "i2", "group.protocol", pr);
            KafkaConsumer<String, String> x = cons(cf);
            try {
              o.subscribe(
                  List.of(t),
                  new ConsumerRebalanceListener() {
                    public void onPartitionsRevoked(Collection<TopicPartition> c) {
                      if (!c.isEmpty()) revoked.incrementAndGet();
                    }

                    public void onPartitionsAssigned(Collection<TopicPartition> c) {}
                  });
              x.subscribe(List.of(t));
              long end = System.currentTimeMillis() + 40000;
              while (System.currentTimeMillis() < end
                  && (o.assignment().size() != 1 || x.assignment().size() != 1)) {
                o.poll(Duration.ofMillis(100));
                x.poll(Duration.ofMillis(100));
              }
              eq(1, o.assignment().size());
              eq(1, x.assignment().size());
              Set<TopicPartition> mine = new HashSet<>(x.assignment());
              int r0 = revoked.get();
              x.close();
              eq(2, descMembers(g));
              x = cons(cf);
              x.subscribe(List.of(t));
              end = System.currentTimeMillis() + 40000;
              while (System.currentTimeMillis() < end && x.assignment().size() != 1) {
                o.poll(Duration.ofMillis(100));
                x.poll(Duration.ofMillis(100));
              }
              eq(mine, x.assignment());
              eq(r0, revoked.get());
              KafkaConsumer<String, String> dup = cons(cf);
              dup.subscribe(List.of(t));
              if (pr.equals("consumer"))
                fails(UnreleasedInstanceIdException.class, () -> drain(dup, 1, 20000));
              else {
                final KafkaConsumer<String, String> xx = x;
                long e2 = System.currentTimeMillis() + 20000;
                fails(
                    FencedInstanceIdException.class,
                    () -> {
                      while (System.currentTimeMillis() < e2) {
                        dup.poll(Duration.ofMillis(100));
                        xx.poll(Duration.ofMillis(100));
                        xx.commitSync();
                      }
                    });
              }
              dup.close(CloseOptions.timeout(Duration.ofSeconds(2)));
              get(
                  adm.removeMembersFromConsumerGroup(
                          g,
                          new RemoveMembersFromConsumerGroupOptions(
                              List.of(new MemberToRemove("i2"))))
                      .all());
            } finally {
              x.close(CloseOptions.timeout(Duration.ofSeconds(2)));
              try {
                o.close(CloseOptions.timeout(Duration.ofSeconds(2)));
              } catch (KafkaException z) {
              }
            }
          });
    c(
        "group.commit-by-non-member-rejected",
        () -> {
          String t = topic(1), g = P + "-nm";
          fill(t, 3);
          try (KafkaConsumer<String, String> x = cons("group.id", g);
              KafkaConsumer<String, String> y = cons("group.id", g)) {
            x.subscribe(List.of(t));
            drain(x, 3, 30000);
            y.assign(List.of(tp(t, 0)));
            fails(
                CommitFailedException.class,
                () -> y.commitSync(Map.of(tp(t, 0), new OffsetAndMetadata(1))));
          }
        });
  }
}
