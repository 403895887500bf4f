import java.nio.file.Path;
import java.util.Properties;

/**
 * The part of tools/faults' load that wants Kafka's own client: a share group, and transactions of
 * version 2 with zombies.
 *
 * <p>Arguments: FOLDER BOOTSTRAP TOPIC LOCK_MS PATIENCE_S PARTITIONS RECORDS. The topics are
 * TOPIC-shared, TOPIC-a and TOPIC-b. It goes on until FOLDER/stop is there, and then until the share
 * group has nothing left to read or PATIENCE_S is over.
 */
public class FaultLoad {
  static String bootstrap;

  public static void main(String[] args) throws Exception {
    Path folder = Path.of(args[0]);
    bootstrap = args[1];
    String topic = args[2];
    Path stop = folder.resolve("stop");
    String name = "transactions-java-" + topic;
    ZombieWorker zombies =
        new ZombieWorker(
            new Ledger(folder.resolve(name + ".jsonl")),
            stop,
            name,
            new String[] {topic + "-a", topic + "-b"},
            Integer.parseInt(args[5]),
            Integer.parseInt(args[6]));
    Thread thread = new Thread(zombies);
    thread.start();
    ShareWorker shares =
        new ShareWorker(
            new Ledger(folder.resolve("share.jsonl")), stop, topic, Integer.parseInt(args[3]));
    shares.run(Long.parseLong(args[4]), thread);
    // Whatever threads clients have left behind.
    Runtime.getRuntime().halt(0);
  }

  /** Short waits, so that what is seen are the brokers and not the client's patience. */
  static Properties properties() {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    properties.put("request.timeout.ms", "5000");
    properties.put("socket.connection.setup.timeout.ms", "2000");
    properties.put("reconnect.backoff.max.ms", "500");
    properties.put("retry.backoff.max.ms", "500");
    properties.put("metadata.max.age.ms", "5000");
    return properties;
  }
}
