import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Properties;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Metric;
import org.apache.kafka.common.MetricName;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidRequestException;
import org.apache.kafka.common.errors.ThrottlingQuotaExceededException;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.quota.ClientQuotaFilterComponent;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Quotas, limits and client metrics. Arguments: BOOTSTRAP, port of /metrics or 0. */
public class QuotaTour {
  static final String TOPIC = "throttled";
  static final int VALUE = 10_000;
  static String bootstrap;
  static int metricsPort;
  static Admin admin;

  public static void main(String[] args) throws Exception {
    bootstrap = args[0];
    metricsPort = Integer.parseInt(args[1]);
    admin = Admin.create(base("admin"));
    get(admin.createTopics(List.of(new NewTopic(TOPIC, 1, (short) 1))).all());
    Report report = new Report();
    report.run("quotas of users, clients and addresses are set, described and removed", QuotaTour::entities);
    report.run("a Java producer is held to producer_byte_rate, and let go at run time", QuotaTour::producer);
    report.run("a Java consumer is held to consumer_byte_rate and gets every record", QuotaTour::consumer);
    report.run("request_percentage throttles a Java client", QuotaTour::requests);
    report.run("controller_mutation_rate refuses topics of a Java admin client", QuotaTour::mutations);
    report.run("max.connections.per.ip.overrides changes at run time", QuotaTour::perAddress);
    report.run("connection_creation_rate of an address changes at run time", QuotaTour::creationRate);
    report.run("listener.name.X.max.connections and max.connection.creation.rate change at run time", QuotaTour::listener);
    if (metricsPort > 0) {
      report.run("a Java producer pushes its metrics, and /metrics shows them", QuotaTour::telemetry);
    }
    report.end();
  }

  static Properties base(String clientId) {
    Properties p = new Properties();
    p.put("bootstrap.servers", bootstrap);
    p.put("client.id", clientId);
    return p;
  }

  static <T> T get(KafkaFuture<T> future) throws Exception {
    return future.get(60, TimeUnit.SECONDS);
  }

  static void eq(Object want, Object got) {
    if (!Objects.equals(want, got)) throw new AssertionError("want " + want + " got " + got);
  }

  static void ok(boolean fact, String what) {
    if (!fact) throw new AssertionError(what);
  }

  static ClientQuotaEntity entity(String... pairs) {
    Map<String, String> map = new HashMap<>();
    for (int i = 0; i < pairs.length; i += 2) map.put(pairs[i], pairs[i + 1]);
    return new ClientQuotaEntity(map);
  }

