import java.nio.file.Path;
import java.time.Duration;
import java.util.*;
import java.util.function.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;

/** Groups of the consumer protocol (KIP-848), alone and with classic members. */
class ConsumerProtocolCases extends Client {
  static final String COOPERATIVE =
      "org.apache.kafka.clients.consumer.CooperativeStickyAssignor";

  static KafkaConsumer<String, String> member(String group, String topic, String... more) {
    List<String> all = new ArrayList<>(List.of("group.id", group, "group.protocol", "consumer"));
    all.addAll(List.of(more));
    KafkaConsumer<String, String> consumer = cons(all.toArray(String[]::new));
    if (topic != null) consumer.subscribe(List.of(topic));
    return consumer;
  }

  static KafkaConsumer<String, String> classic(String group, String topic) {
    KafkaConsumer<String, String> consumer =
        cons("group.id", group, "partition.assignment.strategy", COOPERATIVE);
    consumer.subscribe(List.of(topic));
    return consumer;
  }

  /** Everyone polls until it is so. */
  static void until(String what, List<KafkaConsumer<String, String>> all, BooleanSupplier done) {
    long end = System.currentTimeMillis() + 60_000;
    while (!done.getAsBoolean()) {
      if (System.currentTimeMillis() > end) {
        throw new AssertionError(what + ": " + all.stream().map(c -> c.assignment()).toList());
      }
      for (KafkaConsumer<String, String> one : all) one.poll(Duration.ofMillis(50));
    }
  }

  /** Everyone has some, and together they have all, each partition once. */
  static boolean shared(List<KafkaConsumer<String, String>> all, int partitions) {
    Set<TopicPartition> owned = new HashSet<>();
    int sum = 0;
    for (KafkaConsumer<String, String> one : all) {
      if (one.assignment().isEmpty()) return false;
      owned.addAll(one.assignment());
      sum += one.assignment().size();
    }
    return sum == partitions && owned.size() == partitions;
  }

  static ConsumerGroupDescription described(String group) throws Exception {
    return get(adm.describeConsumerGroups(List.of(group)).all()).get(group);
  }

  static void run() throws Exception {
    for (String assignor : List.of("uniform", "range"))
      c(
          "group.kip848." + assignor,
          () -> {
            String t = topic(4), u = topic(4);
            fill(t, 100);
            fill(u, 100);
            Map<String, String> configs =
                Map.of("group.protocol", "consumer", "group.remote.assignor", assignor);
            group("k8-" + assignor, 3, configs, List.of(t, u), 200);
          });
    c(
        "group.kip848.refused",
        () -> {
          String t = topic(1), g = P + "-refused";
          try (var x = member(g, t, "group.remote.assignor", "nope")) {
            fails(UnsupportedAssignorException.class, () -> drain(x, 1, 20000));
          }
          try (var x = member(g, null)) {
            x.subscribe(new SubscriptionPattern("("));
            fails(InvalidRegularExpression.class, () -> drain(x, 1, 20000));
          }
        });
    c(
        "group.kip848.pattern-follows-topics",
        () -> {
          String t = topic(2);
          fill(t, 20);
          try (var x = member(P + "-pattern", null)) {
            x.subscribe(new SubscriptionPattern("^" + t + ".*"));
            eq(20, drain(x, 20, 30000).size());
            get(adm.createTopics(List.of(new NewTopic(t + "-b", 1, RF))).all());
            fill(t + "-b", 5);
            eq(5, drain(x, 5, 40000).size());
          }
        });
    c("group.kip848.dead-member-is-replaced", ConsumerProtocolCases::deadMember);
    c("group.kip848.partitions-are-added", ConsumerProtocolCases::growing);
    c("group.kip848.upgrade-and-back", ConsumerProtocolCases::rolling);
    c("group.kip848.static-member-goes-back-to-classic", ConsumerProtocolCases::heir);
    c("group.kip848.admin", ConsumerProtocolCases::admin);
  }

