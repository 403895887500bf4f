import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.errors.*;

/** Transactional producers, what readers see of them, and what an administrator may do. */
class TransactionCases extends Client {
  static void run() throws Exception {
    endings();
    offsets();
    fencing();
    administration();
  }

  static long committedEnd(String t) throws Exception {
    try (KafkaConsumer<String, String> c = cons("isolation.level", "read_committed")) {
      return c.endOffsets(List.of(tp(t, 0))).get(tp(t, 0));
    }
  }

  static void endings() throws Exception {
    c(
        "transaction.commit-abort.isolation",
        () -> {
          String t = topic(2);
          try (KafkaProducer<String, String> p = prod("transactional.id", P + "-x1")) {
            p.initTransactions();
            p.beginTransaction();
            for (int i = 0; i < 10; i++) p.send(new ProducerRecord<>(t, i % 2, "c", "c" + i));
            p.commitTransaction();
            p.beginTransaction();
            for (int i = 0; i < 10; i++) p.send(new ProducerRecord<>(t, i % 2, "a", "a" + i));
            p.flush();
            p.abortTransaction();
            p.beginTransaction();
            p.send(new ProducerRecord<>(t, 0, "d", "d"));
            p.commitTransaction();
          }
          List<ConsumerRecord<String, String>> committed = all(t, "read_committed", 99, 3000);
          eq(11, committed.size());
          eq(21, all(t, "read_uncommitted", 99, 3000).size());
          ok(committed.stream().noneMatch(r -> r.key().equals("a")), "aborted is visible");
        });
    c(
        "transaction.open-one-holds-readers-back",
        () -> {
          String t = topic(1);
          try (KafkaProducer<String, String> p = prod("transactional.id", P + "-x2");
              KafkaProducer<String, String> q = prod()) {
            p.initTransactions();
            q.send(new ProducerRecord<>(t, "n", "before")).get();
            p.beginTransaction();
            p.send(new ProducerRecord<>(t, "t", "open")).get();
            q.send(new ProducerRecord<>(t, "n", "after")).get();
            eq(1, all(t, "read_committed", 9, 2000).size());
            eq(3, all(t, "read_uncommitted", 3, 5000).size());
            eq(1L, committedEnd(t));
            p.commitTransaction();
            eq(3, all(t, "read_committed", 3, 10000).size());
            eq(4L, committedEnd(t));
          }
        });
    c(
        "transaction.each-has-an-epoch-of-its-own",
        () -> {
          String t = topic(1), x = P + "-x8";
          try (KafkaProducer<String, String> p = prod("transactional.id", x)) {
            p.initTransactions();
            int last = -1;
            for (int i = 0; i < 3; i++) {
              p.beginTransaction();
              p.send(new ProducerRecord<>(t, "v"));
              p.commitTransaction();
              TransactionDescription d =
                  get(adm.describeTransactions(List.of(x)).description(x));
              ok(d.producerEpoch() > last, "epoch " + last + " -> " + d.producerEpoch());
              last = d.producerEpoch();
            }
          }
        });
    c(
        "transaction.without-records",
        () -> {
          try (KafkaProducer<String, String> p = prod("transactional.id", P + "-x10")) {
            p.initTransactions();
            for (boolean commit : List.of(true, false, true)) {
              p.beginTransaction();
              if (commit) p.commitTransaction();
              else p.abortTransaction();
            }
          }
        });
  }

