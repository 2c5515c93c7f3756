// Groups with KafkaJS, default settings apart from the address and what a check is about.

import kafkajs from 'kafkajs'
import { createRequire } from 'node:module'
import { setTimeout as pause } from 'node:timers/promises'
import { bootstrap, eventually, isTrue } from './checks.js'
import { main } from './groups.js'

const { AssignerProtocol, Kafka, KafkaJSDeleteGroupsError, Partitioners, logLevel } = kafkajs
const { version } = createRequire(import.meta.url)('kafkajs/package.json')
const retry = { retries: 100, maxRetryTime: 1000 }
const kafka = new Kafka({ brokers: [bootstrap()], logLevel: logLevel.NOTHING, retry })
const control = kafka.admin()

async function join (member, { group, topics, manual, session }) {
  const consumer = kafka.consumer({
    groupId: group,
    heartbeatInterval: 500,
    // Five minutes by default.
    metadataMaxAge: 1000,
    maxWaitTimeInMs: 500,
    ...(session ? { sessionTimeout: session } : {})
  })
  const parts = assignment => Object.entries(assignment).flatMap(([topic, numbers]) => numbers.map(n => `${topic}:${n}`))
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => member.given(parts(payload.memberAssignment)))
  await consumer.connect()
  for (;;) {
    try {
      await consumer.subscribe({ topics, fromBeginning: true })
      break
    } catch (error) {
      // It does not subscribe to what is not there.
      isTrue(error.type === 'UNKNOWN_TOPIC_OR_PARTITION', `subscribing: ${error}`)
      await pause(100)
    }
  }
  await consumer.run({
    autoCommit: !manual,
    eachMessage: async ({ topic, partition, message }) => member.received(topic, partition, message.offset, message.value)
  })
  return {
    leave: () => consumer.disconnect(),
    commit: (topic, partition, offset, metadata) => consumer.commitOffsets([{ topic, partition, offset: `${offset}`, metadata }]),
    pause: (topic, partition) => consumer.pause([{ topic, partitions: [partition] }]),
    resume: (topic, partition) => consumer.resume([{ topic, partitions: [partition] }]),
    seek: (topic, partition, offset) => consumer.seek({ topic, partition, offset: `${offset}` })
  }
}

async function producer () {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  return {
    write: (topic, messages) => producer.send({ topic, messages }),
    close: () => producer.disconnect()
  }
}

async function create (topic, numPartitions, mayExist = false) {
  const created = await control.createTopics({ topics: [{ topic, numPartitions }], waitForLeaders: false })
  isTrue(created || mayExist, `${topic} exists`)
  await eventually(() => control.fetchTopicMetadata({ topics: [topic] }))
}

const admin = {
  async groups () {
    return (await control.listGroups()).groups.map(group => group.groupId)
  },
  async describe (group) {
    const [{ state, protocol, members }] = (await control.describeGroups([group])).groups
    const assigned = members.map(member => {
      const { assignment } = AssignerProtocol.MemberAssignment.decode(member.memberAssignment)
      return Object.entries(assignment).flatMap(([topic, numbers]) => numbers.sort().map(n => `${topic}:${n}`))
    })
    return { state: state.toLowerCase(), assignor: protocol, assigned }
  },
  async committed (group, topic) {
    const [{ partitions }] = await control.fetchOffsets({ groupId: group, topics: [topic] })
    return Object.fromEntries(partitions.filter(p => p.offset !== '-1').map(({ partition, offset, metadata }) =>
      [partition, { offset: Number(offset), metadata: metadata ?? '' }]))
  },
  async ends (topic) {
    const offsets = await control.fetchTopicOffsets(topic)
    return offsets.sort((a, b) => a.partition - b.partition).map(({ high }) => Number(high))
  },
  async alter (groupId, topic, changes) {
    const partitions = Object.entries(changes).map(([partition, offset]) => ({ partition: Number(partition), offset: `${offset}` }))
    await control.setOffsets({ groupId, topic, partitions })
  },
  async deleteGroup (group) {
    await control.deleteGroups([group])
  }
}

const client = {
  name: 'kafkajs',
  // It has no static members and deletes no offsets.
  lacks: ['classic/static members', 'classic/delete offsets of a group'],
  assignors: { classic: 'RoundRobinAssigner' },
  join,
  producer,
  create,
  admin,
  isError: name => error => error instanceof KafkaJSDeleteGroupsError && error.groups[0].error.type === name
}

await control.connect()
await main(client, version, ['classic'])
