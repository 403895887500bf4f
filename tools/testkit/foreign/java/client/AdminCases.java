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

/** Topics, configurations, offsets and groups through the admin client. */
class AdminCases extends Client {
  static void run() throws Exception {
    c(
        "admin.describeCluster",
        () -> {
          DescribeClusterResult r =
              adm.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
          ok(get(r.clusterId()).length() > 5, "cid");
          ok(get(r.nodes()).size() >= 1, "nodes");
          ok(get(r.controller()) != null, "ctl");
          ok(get(r.authorizedOperations()) != null, "authops");
        });
    c(
        "admin.createTopics.validateOnly+result",
        () -> {
          String n = P + "-vo";
          CreateTopicsResult r =
              adm.createTopics(
                  List.of(new NewTopic(n, 3, RF)), new CreateTopicsOptions().validateOnly(true));
          get(r.all());
          eq(3, get(r.numPartitions(n)));
          eq((int) RF, get(r.replicationFactor(n)));
          ok(get(r.config(n)).get("retention.ms") != null, "config");
          Thread.sleep(300);
          ok(!get(adm.listTopics().names()).contains(n), "created");
        });
    c(
        "admin.createTopics.defaults",
        () -> {
          String n = P + "-df";
          CreateTopicsResult r =
              adm.createTopics(List.of(new NewTopic(n, Optional.empty(), Optional.empty())));
          get(r.all());
          ok(get(r.numPartitions(n)) >= 1, "parts");
          fails(
              TopicExistsException.class,
              () -> get(adm.createTopics(List.of(new NewTopic(n, 1, RF))).all()));
          fails(
              InvalidPartitionsException.class,
              () -> get(adm.createTopics(List.of(new NewTopic(n + "x", 0, RF))).all()));
        });
    c(
        "admin.describeTopics.byId+paging",
        () -> {
          String n = topic(3);
          Uuid id = get(adm.describeTopics(List.of(n)).allTopicNames()).get(n).topicId();
          ok(!id.equals(Uuid.ZERO_UUID), "id");
          eq(
              n,
              get(adm.describeTopics(TopicCollection.ofTopicIds(List.of(id))).allTopicIds())
                  .get(id)
                  .name());
          eq(
              3,
              get(adm.describeTopics(
                          List.of(n), new DescribeTopicsOptions().partitionSizeLimitPerResponse(2))
                      .allTopicNames())
                  .get(n)
                  .partitions()
                  .size());
          fails(
              UnknownTopicOrPartitionException.class,
              () -> get(adm.describeTopics(List.of("no-such-topic-" + P)).allTopicNames()));
        });
    c(
        "admin.listTopics.internal",
        () -> {
          ok(
              get(adm.listTopics(new ListTopicsOptions().listInternal(true)).listings()).stream()
                  .anyMatch(l -> l.isInternal()),
              "internal flag");
        });
    c(
        "admin.deleteTopics.byId",
        () -> {
          String n = topic(1);
          Uuid id = get(adm.describeTopics(List.of(n)).allTopicNames()).get(n).topicId();
          get(adm.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all());
          fails(
              UnknownTopicIdException.class,
              () -> get(adm.deleteTopics(TopicCollection.ofTopicIds(List.of(id))).all()));
          fails(
              UnknownTopicOrPartitionException.class,
              () -> get(adm.deleteTopics(List.of("nope-" + P)).all()));
        });
    c(
        "admin.recreate-topic-new-id",
        () -> {
          String n = topic(1);
          fill(n, 3);
          Uuid id = get(adm.describeTopics(List.of(n)).allTopicNames()).get(n).topicId();
          get(adm.deleteTopics(List.of(n)).all());
          for (int i = 0; ; i++) {
            try {
              get(adm.createTopics(List.of(new NewTopic(n, 1, RF))).all());
              break;
            } catch (ExecutionException e) {
              if (i > 40) throw e;
              Thread.sleep(250);
            }
          }
          Thread.sleep(500);
          Uuid id2 = get(adm.describeTopics(List.of(n)).allTopicNames()).get(n).topicId();
          ok(!id.equals(id2), "same id");
          eq(0, all(n, "read_uncommitted", 1, 1500).size());
        });
    c(
        "admin.createPartitions",
        () -> {
          String n = topic(1);
          get(adm.createPartitions(Map.of(n, NewPartitions.increaseTo(3))).all());
          fails(
              InvalidPartitionsException.class,
              () -> get(adm.createPartitions(Map.of(n, NewPartitions.increaseTo(2))).all()));
        });
    c(
        "admin.configs.topic.incremental",
        () -> {
          String n = topic(1);
          ConfigResource r = new ConfigResource(ConfigResource.Type.TOPIC, n);
          get(
              adm.incrementalAlterConfigs(
                      Map.of(
                          r,
                          List.of(
                              new AlterConfigOp(
                                  new ConfigEntry("retention.ms", "5000"),
                                  AlterConfigOp.OpType.SET),
                              new AlterConfigOp(
                                  new ConfigEntry("cleanup.policy", "compact"),
                                  AlterConfigOp.OpType.APPEND))))
                  .all());
          Thread.sleep(300);
          org.apache.kafka.clients.admin.Config c =
              get(adm.describeConfigs(
                          List.of(r),
                          new DescribeConfigsOptions()
                              .includeSynonyms(true)
                              .includeDocumentation(true))
                      .all())
                  .get(r);
          eq("5000", c.get("retention.ms").value());
          eq("DYNAMIC_TOPIC_CONFIG", c.get("retention.ms").source().name());
          eq("delete,compact", c.get("cleanup.policy").value());
          ok(c.get("retention.ms").documentation() != null, "doc");
          ok(
              c.get("max.message.bytes").synonyms().size() >= 1
                  && c.get("max.message.bytes")
                      .synonyms()
                      .get(0)
                      .name()
                      .equals("message.max.bytes"),
              "syn " + c.get("max.message.bytes").synonyms());
          eq("LONG", c.get("retention.ms").type().name());
          get(
              adm.incrementalAlterConfigs(
                      Map.of(
                          r,
                          List.of(
                              new AlterConfigOp(
                                  new ConfigEntry("retention.ms", ""), AlterConfigOp.OpType.DELETE),
                              new AlterConfigOp(
                                  new ConfigEntry("cleanup.policy", "delete"),
                                  AlterConfigOp.OpType.SUBTRACT))))
                  .all());
          fails(
              InvalidConfigurationException.class,
              () ->
                  get(
                      adm.incrementalAlterConfigs(
                              Map.of(
                                  r,
                                  List.of(
                                      new AlterConfigOp(
                                          new ConfigEntry("segment.bytes", "-3"),
                                          AlterConfigOp.OpType.SET))))
                          .all()));
        });
    c(
        "admin.configs.broker.describe",
        () -> {
          ConfigResource r = new ConfigResource(ConfigResource.Type.BROKER, "" + N0);
          org.apache.kafka.clients.admin.Config c =
              get(adm.describeConfigs(List.of(r)).all()).get(r);
          ok(c.get("log.retention.hours") != null && c.get("num.network.threads") != null, "keys");
          ok(c.entries().size() > 100, "only " + c.entries().size());
          ok(
              c.entries().stream()
                  .filter(ConfigEntry::isSensitive)
                  .allMatch(e -> e.value() == null),
              "sensitive leaks");
        });
    c(
        "admin.listOffsets.specs",
        () -> {
          String n = topic(1);
          fill(n, 10);
          for (Map.Entry<OffsetSpec, Long> e :
              Map.of(
                      OffsetSpec.earliest(),
                      0L,
                      OffsetSpec.latest(),
                      10L,
                      OffsetSpec.maxTimestamp(),
                      9L,
                      OffsetSpec.earliestLocal(),
                      0L,
                      OffsetSpec.forTimestamp(0),
                      0L,
                      OffsetSpec.latestTiered(),
                      -1L)
                  .entrySet()) {
            long o =
                get(adm.listOffsets(Map.of(tp(n, 0), e.getKey())).partitionResult(tp(n, 0)))
                    .offset();
            if (e.getKey() instanceof OffsetSpec.MaxTimestampSpec) ok(o >= 0 && o <= 9, "max " + o);
            else if (o != e.getValue())
              throw new AssertionError(
                  e.getKey().getClass().getSimpleName() + " want " + e.getValue() + " got " + o);
          }
        });
    c(
        "admin.deleteRecords",
        () -> {
          String n = topic(1);
          fill(n, 10);
          eq(
              4L,
              get(adm.deleteRecords(Map.of(tp(n, 0), RecordsToDelete.beforeOffset(4)))
                      .lowWatermarks()
                      .get(tp(n, 0)))
                  .lowWatermark());
          eq(
              10L,
              get(adm.deleteRecords(Map.of(tp(n, 0), RecordsToDelete.beforeOffset(-1)))
                      .lowWatermarks()
                      .get(tp(n, 0)))
                  .lowWatermark());
          fails(
              org.apache.kafka.common.errors.OffsetOutOfRangeException.class,
              () ->
                  get(adm.deleteRecords(Map.of(tp(n, 0), RecordsToDelete.beforeOffset(99))).all()));
        });
    c(
        "admin.logdirs",
        () -> {
          String n = topic(1);
          fill(n, 10);
          Map<String, LogDirDescription> m =
              get(adm.describeLogDirs(List.of(N0)).allDescriptions()).get(N0);
          ok(
              m.values().stream()
                  .allMatch(d -> d.totalBytes().isPresent() && d.usableBytes().isPresent()),
              "bytes");
          if (RF == 1)
            ok(
                m.values().stream()
                    .anyMatch(d -> d.replicaInfos().containsKey(tp(n, 0)) || get0(n)),
                "replica");
        });
    c(
        "admin.groups.lifecycle",
        () -> {
          String n = topic(1), g = P + "-gl";
          fill(n, 10);
          try (KafkaConsumer<String, String> c = cons("group.id", g)) {
            c.subscribe(List.of(n));
            drain(c, 10, 30000);
            c.commitSync();
            ConsumerGroupDescription d =
                get(adm.describeConsumerGroups(
                            List.of(g),
                            new DescribeConsumerGroupsOptions().includeAuthorizedOperations(true))
                        .all())
                    .get(g);
            eq("Stable", d.groupState().toString());
            eq(1, d.members().size());
            eq(Set.of(tp(n, 0)), d.members().iterator().next().assignment().topicPartitions());
            eq("range", d.partitionAssignor());
            ok(d.authorizedOperations() != null, "ops");
            fails(
                GroupNotEmptyException.class,
                () -> get(adm.deleteConsumerGroups(List.of(g)).all()));
            fails(
                GroupSubscribedToTopicException.class,
                () -> get(adm.deleteConsumerGroupOffsets(g, Set.of(tp(n, 0))).all()));
            fails(
                UnknownMemberIdException.class,
                () ->
                    get(
                        adm.alterConsumerGroupOffsets(g, Map.of(tp(n, 0), new OffsetAndMetadata(1)))
                            .all()));
            ok(get(adm.listGroups().all()).stream().anyMatch(x -> x.groupId().equals(g)), "list");
          }
          get(adm.alterConsumerGroupOffsets(g, Map.of(tp(n, 0), new OffsetAndMetadata(1))).all());
          eq(
              1L,
              get(adm.listConsumerGroupOffsets(g).partitionsToOffsetAndMetadata())
                  .get(tp(n, 0))
                  .offset());
          get(adm.deleteConsumerGroupOffsets(g, Set.of(tp(n, 0))).all());
          get(adm.deleteConsumerGroups(List.of(g)).all().thenApply(v -> v));
          fails(
              GroupIdNotFoundException.class,
              () -> get(adm.deleteConsumerGroups(List.of(g)).all()));
          fails(
              GroupIdNotFoundException.class,
              () -> get(adm.describeConsumerGroups(List.of(g)).all()));
        });
    c(
        "admin.describeClassicGroups",
        () -> {
          String n = topic(1), g = P + "-dcg";
          fill(n, 1);
          try (KafkaConsumer<String, String> c = cons("group.id", g)) {
            c.subscribe(List.of(n));
            drain(c, 1, 30000);
            eq("consumer", get(adm.describeClassicGroups(List.of(g)).all()).get(g).protocol());
          }
        });
    c(
        "admin.listConsumerGroups.filters",
        () -> {
          get(adm.listGroups(ListGroupsOptions.forConsumerGroups()).all());
          get(adm.listGroups(ListGroupsOptions.forShareGroups()).all());
          get(adm.listGroups(ListGroupsOptions.forStreamsGroups()).all());
          get(
              adm.listGroups(
                      new ListGroupsOptions()
                          .inGroupStates(Set.of(GroupState.STABLE))
                          .withTypes(Set.of(GroupType.CONSUMER)))
                  .all());
        });
    c(
        "admin.multi-group-offset-fetch",
        () -> {
          String n = topic(1);
          String g1 = P + "-mg1", g2 = P + "-mg2";
          for (String g : List.of(g1, g2))
            get(adm.alterConsumerGroupOffsets(g, Map.of(tp(n, 0), new OffsetAndMetadata(7))).all());
          Map<String, Map<TopicPartition, OffsetAndMetadata>> m =
              get(
                  adm.listConsumerGroupOffsets(
                          Map.of(
                              g1,
                              new ListConsumerGroupOffsetsSpec(),
                              g2,
                              new ListConsumerGroupOffsetsSpec()))
                      .all());
          eq(7L, m.get(g1).get(tp(n, 0)).offset());
          eq(7L, m.get(g2).get(tp(n, 0)).offset());
        });
  }
}