  static void offsets() throws Exception {
    c(
        "transaction.consume-transform-produce",
        () -> {
          String in = topic(2), out = topic(2), g = P + "-ctp";
          fill(in, 200);
          try (KafkaProducer<String, String> p = prod("transactional.id", P + "-x3");
              KafkaConsumer<String, String> c =
                  cons(
                      "group.id",
                      g,
                      "enable.auto.commit",
                      "false",
                      "isolation.level",
                      "read_committed",
                      "max.poll.records",
                      "50")) {
            p.initTransactions();
            c.subscribe(List.of(in));
            int n = 0, round = 0;
            long end = System.currentTimeMillis() + 60000;
            while (n < 200 && System.currentTimeMillis() < end) {
              ConsumerRecords<String, String> records = c.poll(Duration.ofMillis(300));
              if (records.isEmpty()) continue;
              p.beginTransaction();
              for (ConsumerRecord<String, String> r : records)
                p.send(new ProducerRecord<>(out, r.key(), r.value()));
              p.sendOffsetsToTransaction(records.nextOffsets(), c.groupMetadata());
              if (round++ == 1) {
                p.abortTransaction();
                Map<TopicPartition, OffsetAndMetadata> at = c.committed(c.assignment());
                for (TopicPartition x : c.assignment())
                  if (at.get(x) != null) c.seek(x, at.get(x));
                  else c.seekToBeginning(List.of(x));
              } else {
                p.commitTransaction();
                n += records.count();
              }
            }
            eq(200, n);
          }
          eq(200, all(out, "read_committed", 999, 4000).size());
          long sum = 0;
          for (OffsetAndMetadata o :
              get(adm.listConsumerGroupOffsets(g).partitionsToOffsetAndMetadata()).values())
            sum += o.offset();
          eq(200L, sum);
        });
    c(
        "transaction.offsets-are-unstable-until-its-end",
        () -> {
          String t = topic(1), g = P + "-pend";
          fill(t, 5);
          try (KafkaProducer<String, String> p = prod("transactional.id", P + "-x4");
              KafkaConsumer<String, String> c = cons("group.id", g)) {
            p.initTransactions();
            p.beginTransaction();
            p.sendOffsetsToTransaction(
                Map.of(tp(t, 0), new OffsetAndMetadata(3)), new ConsumerGroupMetadata(g));
            fails(
                org.apache.kafka.common.errors.TimeoutException.class,
                () -> c.committed(Set.of(tp(t, 0)), Duration.ofSeconds(2)));
            p.commitTransaction();
            eq(3L, c.committed(Set.of(tp(t, 0)), Duration.ofSeconds(20)).get(tp(t, 0)).offset());
          }
        });
    c(
        "transaction.a-member-of-another-generation-is-fenced",
        () -> {
          String t = topic(1), g = P + "-gen";
          fill(t, 5);
          try (KafkaProducer<String, String> p = prod("transactional.id", P + "-x11");
              KafkaConsumer<String, String> c = cons("group.id", g)) {
            c.subscribe(List.of(t));
            drain(c, 5, 20000);
            p.initTransactions();
            p.beginTransaction();
            ConsumerGroupMetadata old = new ConsumerGroupMetadata(g, 0, "nobody", Optional.empty());
            fails(
                KafkaException.class,
                () -> {
                  p.sendOffsetsToTransaction(Map.of(tp(t, 0), new OffsetAndMetadata(3)), old);
                  p.commitTransaction();
                });
            p.abortTransaction();
          }
        });
  }