  /** A member vanishes without a word; its session is as short as the group says. */
  static void deadMember() throws Exception {
    String t = topic(4), g = P + "-dead";
    ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, g);
    ConfigEntry session = new ConfigEntry("consumer.session.timeout.ms", "46000");
    AlterConfigOp set = new AlterConfigOp(session, AlterConfigOp.OpType.SET);
    get(adm.incrementalAlterConfigs(Map.of(group, List.of(set))).all());
    Config now = get(adm.describeConfigs(List.of(group)).all()).get(group);
    eq("46000", now.get("consumer.session.timeout.ms").value());
    ConfigEntry low = new ConfigEntry("consumer.session.timeout.ms", "1000");
    fails(
        InvalidConfigurationException.class,
        () ->
            get(
                adm.incrementalAlterConfigs(
                        Map.of(
                            group, List.of(new AlterConfigOp(low, AlterConfigOp.OpType.SET))))
                    .all()));
    try (var x = member(g, t)) {
      until("one has all", List.of(x), () -> shared(List.of(x), 4));
      Process y =
          new ProcessBuilder(
                  Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                  "-cp",
                  System.getProperty("java.class.path"),
                  Victim.class.getName(),
                  B,
                  g,
                  t)
              .redirectErrorStream(true)
              .redirectOutput(ProcessBuilder.Redirect.DISCARD)
              .start();
      try {
        until("the other has half", List.of(x), () -> shared(List.of(x), 2));
      } finally {
        y.destroyForcibly();
      }
      eq(2, descMembers(g));
      until("the rest has all", List.of(x), () -> shared(List.of(x), 4));
      eq(1, descMembers(g));
    }
  }

  /** A member in a process of its own, to be killed. Arguments: BOOTSTRAP GROUP TOPIC. */
  static class Victim {
    public static void main(String[] args) {
      B = args[0];
      try (var consumer = member(args[1], args[2])) {
        while (true) consumer.poll(Duration.ofMillis(100));
      }
    }
  }

  static void growing() throws Exception {
    String t = topic(1), g = P + "-growing";
    try (var x = member(g, t, "metadata.max.age.ms", "1000");
        var y = member(g, t, "metadata.max.age.ms", "1000")) {
      until("one has it", List.of(x, y), () -> x.assignment().size() + y.assignment().size() == 1);
      get(adm.createPartitions(Map.of(t, NewPartitions.increaseTo(5))).all());
      until("all five are shared", List.of(x, y), () -> shared(List.of(x, y), 5));
    }
  }

  /** A rolling upgrade from the classic protocol, and back again; every record is read. */
  static void rolling() throws Exception {
    String t = topic(4), g = P + "-rolling";
    fill(t, 50);
    List<KafkaConsumer<String, String>> all = new ArrayList<>();
    all.add(classic(g, t));
    all.add(classic(g, t));
    until("two classic members", all, () -> shared(all, 4));
    eq("Classic", described(g).type().toString());
    for (String to : List.of("consumer", "classic")) {
      for (int i = 0; i < 2; i++) {
        all.remove(0).close();
        all.add(to.equals("consumer") ? member(g, t) : classic(g, t));
        until("a " + to + " member more", all, () -> shared(all, 4));
        if (to.equals("consumer") || i == 0) eq("Consumer", described(g).type().toString());
      }
    }
    until("two classic members again", all, () -> shared(all, 4));
    eq("Classic", described(g).type().toString());
    for (KafkaConsumer<String, String> one : all) one.commitSync();
    long read = 0;
    for (OffsetAndMetadata o :
        get(adm.listConsumerGroupOffsets(g).partitionsToOffsetAndMetadata()).values())
      read += o.offset();
    eq(50L, read);
    for (KafkaConsumer<String, String> one : all) one.close();
  }

  /** The last member of the consumer protocol, a static one, comes back as a classic one. */
  static void heir() throws Exception {
    String t = topic(4), g = P + "-heir";
    fill(t, 20);
    try (var x = member(g, t, "group.instance.id", "i")) {
      eq(20, drain(x, 20, 30000).size());
      x.commitSync();
      eq("Consumer", described(g).type().toString());
    }
    try (var y = cons("group.id", g, "group.instance.id", "i")) {
      y.subscribe(List.of(t));
      until("it has all", List.of(y), () -> shared(List.of(y), 4));
      eq("Classic", described(g).type().toString());
      eq("Stable", described(g).groupState().toString());
      fill(t, 5);
      eq(5, drain(y, 5, 30000).size());
    }
  }

  static void admin() throws Exception {
    String t = topic(2), g = P + "-admin";
    fill(t, 10);
    try (var x = member(g, t, "client.id", "me")) {
      eq(10, drain(x, 10, 30000).size());
      x.commitSync();
      ConsumerGroupDescription d = described(g);
      eq("Consumer", d.type().toString());
      eq("Stable", d.groupState().toString());
      eq("uniform", d.partitionAssignor());
      MemberDescription m = d.members().iterator().next();
      eq("me", m.clientId());
      eq(2, m.assignment().topicPartitions().size());
      eq(m.assignment(), m.targetAssignment().get());
      eq(Optional.of(true), m.upgraded());
      eq(d.groupEpoch(), m.memberEpoch());
      ListGroupsOptions consumers = new ListGroupsOptions().withTypes(Set.of(GroupType.CONSUMER));
      ok(
          get(adm.listGroups(consumers).all()).stream().anyMatch(l -> l.groupId().equals(g)),
          "listed");
      fails(GroupNotEmptyException.class, () -> get(adm.deleteConsumerGroups(List.of(g)).all()));
      Map<TopicPartition, OffsetAndMetadata> other = Map.of(tp(t, 0), new OffsetAndMetadata(1));
      fails(UnknownMemberIdException.class, () -> get(adm.alterConsumerGroupOffsets(g, other).all()));
    }
    eq("Empty", described(g).groupState().toString());
    get(adm.alterConsumerGroupOffsets(g, Map.of(tp(t, 0), new OffsetAndMetadata(1))).all());
    get(adm.deleteConsumerGroups(List.of(g)).all());
  }
}
