import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.AlterConfigsOptions;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.CreatePartitionsOptions;
import org.apache.kafka.clients.admin.CreateTopicsOptions;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.DescribeTopicsOptions;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.ListOffsetsOptions;
import org.apache.kafka.clients.admin.ListShareGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.IsolationLevel;
import org.apache.kafka.common.TopicCollection;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** Every method of Admin, by name, as user interfaces call them. What comes back is printed by {@link Shown}. */
final class AdminCalls {
    private static final int NODE = 1;

    private final Admin admin;

    AdminCalls(String bootstrap) {
        this.admin = Admin.create(Map.of("bootstrap.servers", bootstrap, "default.api.timeout.ms", 15_000, "request.timeout.ms", 15_000));
    }

    void close() {
        admin.close(Duration.ZERO);
    }

    /** The method's name, then what it is called with. */
    void call(List<String> arguments) {
        String name = arguments.get(0);
        List<String> rest = arguments.subList(1, arguments.size());
        Object result;
        try {
            result = inspect(name, rest);
            if (result == null) {
                result = change(name, rest);
            }
        } catch (Exception error) {
            result = error;
        }
        System.out.print(Shown.of(result));
    }

    private Object inspect(String name, List<String> rest) {
        return switch (name) {
            case "describeCluster" -> admin.describeCluster();
            case "describeClusterWithFenced" -> admin.describeCluster(new DescribeClusterOptions().includeFencedBrokers(true));
            case "describeFeatures" -> admin.describeFeatures();
            case "describeMetadataQuorum" -> admin.describeMetadataQuorum();
            case "listTopics" -> admin.listTopics().names();
            case "listTopicsWithInternal" -> admin.listTopics(new ListTopicsOptions().listInternal(true));
            case "describeTopics" -> admin.describeTopics(rest);
            case "describeTopicsInPages" ->
                admin.describeTopics(rest, new DescribeTopicsOptions().partitionSizeLimitPerResponse(2));
            case "describeTopicsById" -> admin.describeTopics(TopicCollection.ofTopicIds(ids(rest)));
            case "describeConfigs" -> admin.describeConfigs(Set.of(resource(rest)));
            case "describeConfigsWithSynonyms" -> admin.describeConfigs(Set.of(resource(rest)),
                new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true));
            case "describeLogDirs" -> admin.describeLogDirs(rest.stream().map(Integer::valueOf).toList());
            case "describeReplicaLogDirs" -> admin.describeReplicaLogDirs(replicas(rest));
            case "listConsumerGroups" -> admin.listConsumerGroups();
            case "listGroups" -> admin.listGroups();
            case "listGroupsOfState" -> admin.listGroups(new ListGroupsOptions().inGroupStates(
                rest.stream().map(GroupState::parse).collect(Collectors.toSet())));
            case "listGroupsOfType" -> admin.listGroups(new ListGroupsOptions().withTypes(
                rest.stream().map(GroupType::parse).collect(Collectors.toSet())));
            case "listGroupsOfProtocol" -> admin.listGroups(new ListGroupsOptions().withProtocolTypes(Set.copyOf(rest)));
            case "describeConsumerGroups" -> admin.describeConsumerGroups(rest);
            case "describeClassicGroups" -> admin.describeClassicGroups(rest);
            case "describeShareGroups" -> admin.describeShareGroups(rest);
            case "describeStreamsGroups" -> admin.describeStreamsGroups(rest);
            case "listConsumerGroupOffsets" -> admin.listConsumerGroupOffsets(rest.get(0));
            case "listConsumerGroupsOffsets" -> admin.listConsumerGroupOffsets(
                each(rest, group -> new ListConsumerGroupOffsetsSpec())).all();
            case "listShareGroupOffsets" -> admin.listShareGroupOffsets(each(rest, group -> new ListShareGroupOffsetsSpec()));
            case "listOffsets" -> admin.listOffsets(partitions(rest, spec(rest)));
            case "listOffsetsCommitted" -> admin.listOffsets(partitions(rest, spec(rest)),
                new ListOffsetsOptions(IsolationLevel.READ_COMMITTED));
            case "describeProducers" -> admin.describeProducers(partitions(rest, 0).keySet());
            case "describeTransactions" -> admin.describeTransactions(rest);
            case "listTransactions" -> admin.listTransactions();
            case "listPartitionReassignments" -> admin.listPartitionReassignments();
            case "listPartitionReassignmentsOf" -> admin.listPartitionReassignments(partitions(rest, 0).keySet());
            case "describeClientQuotas" -> admin.describeClientQuotas(ClientQuotaFilter.all());
            case "describeUserScramCredentials" -> admin.describeUserScramCredentials(rest);
            case "describeAcls" -> admin.describeAcls(AclBindingFilter.ANY);
            case "describeDelegationToken" -> admin.describeDelegationToken();
            case "listConfigResources" -> admin.listConfigResources();
            case "listConfigResourcesOfType" -> admin.listConfigResources(
                rest.stream().map(ConfigResource.Type::valueOf).collect(Collectors.toSet()), new
                org.apache.kafka.clients.admin.ListConfigResourcesOptions());
            case "clientInstanceId" -> admin.clientInstanceId(Duration.ofSeconds(5));
            default -> null;
        };
    }

    private Object change(String name, List<String> rest) {
        return switch (name) {
            case "createTopics" -> admin.createTopics(rest.stream().map(AdminCalls::topic).toList());
            case "validateTopics" -> admin.createTopics(rest.stream().map(AdminCalls::topic).toList(),
                new CreateTopicsOptions().validateOnly(true));
            case "deleteTopics" -> admin.deleteTopics(rest);
            case "deleteTopicsById" -> admin.deleteTopics(TopicCollection.ofTopicIds(ids(rest)));
            case "createPartitions" -> admin.createPartitions(each(rest.subList(1, rest.size()),
                topic -> NewPartitions.increaseTo(Integer.parseInt(rest.get(0)))));
            case "validatePartitions" -> admin.createPartitions(each(rest.subList(1, rest.size()),
                topic -> NewPartitions.increaseTo(Integer.parseInt(rest.get(0)))),
                new CreatePartitionsOptions().validateOnly(true));
            case "assignPartitions" -> admin.createPartitions(Map.of(rest.get(0), NewPartitions.increaseTo(
                Integer.parseInt(rest.get(1)), List.of(rest.subList(2, rest.size()).stream().map(Integer::valueOf).toList()))));
            case "deleteRecords" -> admin.deleteRecords(partitions(rest.subList(1, rest.size()),
                RecordsToDelete.beforeOffset(Long.parseLong(rest.get(0)))));
            case "incrementalAlterConfigs" -> admin.incrementalAlterConfigs(operations(rest));
            case "validateConfigs" -> admin.incrementalAlterConfigs(operations(rest),
                new AlterConfigsOptions().validateOnly(true));
            case "alterReplicaLogDirs" -> admin.alterReplicaLogDirs(replicas(rest.subList(1, rest.size())).stream()
                .collect(Collectors.toMap(Function.identity(), replica -> rest.get(0))));
            case "alterConsumerGroupOffsets" -> admin.alterConsumerGroupOffsets(rest.get(0),
                partitions(rest.subList(2, rest.size()), new OffsetAndMetadata(Long.parseLong(rest.get(1)), Optional.of(0), "why")));
            case "deleteConsumerGroupOffsets" -> admin.deleteConsumerGroupOffsets(rest.get(0),
                partitions(rest.subList(1, rest.size()), 0).keySet());
            case "deleteConsumerGroups" -> admin.deleteConsumerGroups(rest);
            case "alterShareGroupOffsets" -> admin.alterShareGroupOffsets(rest.get(0),
                partitions(rest.subList(2, rest.size()), Long.valueOf(rest.get(1))));
            case "deleteShareGroupOffsets" ->
                admin.deleteShareGroupOffsets(rest.get(0), Set.copyOf(rest.subList(1, rest.size())));
            case "deleteShareGroups" -> admin.deleteShareGroups(rest);
            case "deleteStreamsGroups" -> admin.deleteStreamsGroups(rest);
            case "removeMembersFromConsumerGroup" -> admin.removeMembersFromConsumerGroup(rest.get(0), removal(rest));
            case "electLeaders" -> admin.electLeaders(ElectionType.valueOf(rest.get(0)),
                rest.size() == 1 ? null : partitions(rest.subList(1, rest.size()), 0).keySet());
            case "alterPartitionReassignments" -> admin.alterPartitionReassignments(partitions(rest.subList(1, rest.size()),
                rest.get(0).equals("cancel") ? Optional.<NewPartitionReassignment>empty()
                    : Optional.of(new NewPartitionReassignment(List.of(Integer.valueOf(rest.get(0)))))));
            case "updateFeatures" -> admin.updateFeatures(Map.of(rest.get(0), new FeatureUpdate(Short.parseShort(rest.get(1)),
                FeatureUpdate.UpgradeType.valueOf(rest.get(2)))), new UpdateFeaturesOptions().validateOnly(rest.size() == 4));
            case "fenceProducers" -> admin.fenceProducers(rest);
            case "forceTerminateTransaction" -> admin.forceTerminateTransaction(rest.get(0));
            case "unregisterBroker" -> admin.unregisterBroker(Integer.parseInt(rest.get(0)));
            case "alterClientQuotas" -> admin.alterClientQuotas(List.of(new ClientQuotaAlteration(
                new ClientQuotaEntity(Map.of(rest.get(0), rest.get(1))),
                List.of(new ClientQuotaAlteration.Op(rest.get(2), Double.valueOf(rest.get(3)))))));
            case "alterUserScramCredentials" -> admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(
                rest.get(0), new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), "password")));
            case "createAcls" -> admin.createAcls(List.of(acl(rest.get(0))));
            case "deleteAcls" -> admin.deleteAcls(List.of(acl(rest.get(0)).toFilter()));
            case "createDelegationToken" -> admin.createDelegationToken();
            case "addRaftVoter" -> admin.addRaftVoter(7, Uuid.ONE_UUID, Set.of());
            case "removeRaftVoter" -> admin.removeRaftVoter(7, Uuid.ONE_UUID);
            default -> throw new IllegalArgumentException(name);
        };
    }

    /** NAME:PARTITIONS:REPLICAS, and settings behind further colons. */
    private static NewTopic topic(String written) {
        String[] parts = written.split(":");
        NewTopic topic = new NewTopic(parts[0], Integer.parseInt(parts[1]), Short.parseShort(parts[2]));
        Map<String, String> settings = new LinkedHashMap<>();
        for (int index = 3; index < parts.length; index++) {
            settings.put(parts[index].split("=")[0], parts[index].split("=")[1]);
        }
        return topic.configs(settings);
    }

    /** "unknown" stands for an id that no topic has; other words are topics. */
    private Collection<Uuid> ids(List<String> topics) {
        List<Uuid> ids = new ArrayList<>();
        for (String topic : topics) {
            try {
                ids.add(topic.equals("unknown") ? new Uuid(7, 7)
                    : admin.describeTopics(List.of(topic)).topicNameValues().get(topic).get().topicId());
            } catch (Exception error) {
                throw new IllegalStateException(error);
            }
        }
        return ids;
    }

    private static ConfigResource resource(List<String> written) {
        return new ConfigResource(ConfigResource.Type.valueOf(written.get(0)), written.size() == 1 ? "" : written.get(1));
    }

    /** TYPE NAME, then "OPERATION:KEY=VALUE" each. */
    private static Map<ConfigResource, Collection<AlterConfigOp>> operations(List<String> written) {
        List<AlterConfigOp> operations = new ArrayList<>();
        for (String operation : written.subList(2, written.size())) {
            String[] parts = operation.split("[:=]", 3);
            String value = parts.length < 3 ? null : parts[2];
            operations.add(new AlterConfigOp(new ConfigEntry(parts[1], value), AlterConfigOp.OpType.valueOf(parts[0])));
        }
        String name = written.get(1).equals("default") ? "" : written.get(1);
        return Map.of(new ConfigResource(ConfigResource.Type.valueOf(written.get(0)), name), operations);
    }

    private static OffsetSpec spec(List<String> written) {
        String last = written.get(written.size() - 1);
        return switch (last) {
            case "latest" -> OffsetSpec.latest();
            case "earliest" -> OffsetSpec.earliest();
            case "max-timestamp" -> OffsetSpec.maxTimestamp();
            case "earliest-local" -> OffsetSpec.earliestLocal();
            case "latest-tiered" -> OffsetSpec.latestTiered();
            case "earliest-pending-upload" -> OffsetSpec.earliestPendingUpload();
            default -> OffsetSpec.forTimestamp(Long.parseLong(last));
        };
    }

    /** All words of the form TOPIC:PARTITION, each with the value. */
    private static <T> Map<TopicPartition, T> partitions(List<String> written, T value) {
        return written.stream().filter(word -> word.contains(":")).map(word -> word.split(":"))
            .collect(Collectors.toMap(parts -> new TopicPartition(parts[0], Integer.parseInt(parts[1])), parts -> value));
    }

    private static List<TopicPartitionReplica> replicas(List<String> written) {
        return partitions(written, 0).keySet().stream()
            .map(partition -> new TopicPartitionReplica(partition.topic(), partition.partition(), NODE)).toList();
    }

    private static <T> Map<String, T> each(List<String> names, Function<String, T> value) {
        return names.stream().collect(Collectors.toMap(Function.identity(), value));
    }

    private static RemoveMembersFromConsumerGroupOptions removal(List<String> written) {
        if (written.size() == 1) {
            return new RemoveMembersFromConsumerGroupOptions();
        }
        return new RemoveMembersFromConsumerGroupOptions(written.subList(1, written.size()).stream()
            .map(MemberToRemove::new).toList());
    }

    private static AclBinding acl(String topic) {
        return new AclBinding(new ResourcePattern(ResourceType.TOPIC, topic, PatternType.LITERAL),
            new AccessControlEntry("User:one", "*", AclOperation.READ, AclPermissionType.ALLOW));
    }
}