  static void fencing() throws Exception {
    c(
        "transaction.a-newer-producer-fences-the-old-one",
        () -> {
          String t = topic(1), x = P + "-x5";
          KafkaProducer<String, String> p = prod("transactional.id", x);
          KafkaProducer<String, String> q = prod("transactional.id", x);
          p.initTransactions();
          p.beginTransaction();
          p.send(new ProducerRecord<>(t, "a", "zombie")).get();
          q.initTransactions();
          q.beginTransaction();
          q.send(new ProducerRecord<>(t, "b", "live"));
          q.commitTransaction();
          boolean fenced = false;
          try {
            p.send(new ProducerRecord<>(t, "a", "z2")).get();
            p.commitTransaction();
          } catch (Exception e) {
            for (Throwable y = e; y != null; y = y.getCause())
              fenced |=
                  y instanceof ProducerFencedException
                      || y instanceof InvalidProducerEpochException;
          }
          ok(fenced, "the zombie is not fenced");
          p.close(Duration.ZERO);
          q.close();
          List<ConsumerRecord<String, String>> l = all(t, "read_committed", 9, 3000);
          eq(1, l.size());
          eq("live", l.get(0).value());
        });
    c(
        "transaction.left-open-by-a-crash-is-aborted-by-the-next-producer",
        () -> {
          String t = topic(1), x = P + "-x9";
          KafkaProducer<String, String> p = prod("transactional.id", x);
          p.initTransactions();
          p.beginTransaction();
          p.send(new ProducerRecord<>(t, "orphan")).get();
          try (KafkaProducer<String, String> q = prod("transactional.id", x)) {
            q.initTransactions();
            eq(2L, committedEnd(t));
          }
          p.close(Duration.ZERO);
        });
    c(
        "transaction.that-takes-too-long-is-aborted",
        () -> {
          String t = topic(1);
          try (KafkaProducer<String, String> p =
              prod("transactional.id", P + "-x6", "transaction.timeout.ms", "2000")) {
            p.initTransactions();
            p.beginTransaction();
            p.send(new ProducerRecord<>(t, "a", "a")).get();
            long end = System.currentTimeMillis() + 30000;
            while (committedEnd(t) == 0 && System.currentTimeMillis() < end) Thread.sleep(500);
            fails(KafkaException.class, p::commitTransaction);
            eq(2L, committedEnd(t));
            eq(0, all(t, "read_committed", 1, 1000).size());
          }
        });
    c(
        "transaction.timeout-too-large",
        () -> {
          try (KafkaProducer<String, String> p =
              prod(
                  "transactional.id",
                  P + "-x7",
                  "transaction.timeout.ms",
                  "99999999",
                  "max.block.ms",
                  "10000")) {
            KafkaException k = fails(KafkaException.class, p::initTransactions);
            ok(("" + k.getMessage()).contains("transaction timeout is larger"), "" + k);
          }
        });
  }

  static void administration() throws Exception {
    c(
        "transaction.admin.list-describe-abort-fence",
        () -> {
          String n = topic(1), x = P + "-atx";
          try (KafkaProducer<String, String> p = prod("transactional.id", x)) {
            p.initTransactions();
            p.beginTransaction();
            p.send(new ProducerRecord<>(n, "v")).get();
            TransactionDescription d = get(adm.describeTransactions(List.of(x)).description(x));
            eq("Ongoing", d.state().toString());
            eq(Set.of(tp(n, 0)), d.topicPartitions());
            ListTransactionsOptions ongoing =
                new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING));
            ok(
                get(adm.listTransactions(ongoing).all()).stream()
                    .anyMatch(l -> l.transactionalId().equals(x)),
                "not listed");
            ListTransactionsOptions named =
                new ListTransactionsOptions().filterOnTransactionalIdPattern(x + "$");
            eq(1, get(adm.listTransactions(named).all()).size());
            ProducerState s = producer(n);
            ok(s.currentTransactionStartOffset().isPresent(), "no start");
            get(
                adm.abortTransaction(
                        new AbortTransactionSpec(
                            tp(n, 0),
                            s.producerId(),
                            (short) s.producerEpoch(),
                            s.coordinatorEpoch().orElse(0)))
                    .all());
            ok(!producer(n).currentTransactionStartOffset().isPresent(), "still open");
            get(adm.fenceProducers(List.of(x)).all());
            fails(KafkaException.class, p::commitTransaction);
          }
          String nobody = "nobody-" + P;
          fails(
              TransactionalIdNotFoundException.class,
              () -> get(adm.describeTransactions(List.of(nobody)).description(nobody)));
        });
    c(
        "transaction.admin.force-terminate",
        () -> {
          String n = topic(1), x = P + "-ftx";
          KafkaProducer<String, String> p = prod("transactional.id", x);
          p.initTransactions();
          p.beginTransaction();
          p.send(new ProducerRecord<>(n, "v")).get();
          get(adm.forceTerminateTransaction(x).result());
          eq(0, all(n, "read_committed", 1, 2000).size());
          eq(2L, committedEnd(n));
          p.close(Duration.ZERO);
        });
  }

  static ProducerState producer(String t) throws Exception {
    return get(adm.describeProducers(List.of(tp(t, 0))).partitionResult(tp(t, 0)))
        .activeProducers()
        .get(0);
  }
}
