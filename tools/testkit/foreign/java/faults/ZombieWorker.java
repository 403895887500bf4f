import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.ThreadLocalRandom;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * Transactions of two producers with one transactional id: once the second is there, the first is a
 * zombie.
 *
 * <p>["txn", id, "committed" | "aborted" | "unknown", time] as of transactional.py. ["zombie", id,
 * "fenced" | "committed", time] is what became of a first one's transaction, which the second has
 * aborted.
 */
class ZombieWorker implements Runnable {
  static final int TRANSACTIONS_PER_ROUND = 6;
  static final int COMMITS = 8;

  private final Ledger ledger;
  private final Path stop;
  private final String name;
  private final String[] topics;
  private final int partitions;
  private final int records;

  ZombieWorker(
      Ledger ledger, Path stop, String name, String[] topics, int partitions, int records) {
    this.ledger = ledger;
    this.stop = stop;
    this.name = name;
    this.topics = topics;
    this.partitions = partitions;
    this.records = records;
  }

  @Override
  public void run() {
    for (int number = 1; !Files.exists(stop); number++) {
      try {
        round(name + "-" + number, number % 2 == 0);
      } catch (KafkaException error) {
        ledger.put("[\"error\",\"%s-%d\",%s]", name, number, Ledger.quoted(error));
        Ledger.sleep(300);
      }
    }
    for (int tries = 0; tries < 6; tries++) {
      try {
        open().close(Duration.ZERO);
        break;
      } catch (KafkaException error) {
        Ledger.sleep(1000);
      }
    }
    ledger.close();
  }

  /** A zombie is late when transactions of the second producer have ended before it awakes. */
  private void round(String id, boolean late) {
    String zombie = id + "-zombie";
    KafkaProducer<byte[], byte[]> old = open();
    KafkaProducer<byte[], byte[]> second = null;
    try {
      ended(zombie, "aborted");
      old.beginTransaction();
      write(old, zombie);
      old.flush();
      second = open();
      if (!late) awake(old, zombie);
      for (int i = 0; i < TRANSACTIONS_PER_ROUND; i++) {
        String how = one(second, id + "-" + i);
        ended(id + "-" + i, how);
        if (how.equals("unknown")) break;
        Ledger.sleep(20);
      }
      if (late) awake(old, zombie);
    } finally {
      old.close(Duration.ZERO);
      if (second != null) second.close(Duration.ZERO);
    }
  }

  private void ended(String id, String how) {
    ledger.put("[\"txn\",\"%s\",\"%s\",%.4f]", id, how, Ledger.now());
  }

  private KafkaProducer<byte[], byte[]> open() {
    Properties properties = FaultLoad.properties();
    properties.put("transactional.id", name);
    properties.put("transaction.timeout.ms", "15000");
    properties.put("delivery.timeout.ms", "12000");
    properties.put("max.block.ms", "10000");
    ByteArraySerializer bytes = new ByteArraySerializer();
    KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(properties, bytes, bytes);
    try {
      producer.initTransactions();
      return producer;
    } catch (KafkaException error) {
      producer.close(Duration.ZERO);
      throw error;
    }
  }

  private void write(KafkaProducer<byte[], byte[]> producer, String id) {
    for (String topic : topics) {
      for (int i = 0; i < records; i++) {
        byte[] value = (id + "|" + topic + "|" + i).getBytes(StandardCharsets.UTF_8);
        int partition = ThreadLocalRandom.current().nextInt(partitions);
        producer.send(new ProducerRecord<>(topic, partition, null, value));
      }
    }
  }

  private void awake(KafkaProducer<byte[], byte[]> old, String zombie) {
    String how = "fenced";
    try {
      write(old, zombie);
      old.commitTransaction();
      how = "committed";
    } catch (KafkaException error) {
      ledger.put("[\"error\",\"%s\",%s]", zombie, Ledger.quoted(error));
    }
    ledger.put("[\"zombie\",\"%s\",\"%s\",%.4f]", zombie, how, Ledger.now());
  }

  private String one(KafkaProducer<byte[], byte[]> producer, String id) {
    String how = "aborted";
    try {
      producer.beginTransaction();
      write(producer, id);
      if (ThreadLocalRandom.current().nextInt(5) == 0) {
        producer.flush();
        producer.abortTransaction();
        return how;
      }
      how = "unknown";
      for (int i = 0; i < COMMITS; i++) {
        try {
          producer.commitTransaction();
          return "committed";
        } catch (TimeoutException error) {
          // To be asked again: nobody knows what became of it.
        }
      }
      return how;
    } catch (KafkaException error) {
      ledger.put("[\"error\",\"%s\",%s]", id, Ledger.quoted(error));
    }
    try {
      producer.abortTransaction();
      return "aborted";
    } catch (KafkaException error) {
      return how;
    }
  }
}
