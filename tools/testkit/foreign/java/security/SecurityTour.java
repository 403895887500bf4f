import com.sun.net.httpserver.HttpServer;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.PrintStream;
import java.math.BigInteger;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.Signature;
import java.security.interfaces.RSAPublicKey;
import java.time.Duration;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.CreateDelegationTokenOptions;
import org.apache.kafka.clients.admin.ExpireDelegationTokenOptions;
import org.apache.kafka.clients.admin.RenewDelegationTokenOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.DelegationTokenNotFoundException;
import org.apache.kafka.common.errors.SaslAuthenticationException;
import org.apache.kafka.common.errors.UnsupportedByAuthenticationException;
import org.apache.kafka.common.security.auth.KafkaPrincipal;
import org.apache.kafka.common.security.token.delegation.DelegationToken;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.utils.Exit;

/**
 * Delegation tokens and OAUTHBEARER with Apache Kafka's Java client.
 *
 * <p>Arguments: FOLDER SCRAM_ADDRESS ADMIN_ADDRESS UNSECURED_ADDRESS SIGNED_ADDRESS KEYS_PORT. The
 * folder has `admin.properties`; `alice` may use the topic `private` and nothing else; the keys of
 * signed tokens are looked for at KEYS_PORT.
 */
public class SecurityTour {
  static final String SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule";
  static final String OAUTH =
      "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required ";
  static final String FROM_FILE =
      "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler";
  static Path folder;
  static String scramAddress;
  static String adminAddress;
  static String signedAddress;
  static final Map<String, KeyPair> published = new HashMap<>();
  static int files;

  public static void main(String[] args) throws Exception {
    folder = Paths.get(args[0]);
    scramAddress = args[1];
    adminAddress = args[2];
    String unsecuredAddress = args[3];
    signedAddress = args[4];
    int keysPort = Integer.parseInt(args[5]);
    Exit.setExitProcedure((code, message) -> {});
    Report report = new Report();

    report.run("delegation tokens are made, described, renewed", SecurityTour::life);
    report.run("a token logs in as its owner, but makes no tokens", SecurityTour::login);
    report.run("a token that was expired logs nobody in", SecurityTour::expired);
    report.run("kafka-delegation-tokens makes and lists one", SecurityTour::tool);
    report.run(
        "Java with an unsecured token of OAUTHBEARER",
        () -> {
          String who = OAUTH + "unsecuredLoginStringClaim_sub=\"alice\";";
          same(Set.of("private"), topics(oauth(unsecuredAddress, who)));
        });

    report.run(
        "a pattern stands only for topics that its member may describe", SecurityTour::pattern);

    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", keysPort), 0);
    server.createContext(
        "/keys",
        exchange -> {
          byte[] body = keySet().getBytes(StandardCharsets.UTF_8);
          exchange.sendResponseHeaders(200, body.length);
          exchange.getResponseBody().write(body);
          exchange.close();
        });
    KeyPair first = pair();
    published.put("first", first);
    server.start();
    report.run(
        "Java with a signed token, whose key is fetched",
        () -> {
          until(() -> same(Set.of("private"), topics(signed(token(first, "first", "kafka", 60)))));
        });
    report.run(
        "a key that is new is fetched when a token names it",
        () -> {
          KeyPair second = pair();
          published.put("second", second);
          until(() -> same(Set.of("private"), topics(signed(token(second, "second", "kafka", 60)))));
        });
    report.run(
        "tokens of others, for others, or of yesterday are refused",
        () -> {
          refused(token(pair(), "first", "kafka", 60));
          refused(token(first, "first", "somebody", 60));
          refused(token(first, "first", "kafka", -60));
        });
    server.stop(0);
    report.end();
  }

  static void life() throws Exception {
    try (Admin admin = Admin.create(admin())) {
      DelegationToken token = make(admin);
      same("User:admin", token.tokenInfo().owner().toString());
      same(List.of(token.tokenInfo().tokenId()), listed(admin, token));
      same(true, Arrays.equals(token.hmac(), described(admin, token).hmac()));
      long renewed =
          admin
              .renewDelegationToken(token.hmac(), new RenewDelegationTokenOptions())
              .expiryTimestamp()
              .get();
      same(true, renewed >= token.tokenInfo().expiryTimestamp());
      expire(admin, token);
      same(List.of(), listed(admin, token));
      try {
        admin.renewDelegationToken(token.hmac()).expiryTimestamp().get();
        throw new AssertionError("renewed");
      } catch (ExecutionException e) {
        same(DelegationTokenNotFoundException.class, e.getCause().getClass());
      }
    }
  }

