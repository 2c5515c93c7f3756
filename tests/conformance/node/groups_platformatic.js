// Groups with @platformatic/kafka, default settings apart from the address and what a check is about.

import { Admin, Consumer, ListOffsetTimestamps, MessagesStreamFallbackModes, MessagesStreamModes, Producer } from '@platformatic/kafka'
import { readFileSync } from 'node:fs'
import { bootstrap, eventually, isTrue } from './checks.js'
import { main } from './groups.js'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.resolve('@platformatic/kafka'))))
const settings = { clientId: 'conformance', bootstrapBrokers: [bootstrap()], retries: 100, retryDelay: 200 }
const control = new Admin(settings)

const parts = assignments => (assignments ?? []).flatMap(({ topic, partitions }) => partitions.map(n => `${topic}:${n}`))

async function join (member, { group, topics, protocol, manual, instance, session }) {
  const consumer = new Consumer({
    ...settings,
    groupId: group,
    groupProtocol: protocol,
    ...(instance ? { groupInstanceId: instance } : {}),
    ...(protocol === 'classic' ? { heartbeatInterval: 500 } : {}),
    ...(session && protocol === 'classic' ? { sessionTimeout: session } : {}),
    // Five seconds by default, for which it also waits before it joins again.
    maxWaitTime: 500,
    metadataMaxAge: 1000
  })
  consumer.on('consumer:group:join', ({ assignments }) => member.given(parts(assignments ?? consumer.assignments)))
  const stream = await consumer.consume({
    topics,
    // By default it commits what it has fetched, read or not; a stream that is closed loses the rest.
    autocommit: false,
    mode: MessagesStreamModes.COMMITTED,
    fallbackMode: MessagesStreamFallbackModes.EARLIEST
  })
  // In groups by KIP-848 it tells only of joining.
  const watch = setInterval(() => {
    const now = parts(consumer.assignments).sort()
    if (`${now}` !== `${member.assigned}`) member.given(now)
  }, 50)
  let committed = Promise.resolve()
  stream.on('data', message => {
    member.received(message.topic, message.partition, message.offset, message.value)
    // What cannot be committed any more, because the partition has moved, comes again.
    if (!manual) committed = Promise.all([committed, message.commit().catch(() => {})])
  })
  stream.on('error', error => { member.failure = error })
  return {
    async leave () {
      clearInterval(watch)
      await committed
      await stream.close()
      await consumer.close(true)
    },
    commit: (topic, partition, offset) =>
      consumer.commit({ offsets: [{ topic, partition, offset: BigInt(offset), leaderEpoch: -1 }] })
  }
}

async function producer () {
  const producer = new Producer(settings)
  return {
    write: (topic, pairs) =>
      producer.send({ messages: pairs.map(({ partition, value }) => ({ topic, partition, value: Buffer.from(value) })) }),
    close: () => producer.close()
  }
}

async function create (topic, partitions, mayExist = false) {
  try {
    await control.createTopics({ topics: [topic], partitions, replicas: 1 })
  } catch (error) {
    isTrue(mayExist && isError('TOPIC_ALREADY_EXISTS')(error), `creating ${topic}: ${error}`)
  }
  await eventually(() => control.metadata({ topics: [topic], forceUpdate: true }))
}

function isError (name) {
  const matches = error => error.apiId === name || (error.errors ?? []).some(matches) || (error.cause && matches(error.cause))
  return matches
}

const admin = {
  async groups () {
    return [...(await control.listGroups({ types: ['classic', 'consumer'] })).keys()]
  },
  async describe (group) {
    const { state, protocol, members } = (await control.describeGroups({ groups: [group] })).get(group)
    const assigned = [...members.values()].map(member =>
      [...member.assignments.values()].flatMap(({ topic, partitions }) => partitions.sort().map(n => `${topic}:${n}`)))
    return { state: state.toLowerCase(), assignor: protocol, assigned }
  },
  async committed (groupId, name, partitionIndexes) {
    const groups = await control.listConsumerGroupOffsets({ groups: [{ groupId, topics: [{ name, partitionIndexes }] }] })
    const partitions = groups.flatMap(group => group.topics.flatMap(topic => topic.partitions))
    return Object.fromEntries(partitions.filter(p => p.committedOffset >= 0n).map(p =>
      [p.partitionIndex, { offset: Number(p.committedOffset), metadata: p.metadata ?? '' }]))
  },
  async ends (name, indexes) {
    const partitions = indexes.map(partitionIndex => ({ partitionIndex, timestamp: ListOffsetTimestamps.LATEST }))
    const [topic] = await control.listOffsets({ topics: [{ name, partitions }] })
    return topic.partitions.sort((a, b) => a.partitionIndex - b.partitionIndex).map(p => Number(p.offset))
  },
  async alter (groupId, name, changes) {
    const partitionOffsets = Object.entries(changes).map(([partition, offset]) => ({ partition: Number(partition), offset: BigInt(offset) }))
    await control.alterConsumerGroupOffsets({ groupId, topics: [{ name, partitionOffsets }] })
  },
  async deleteOffsets (groupId, name, partitionIndexes) {
    await control.deleteConsumerGroupOffsets({ groupId, topics: [{ name, partitionIndexes }] })
  },
  async deleteGroup (group) {
    await control.deleteGroups({ groups: [group] })
  }
}

const client = {
  name: '@platformatic/kafka',
  // It commits no metadata, seeks nowhere, pauses all partitions together and describes classic groups only. A static
  // member that closes leaves for good. In classic groups under load some partitions are not read after a rebalance, with
  // Apache Kafka too.
  lacks: [
    'classic/members join and leave under load',
    'classic/commits with metadata',
    'classic/seek and pause',
    'classic/static members',
    'consumer/commits with metadata',
    'consumer/seek and pause',
    'consumer/static members',
    'consumer/list and describe groups'
  ],
  assignors: { classic: 'roundrobin', consumer: 'uniform' },
  join,
  producer,
  create,
  admin,
  isError
}

await main(client, version, ['classic', 'consumer'])