  static void set(ClientQuotaEntity entity, String key, Double value) throws Exception {
    ClientQuotaAlteration.Op op = new ClientQuotaAlteration.Op(key, value);
    get(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(op)))).all());
    // The broker takes it over after the answer.
    Thread.sleep(300);
  }

  static Map<ClientQuotaEntity, Map<String, Double>> described(ClientQuotaFilter filter)
      throws Exception {
    return get(admin.describeClientQuotas(filter).entities());
  }

  static void broker(String resource, String key, String value) throws Exception {
    AlterConfigOp.OpType type =
        value == null ? AlterConfigOp.OpType.DELETE : AlterConfigOp.OpType.SET;
    ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, resource);
    AlterConfigOp op = new AlterConfigOp(new ConfigEntry(key, value), type);
    get(admin.incrementalAlterConfigs(Map.of(broker, List.of(op))).all());
    Thread.sleep(500);
  }

  static double metric(Map<MetricName, ? extends Metric> metrics, String name) {
    double most = 0;
    for (Map.Entry<MetricName, ? extends Metric> one : metrics.entrySet()) {
      if (one.getKey().name().equals(name) && one.getValue().metricValue() instanceof Double v) {
        if (!v.isNaN()) most = Math.max(most, v);
      }
    }
    return most;
  }

  static void entities() throws Exception {
    ClientQuotaEntity user = entity("user", "alice");
    ClientQuotaEntity both = entity("user", "alice", "client-id", null);
    ClientQuotaEntity ip = entity("ip", "10.9.8.7");
    set(user, "producer_byte_rate", 1e9);
    set(both, "request_percentage", 150.5);
    set(ip, "connection_creation_rate", 7.0);
    ClientQuotaFilterComponent alice = ClientQuotaFilterComponent.ofEntity("user", "alice");
    eq(2, described(ClientQuotaFilter.contains(List.of(alice))).size());
    eq(
        Map.of(user, Map.of("producer_byte_rate", 1e9)),
        described(ClientQuotaFilter.containsOnly(List.of(alice))));
    ClientQuotaFilterComponent ips = ClientQuotaFilterComponent.ofEntityType("ip");
    eq(
        Map.of(ip, Map.of("connection_creation_rate", 7.0)),
        described(ClientQuotaFilter.containsOnly(List.of(ips))));
    try {
      set(user, "producer_byte_rate", 0.5);
      throw new AssertionError("half a byte is taken");
    } catch (ExecutionException refused) {
      ok(refused.getCause() instanceof InvalidRequestException, refused.toString());
    }
    set(user, "producer_byte_rate", null);
    set(both, "request_percentage", null);
    set(ip, "connection_creation_rate", null);
    eq(Map.of(), described(ClientQuotaFilter.all()));
  }

  /** Sends so many records; how long it took in milliseconds. */
  static long send(KafkaProducer<byte[], byte[]> producer, int count) {
    long began = System.nanoTime();
    for (int i = 0; i < count; i++) producer.send(new ProducerRecord<>(TOPIC, new byte[VALUE]));
    producer.flush();
    return (System.nanoTime() - began) / 1_000_000;
  }

  static void producer() throws Exception {
    ClientQuotaEntity client = entity("client-id", "limited-producer");
    set(client, "producer_byte_rate", 100_000.0);
    Properties p = base("limited-producer");
    p.put("batch.size", "20000");
    p.put("max.in.flight.requests.per.connection", "1");
    try (KafkaProducer<byte[], byte[]> producer =
        new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
      // Ten windows' worth passes at once; the other half takes five seconds.
      long took = send(producer, 150);
      double throttle = metric(producer.metrics(), "produce-throttle-time-max");
      ok(throttle > 0, "not throttled: " + throttle);
      ok(took > 2_000, "too fast: " + took + " ms");
      set(client, "producer_byte_rate", 1e9);
      took = send(producer, 10);
      set(client, "producer_byte_rate", null);
      took = send(producer, 500);
      ok(took < 30_000, "still throttled: " + took + " ms");
    }
  }

  static void consumer() throws Exception {
    ClientQuotaEntity client = entity("client-id", "limited-consumer");
    set(client, "consumer_byte_rate", 400_000.0);
    Properties p = base("limited-consumer");
    p.put("auto.offset.reset", "earliest");
    try (KafkaConsumer<byte[], byte[]> consumer =
        new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
      TopicPartition partition = new TopicPartition(TOPIC, 0);
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      int got = 0;
      long end = System.currentTimeMillis() + 60_000;
      while (got < 660 && System.currentTimeMillis() < end) {
        got += consumer.poll(Duration.ofMillis(500)).count();
      }
      eq(660, got);
      double throttle = metric(consumer.metrics(), "fetch-throttle-time-max");
      ok(throttle > 0, "not throttled: " + throttle);
    } finally {
      set(client, "consumer_byte_rate", null);
    }
  }

  static void requests() throws Exception {
    ClientQuotaEntity client = entity("client-id", "busy");
    set(client, "request_percentage", 0.0001);
    try (KafkaProducer<byte[], byte[]> producer =
        new KafkaProducer<>(base("busy"), new ByteArraySerializer(), new ByteArraySerializer())) {
      for (int i = 0; i < 5; i++) send(producer, 1);
      double throttle = metric(producer.metrics(), "produce-throttle-time-max");
      ok(throttle > 0, "not throttled");
      ok(throttle <= 1000, "longer than a window: " + throttle);
    } finally {
      set(client, "request_percentage", null);
    }
  }

  static void mutations() throws Exception {
    ClientQuotaEntity client = entity("client-id", "changes-much");
    set(client, "controller_mutation_rate", 0.5);
    CreateTopicsOptions once = new CreateTopicsOptions().retryOnQuotaViolation(false);
    try (Admin limited = Admin.create(base("changes-much"))) {
      get(limited.createTopics(List.of(new NewTopic("many", 10, (short) 1)), once).all());
    }
    // The first connection has been muted or not: another one asks.
    try (Admin limited = Admin.create(base("changes-much"))) {
      get(limited.createTopics(List.of(new NewTopic("one", 1, (short) 1)), once).all());
      throw new AssertionError("one more topic is made");
    } catch (ExecutionException refused) {
      ok(
          refused.getCause() instanceof ThrottlingQuotaExceededException e && e.throttleTimeMs() > 0,
          refused.toString());
    }
    set(client, "controller_mutation_rate", null);
    try (Admin limited = Admin.create(base("changes-much"))) {
      get(limited.createTopics(List.of(new NewTopic("one", 1, (short) 1)), once).all());
      get(limited.deleteTopics(List.of("one", "many")).all());
    }
  }

  /** A connection from an address of this machine. */
  static Socket connect(String from) throws Exception {
    String[] at = bootstrap.split(",")[0].split(":");
    Socket socket = new Socket();
    socket.bind(new InetSocketAddress(InetAddress.getByName(from), 0));
    socket.connect(new InetSocketAddress(at[0], Integer.parseInt(at[1])), 10_000);
    socket.setSoTimeout(3_000);
    return socket;
  }

  /** Whether ApiVersions is answered. */
  static boolean answers(Socket socket) {
    try {
      DataOutputStream out = new DataOutputStream(socket.getOutputStream());
      out.writeInt(10);
      out.writeShort(18);
      out.writeShort(0);
      out.writeInt(7);
      out.writeShort(-1);
      DataInputStream in = new DataInputStream(socket.getInputStream());
      byte[] answer = new byte[in.readInt()];
      in.readFully(answer);
      return Arrays.equals(Arrays.copyOf(answer, 4), new byte[] {0, 0, 0, 7});
    } catch (java.io.IOException closedOrSilent) {
      return false;
    }
  }

  static void perAddress() throws Exception {
    String key = "max.connections.per.ip.overrides";
    broker("", key, "127.0.0.2:2");
    try (Socket first = connect("127.0.0.2"); Socket second = connect("127.0.0.2")) {
      ok(answers(first) && answers(second), "two are let in");
      try (Socket third = connect("127.0.0.2")) {
        ok(!answers(third), "a third is let in");
      }
      broker("", key, "127.0.0.2:3");
      try (Socket third = connect("127.0.0.2")) {
        ok(answers(third) && answers(first), "three are let in");
      }
    }
    broker("", key, null);
  }

  static void creationRate() throws Exception {
    ClientQuotaEntity ip = entity("ip", "127.0.0.3");
    set(ip, "connection_creation_rate", 1.0);
    int refused = 0;
    for (int i = 0; i < 15; i++) {
      try (Socket socket = connect("127.0.0.3")) {
        if (!answers(socket)) refused++;
      }
    }
    ok(refused > 0, "all are let in");
    try (Socket other = connect("127.0.0.4")) {
      ok(answers(other), "another address");
    }
    set(ip, "connection_creation_rate", null);
    for (int i = 0; i < 15; i++) {
      try (Socket socket = connect("127.0.0.3")) {
        ok(answers(socket), "without a limit");
      }
    }
  }

  static void listener() throws Exception {
    String id = get(admin.describeCluster().nodes()).iterator().next().idString();
    String key = "listener.name.plaintext.max.connections";
    broker(id, key, "20");
    List<Socket> held = new ArrayList<>();
    try {
      // The admin client holds some of them.
      boolean full = false;
      for (int i = 0; i < 25 && !full; i++) {
        Socket socket = connect("127.0.0.5");
        held.add(socket);
        full = !answers(socket);
      }
      ok(full, "more than 20 are let in");
      // The one that waits is let in as soon as there is room.
      broker(id, key, "200");
      Socket waiting = held.get(held.size() - 1);
      DataInputStream in = new DataInputStream(waiting.getInputStream());
      waiting.setSoTimeout(20_000);
      ok(in.readInt() > 0, "it waits for ever");
    } finally {
      for (Socket socket : held) socket.close();
      broker(id, key, null);
    }
    broker(id, "listener.name.plaintext.max.connection.creation.rate", "1");
    long began = System.nanoTime();
    for (int i = 0; i < 14; i++) {
      try (Socket socket = connect("127.0.0.5")) {
        socket.setSoTimeout(30_000);
        ok(answers(socket), "they wait and are let in");
      }
    }
    long took = (System.nanoTime() - began) / 1_000_000;
    ok(took > 1_000, "too fast: " + took + " ms");
    broker(id, "listener.name.plaintext.max.connection.creation.rate", null);
  }

  static String scrape() throws Exception {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create("http://127.0.0.1:" + metricsPort + "/metrics")).build();
    return HttpClient.newHttpClient()
        .send(request, HttpResponse.BodyHandlers.ofString())
        .body();
  }

  static void telemetry() throws Exception {
    ConfigResource subscription = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, "all");
    List<AlterConfigOp> ops = new ArrayList<>();
    for (String[] pair :
        new String[][] {
          {"metrics", "org.apache.kafka.producer."},
          {"interval.ms", "500"},
          {"match", "client_id=pushes-.*,client_software_name=apache-kafka-java"}
        }) {
      ops.add(new AlterConfigOp(new ConfigEntry(pair[0], pair[1]), AlterConfigOp.OpType.SET));
    }
    get(admin.incrementalAlterConfigs(Map.of(subscription, ops)).all());
    Thread.sleep(300);
    Uuid id;
    try (KafkaProducer<byte[], byte[]> producer =
        new KafkaProducer<>(
            base("pushes-java"), new ByteArraySerializer(), new ByteArraySerializer())) {
      id = producer.clientInstanceId(Duration.ofSeconds(20));
      String wanted = "client_instance_id=\"" + id + "\"";
      String text = "";
      long end = System.currentTimeMillis() + 30_000;
      while (System.currentTimeMillis() < end) {
        send(producer, 1);
        text = scrape();
        if (text.contains("kafka_client_producer_") && text.contains(wanted)) break;
        Thread.sleep(200);
      }
      ok(text.contains("kafka_client_producer_"), "nothing is shown: " + lines(text));
      ok(text.contains(wanted), "not its instance " + id + ": " + lines(text));
      ok(text.contains("client_id=\"pushes-java\""), lines(text));
    }
  }

  /** What is told of clients, for a failure. */
  static String lines(String text) {
    StringBuilder found = new StringBuilder();
    for (String line : text.split("\n")) {
      if (line.startsWith("naru_client_") || line.startsWith("kafka_client_")) {
        found.append(line).append("; ");
      }
    }
    return found.toString();
  }
}
