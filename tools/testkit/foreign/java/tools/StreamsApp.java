import java.nio.file.Files;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;

/**
 * A member of a streams group that lives beside the tools: it counts values.
 *
 * <p>Arguments: BOOTSTRAP APPLICATION TOPIC, or only APPLICATION to end it.
 */
public class StreamsApp {
  static final Map<String, KafkaStreams> running = new ConcurrentHashMap<>();

  public static void main(String[] args) throws Exception {
    if (args.length == 1) {
      running.remove(args[0]).close();
      return;
    }
    Properties settings = new Properties();
    settings.put("bootstrap.servers", args[0]);
    settings.put("application.id", args[1]);
    settings.put("group.protocol", "streams");
    settings.put("client.id", args[1] + "-client");
    settings.put("commit.interval.ms", "100");
    settings.put("default.key.serde", Serdes.StringSerde.class.getName());
    settings.put("default.value.serde", Serdes.StringSerde.class.getName());
    settings.put("state.dir", Files.createTempDirectory("streams").toString());
    StreamsBuilder builder = new StreamsBuilder();
    builder
        .<String, String>stream(args[2])
        .groupBy((key, value) -> value)
        .count()
        .toStream()
        .mapValues(count -> "" + count)
        .to(args[2] + "-out");
    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    running.put(args[1], streams);
    streams.start();
    for (int i = 0; i < 600 && streams.state() != KafkaStreams.State.RUNNING; i++)
      Thread.sleep(100);
  }
}