  static void login() throws Exception {
    try (Admin admin = Admin.create(admin())) {
      DelegationToken token = make(admin);
      for (String mechanism : List.of("SCRAM-SHA-256", "SCRAM-SHA-512")) {
        try (Admin other = Admin.create(withToken(token, mechanism))) {
          same(true, other.listTopics().names().get().containsAll(Set.of("private", "open")));
          try {
            other.createDelegationToken().delegationToken().get();
            throw new AssertionError("a token made a token");
          } catch (ExecutionException e) {
            same(UnsupportedByAuthenticationException.class, e.getCause().getClass());
          }
        }
      }
      expire(admin, token);
    }
  }

  static void expired() throws Exception {
    try (Admin admin = Admin.create(admin())) {
      DelegationToken token = make(admin);
      expire(admin, token);
      denied(withToken(token, "SCRAM-SHA-256"));
    }
  }

  static void tool() throws Exception {
    String config = folder.resolve("admin.properties").toString();
    String[] where = {"--bootstrap-server", adminAddress, "--command-config", config};
    String made =
        printed(where, "--create", "--max-life-time-period", "-1", "--renewer-principal", "User:bob");
    if (!made.contains("Created delegation token with tokenId")) throw new AssertionError(made);
    String listed = printed(where, "--describe", "--owner-principal", "User:admin");
    if (!listed.contains("User:bob")) throw new AssertionError(listed);
  }

