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

/** Producing: codecs, acknowledgements, limits, errors, interceptors. */
class ProducerCases extends Client {
  static void run() throws Exception {
    for (String z : List.of("none", "gzip", "snappy", "lz4", "zstd"))
      c(
          "producer.compression." + z,
          () -> {
            String t = topic(2);
            long ts = System.currentTimeMillis() - 5000;
            try (KafkaProducer<String, String> p =
                prod("compression.type", z, "linger.ms", "20", "acks", "all")) {
              List<Future<RecordMetadata>> f = new ArrayList<>();
              for (int i = 0; i < 500; i++) {
                ProducerRecord<String, String> r =
                    new ProducerRecord<>(
                        t,
                        i % 2,
                        ts + i,
                        i % 7 == 0 ? null : "k" + i,
                        i % 11 == 0 ? null : "v".repeat(100) + i);
                r.headers().add("h", ("x" + i).getBytes()).add("h", null);
                f.add(p.send(r));
              }
              for (Future<RecordMetadata> x : f) ok(x.get().hasOffset(), "no offset");
            }
            List<ConsumerRecord<String, String>> l = all(t, "read_uncommitted", 500, 30000);
            eq(500, l.size());
            for (ConsumerRecord<String, String> r : l) {
              int i = (int) (r.offset() * 2 + r.partition());
              eq(i % 7 == 0 ? null : "k" + i, r.key());
              eq(i % 11 == 0 ? null : "v".repeat(100) + i, r.value());
              eq(ts + i, r.timestamp());
              eq(2, r.headers().toArray().length);
              eq(null, r.headers().lastHeader("h").value());
              eq("CREATE_TIME", r.timestampType().name());
            }
          });
    for (String z : List.of("gzip", "zstd", "uncompressed", "lz4"))
      c(
          "topic.compression.type." + z + ".recompress",
          () -> {
            String t = topic(1, "compression.type", z);
            try (KafkaProducer<String, String> p =
                prod("compression.type", "snappy", "linger.ms", "20")) {
              for (int i = 0; i < 100; i++)
                p.send(new ProducerRecord<>(t, "k", "value-value-" + i));
              p.flush();
            }
            List<ConsumerRecord<String, String>> l = all(t, "read_committed", 100, 20000);
            eq(100, l.size());
            for (int i = 0; i < 100; i++) eq("value-value-" + i, l.get(i).value());
          });
    c(
        "producer.idempotent.order",
        () -> {
          String t = topic(1);
          try (KafkaProducer<String, String> p =
              prod(
                  "enable.idempotence",
                  "true",
                  "max.in.flight.requests.per.connection",
                  "5",
                  "batch.size",
                  "200",
                  "linger.ms",
                  "0")) {
            List<Future<RecordMetadata>> f = new ArrayList<>();
            for (int i = 0; i < 3000; i++) f.add(p.send(new ProducerRecord<>(t, "k", "" + i)));
            for (int i = 0; i < 3000; i++) eq((long) i, f.get(i).get().offset());
          }
          List<ConsumerRecord<String, String>> l = all(t, "read_committed", 3000, 30000);
          for (int i = 0; i < 3000; i++) eq("" + i, l.get(i).value());
        });
    c(
        "producer.acks0",
        () -> {
          String t = topic(1);
          try (KafkaProducer<String, String> p = prod("acks", "0", "enable.idempotence", "false")) {
            eq(-1L, p.send(new ProducerRecord<>(t, "a")).get().offset());
            p.flush();
          }
          eq(1, all(t, "read_uncommitted", 1, 15000).size());
        });
    c(
        "producer.acks1",
        () -> {
          String t = topic(1);
          try (KafkaProducer<String, String> p = prod("acks", "1", "enable.idempotence", "false")) {
            eq(0L, p.send(new ProducerRecord<>(t, "a")).get().offset());
          }
        });
    c(
        "producer.record-too-large.broker",
        () -> {
          String t = topic(1, "max.message.bytes", "2000");
          try (KafkaProducer<String, String> p = prod()) {
            fails(
                RecordTooLargeException.class,
                () -> p.send(new ProducerRecord<>(t, "x".repeat(5000))).get());
            eq(0L, p.send(new ProducerRecord<>(t, "ok")).get().offset());
          }
        });
    c(
        "producer.batch-split-on-message-too-large",
        () -> {
          String t = topic(1, "max.message.bytes", "3000");
          try (KafkaProducer<String, String> p = prod("batch.size", "100000", "linger.ms", "200")) {
            List<Future<RecordMetadata>> f = new ArrayList<>();
            for (int i = 0; i < 50; i++)
              f.add(p.send(new ProducerRecord<>(t, "k", "x".repeat(500))));
            for (int i = 0; i < 50; i++) eq((long) i, f.get(i).get().offset());
          }
        });
    c(
        "producer.log-append-time",
        () -> {
          String t = topic(1, "message.timestamp.type", "LogAppendTime");
          long now = System.currentTimeMillis();
          try (KafkaProducer<String, String> p = prod()) {
            RecordMetadata m = p.send(new ProducerRecord<>(t, 0, 1000L, "k", "v")).get();
            ok(m.timestamp() >= now - 2000, "ts " + m.timestamp());
          }
          ConsumerRecord<String, String> r = all(t, "read_uncommitted", 1, 15000).get(0);
          eq("LOG_APPEND_TIME", r.timestampType().name());
          ok(r.timestamp() >= now - 2000, "ts");
        });
    c(
        "producer.timestamp.too-far-future",
        () -> {
          String t = topic(1, "message.timestamp.after.max.ms", "10000");
          try (KafkaProducer<String, String> p = prod()) {
            fails(
                InvalidTimestampException.class,
                () ->
                    p.send(
                            new ProducerRecord<>(
                                t, 0, System.currentTimeMillis() + 3600000, "k", "v"))
                        .get());
          }
        });
    c(
        "producer.compacted-null-key-rejected",
        () -> {
          String t = topic(1, "cleanup.policy", "compact");
          try (KafkaProducer<String, String> p = prod()) {
            fails(
                InvalidRecordException.class,
                () -> p.send(new ProducerRecord<>(t, null, "v")).get());
            p.send(new ProducerRecord<>(t, "k", "v")).get();
          }
        });
    c(
        "producer.unknown-topic.autocreate",
        () -> {
          String t = P + "-auto";
          try (KafkaProducer<String, String> p = prod()) {
            p.send(new ProducerRecord<>(t, "v")).get();
          }
        });
    c(
        "producer.invalid-topic-name",
        () -> {
          try (KafkaProducer<String, String> p = prod("max.block.ms", "10000")) {
            fails(
                InvalidTopicException.class,
                () -> p.send(new ProducerRecord<>("bad topic!", "v")).get());
          }
        });
    c(
        "producer.min-isr-capped-at-replica-count",
        () -> {
          String t = topic(1, "min.insync.replicas", "5");
          try (KafkaProducer<String, String> p =
              prod(
                  "retries",
                  "1",
                  "retry.backoff.ms",
                  "50",
                  "enable.idempotence",
                  "false",
                  "acks",
                  "all")) {
            eq(0L, p.send(new ProducerRecord<>(t, "v")).get().offset());
          }
        });
    c(
        "producer.interceptor",
        () -> {
          String t = topic(1);
          try (KafkaProducer<String, String> p = prod("interceptor.classes", PI.class.getName())) {
            for (int i = 0; i < 5; i++) p.send(new ProducerRecord<>(t, "v"));
            p.flush();
          }
          eq(5, PI.sends.get());
          eq(5, PI.acks.get());
          try (KafkaConsumer<String, String> c =
              cons("group.id", P + "-ci", "interceptor.classes", CI.class.getName())) {
            c.subscribe(List.of(t));
            List<ConsumerRecord<String, String>> l = drain(c, 5, 30000);
            eq("v!", l.get(0).value());
            c.commitSync();
          }
          eq(5, CI.got.get());
          ok(CI.commits.get() >= 1, "commits");
        });
  }
}