  /** Of what the pattern matches, alice has an ACL for `private` alone. */
  static void pattern() throws Throwable {
    String jaas = SCRAM + " required username=\"alice\" password=\"alice-secret\";";
    Properties properties = login(scramAddress, "SCRAM-SHA-512", jaas);
    properties.put("group.id", "by-pattern");
    properties.put("group.protocol", "consumer");
    properties.put("auto.offset.reset", "earliest");
    StringDeserializer text = new StringDeserializer();
    try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(properties, text, text)) {
      consumer.subscribe(new SubscriptionPattern("private|open"));
      Set<String> seen = new HashSet<>();
      until(
          () -> {
            // A partition of `open` would have this throw.
            consumer.poll(Duration.ofMillis(300)).forEach(record -> seen.add(record.topic()));
            same(Set.of("private"), seen);
          });
      same(Set.of(new TopicPartition("private", 0)), consumer.assignment());
    }
  }

  static String printed(String[] where, String... words) throws Exception {
    String[] all = Arrays.copyOf(where, where.length + words.length);
    System.arraycopy(words, 0, all, where.length, words.length);
    PrintStream usual = System.out;
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    System.setOut(new PrintStream(bytes));
    try {
      org.apache.kafka.tools.DelegationTokenCommand.main(all);
    } finally {
      System.setOut(usual);
    }
    return bytes.toString();
  }

  static DelegationToken make(Admin admin) throws Exception {
    KafkaPrincipal renewer = new KafkaPrincipal(KafkaPrincipal.USER_TYPE, "alice");
    CreateDelegationTokenOptions options = new CreateDelegationTokenOptions();
    options.renewers(List.of(renewer)).maxLifetimeMs(600_000);
    return admin.createDelegationToken(options).delegationToken().get();
  }

  static void expire(Admin admin, DelegationToken token) throws Exception {
    ExpireDelegationTokenOptions now = new ExpireDelegationTokenOptions().expiryTimePeriodMs(-1);
    admin.expireDelegationToken(token.hmac(), now).expiryTimestamp().get();
  }

  static DelegationToken described(Admin admin, DelegationToken token) throws Exception {
    for (DelegationToken one : admin.describeDelegationToken().delegationTokens().get()) {
      if (one.tokenInfo().tokenId().equals(token.tokenInfo().tokenId())) return one;
    }
    return null;
  }

  static List<String> listed(Admin admin, DelegationToken token) throws Exception {
    DelegationToken found = described(admin, token);
    return found == null ? List.of() : List.of(found.tokenInfo().tokenId());
  }

  static Properties admin() throws Exception {
    Properties properties = new Properties();
    try (FileInputStream file = new FileInputStream(folder.resolve("admin.properties").toFile())) {
      properties.load(file);
    }
    properties.put("bootstrap.servers", adminAddress);
    return properties;
  }

  static Properties login(String address, String mechanism, String jaas) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", address);
    properties.put("security.protocol", "SASL_PLAINTEXT");
    properties.put("sasl.mechanism", mechanism);
    properties.put("sasl.jaas.config", jaas);
    properties.put("request.timeout.ms", "15000");
    properties.put("default.api.timeout.ms", "20000");
    return properties;
  }

  static Properties withToken(DelegationToken token, String mechanism) {
    String jaas =
        String.format(
            "%s required tokenauth=\"true\" username=\"%s\" password=\"%s\";",
            SCRAM, token.tokenInfo().tokenId(), token.hmacAsBase64String());
    return login(scramAddress, mechanism, jaas);
  }

  static Properties oauth(String address, String jaas) {
    return login(address, "OAUTHBEARER", jaas);
  }

  static Properties signed(String token) throws Exception {
    Path file = folder.resolve("token-" + files++);
    Files.writeString(file, token);
    String url = file.toUri().toString();
    System.setProperty("org.apache.kafka.sasl.oauthbearer.allowed.urls", url);
    System.setProperty("org.apache.kafka.sasl.oauthbearer.allowed.files", file.toString());
    Properties properties = oauth(signedAddress, OAUTH + ";");
    properties.put("sasl.login.callback.handler.class", FROM_FILE);
    properties.put("sasl.oauthbearer.token.endpoint.url", url);
    return properties;
  }

  static Set<String> topics(Properties properties) throws Exception {
    try (Admin admin = Admin.create(properties)) {
      return admin.listTopics().names().get();
    }
  }

  static void refused(String token) throws Exception {
    Properties properties;
    try {
      properties = signed(token);
    } catch (org.apache.kafka.common.KafkaException e) {
      return; // The client itself does not take it.
    }
    denied(properties);
  }

  static void denied(Properties properties) throws Exception {
    try {
      topics(properties);
    } catch (ExecutionException e) {
      same(SaslAuthenticationException.class, e.getCause().getClass());
      return;
    } catch (org.apache.kafka.common.KafkaException e) {
      if (String.valueOf(e.getCause()).contains("Login")) return;
      throw e;
    }
    throw new AssertionError("it was let in");
  }

  static KeyPair pair() throws Exception {
    KeyPairGenerator generator = KeyPairGenerator.getInstance("RSA");
    generator.initialize(2048);
    return generator.generateKeyPair();
  }

  static String token(KeyPair key, String id, String audience, long seconds) throws Exception {
    long now = System.currentTimeMillis() / 1000;
    String head = String.format("{\"alg\":\"RS256\",\"kid\":\"%s\"}", id);
    String body =
        String.format(
            "{\"sub\":\"alice\",\"iss\":\"tests\",\"aud\":\"%s\",\"iat\":%d,\"exp\":%d,"
                + "\"scope\":\"kafka\"}",
            audience, now - 120, now + seconds);
    String text = base64(head.getBytes()) + "." + base64(body.getBytes());
    Signature signature = Signature.getInstance("SHA256withRSA");
    signature.initSign(key.getPrivate());
    signature.update(text.getBytes());
    return text + "." + base64(signature.sign());
  }

  static String keySet() {
    StringBuilder keys = new StringBuilder();
    for (Map.Entry<String, KeyPair> entry : published.entrySet()) {
      RSAPublicKey key = (RSAPublicKey) entry.getValue().getPublic();
      if (keys.length() > 0) keys.append(",");
      keys.append(
          String.format(
              "{\"kty\":\"RSA\",\"use\":\"sig\",\"kid\":\"%s\",\"n\":\"%s\",\"e\":\"%s\"}",
              entry.getKey(), number(key.getModulus()), number(key.getPublicExponent())));
    }
    return "{\"keys\":[" + keys + "]}";
  }

  static String number(BigInteger n) {
    byte[] bytes = n.toByteArray();
    return base64(bytes[0] == 0 ? Arrays.copyOfRange(bytes, 1, bytes.length) : bytes);
  }

  static String base64(byte[] bytes) {
    return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
  }

  /** Repeats what takes a moment. */
  static void until(Report.Case body) throws Throwable {
    long end = System.nanoTime() + 30_000_000_000L;
    while (true) {
      try {
        body.run();
        return;
      } catch (Throwable t) {
        if (System.nanoTime() > end) throw t;
        Thread.sleep(300);
      }
    }
  }

  static void same(Object wanted, Object found) {
    if (!wanted.equals(found)) throw new AssertionError(found + ", wanted " + wanted);
  }
}
