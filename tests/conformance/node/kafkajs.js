// KafkaJS, default settings apart from the address. Its consumer exists in groups only, so that records are read by the
// request under it, with the same connection, decoder and codecs.

import { createRequire } from 'node:module'
import * as zstd from '@bokuweb/zstd-wasm'
import * as wasm from '@platformatic/wasm-utils'
import kafkajs from 'kafkajs'
import Snappy from 'kafkajs-snappy'

import { bootstrap, Checks, equal, eventually, fails, isTrue, unique } from './checks.js'
import { COUNT, FIRST_TIMESTAMP, samplesWithoutNullHeaders as samples, TIMESTAMP_STEP } from './samples.js'

const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = kafkajs
const { version } = createRequire(import.meta.url)('kafkajs/package.json')

const codec = ({ compress, decompress }) => () => ({
  compress: async encoder => Buffer.from(compress(encoder.buffer)),
  decompress: async bytes => Buffer.from(decompress(bytes))
})

await zstd.init()
CompressionCodecs[CompressionTypes.Snappy] = Snappy
CompressionCodecs[CompressionTypes.LZ4] = codec({ compress: wasm.lz4Compress, decompress: wasm.lz4Decompress })
CompressionCodecs[CompressionTypes.ZSTD] = codec(zstd)

process.env.KAFKAJS_NO_PARTITIONER_WARNING = '1'
// Errors that a check expects would be logged; the ones that it does not expect are in its message.
const kafka = new Kafka({ brokers: [bootstrap()], logLevel: logLevel.NOTHING })
const admin = kafka.admin()
const plain = unique('kafkajs')
const wide = unique('kafkajs-wide')

const errorType = (...types) => error => {
  const found = [error.type, error.cause?.type, error.errors?.[0]?.type]
  return types.some(type => found.includes(type)) || types.some(type => String(error.message).includes(type))
}

async function create (topic, numPartitions = 1, config = {}) {
  const entries = { 'retention.ms': '-1', ...config }
  const configEntries = Object.entries(entries).map(([name, value]) => ({ name, value }))
  await admin.createTopics({ topics: [{ topic, numPartitions, configEntries }] })
  await eventually(async () => equal((await describe(topic)).partitions.length, numPartitions, 'partitions'))
  await eventually(() => admin.fetchTopicOffsets(topic))
}

async function describe (topic) {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  return topics[0]
}

// This client takes headers as an object, in which a key's values form an array.
function asObject (headers) {
  const object = {}
  for (const [key, value] of headers) {
    object[key] = key in object ? [].concat(object[key], [value]) : value
  }
  return object
}

async function produce (topic, partition, records, settings = {}, options = {}) {
  const producer = kafka.producer(settings)
  await producer.connect()
  try {
    const placed = []
    for (let start = 0; start < records.length; start += COUNT / 2) {
      const messages = records.slice(start, start + COUNT / 2).map(record => ({
        ...record, partition, headers: asObject(record.headers), timestamp: String(record.timestamp)
      }))
      placed.push(...(await producer.send({ topic, messages, ...options })))
    }
    return placed
  } finally {
    await producer.disconnect()
  }
}

const createCluster = Object.getOwnPropertySymbols(kafka).find(s => s.description === 'private:Kafka:createCluster')

async function withBroker (topic, partition, work) {
  const cluster = kafka[createCluster]({ allowAutoTopicCreation: false })
  await cluster.connect()
  try {
    await cluster.addTargetTopic(topic)
    const leaders = cluster.findLeaderForPartitions(topic, [partition])
    return await work(await cluster.findBroker({ nodeId: Object.keys(leaders)[0] }))
  } finally {
    await cluster.disconnect()
  }
}

function read (topic, partition, offset, count) {
  return withBroker(topic, partition, async broker => {
    const messages = []
    let next = offset
    while (messages.length < count) {
      const partitions = [{ partition, fetchOffset: String(next), maxBytes: 1_048_576 }]
      const { responses } = await broker.fetch({ topics: [{ topic, partitions }] })
      const fetched = responses[0].partitions[0].messages.filter(m => next <= Number(m.offset))
      isTrue(fetched.length, `nothing came after ${messages.length} messages`)
      messages.push(...fetched)
      next = Number(messages.at(-1).offset) + 1
    }
    return messages.slice(0, count)
  })
}

function same (message, record, offset) {
  equal(Number(message.offset), offset, 'offset')
  const { key, value, headers, timestamp } = message
  equal({ key, value, headers, timestamp: Number(timestamp) }, { ...record, headers: asObject(record.headers) }, `record ${offset}`)
}

async function roundTrip (codec, settings) {
  const name = codec.toLowerCase()
  const topic = unique(`kafkajs-codec-${name}`)
  await create(topic)
  const expected = samples(name)
  const placed = await produce(topic, 0, expected, settings, { compression: CompressionTypes[codec] })
  equal(placed.map(p => p.baseOffset), ['0', String(COUNT / 2)], 'base offsets')
  const messages = await read(topic, 0, 0, COUNT)
  messages.forEach((message, i) => same(message, expected[i], i))
  for (const offset of [1, 17, COUNT / 2 + 5, COUNT - 1]) {
    const [message] = await read(topic, 0, offset, 1)
    same(message, expected[offset], offset)
  }
  await times(topic)
}

async function times (topic) {
  const lookUp = async timestamp => (await admin.fetchTopicOffsetsByTimestamp(topic, timestamp))[0].offset
  for (const i of [0, 1, 29, 42, COUNT - 1]) {
    const at = FIRST_TIMESTAMP + i * TIMESTAMP_STEP
    equal(await lookUp(at), String(i), 'offset for a time')
    equal(await lookUp(at - 1), String(i), 'offset for the time just before')
  }
  // The client turns "no such record" into the end offset.
  equal(await lookUp(FIRST_TIMESTAMP + COUNT * TIMESTAMP_STEP), String(COUNT), 'offset for a later time')
}

async function offsets (topic, partition) {
  const found = (await admin.fetchTopicOffsets(topic)).find(p => p.partition === partition)
  return [found.low, found.high].map(Number)
}

async function cluster () {
  const { brokers, controller, clusterId } = await admin.describeCluster()
  equal(brokers.map(b => `${b.host}:${b.port}`), [bootstrap()], 'advertised address')
  equal(controller, brokers[0].nodeId, 'controller')
  isTrue(clusterId, 'no cluster id')
}

async function createTopics () {
  await create(plain)
  await create(wide, 4, { 'max.message.bytes': '200000' })
  for (const partition of (await describe(wide)).partitions) {
    equal(partition.isr, [partition.leader], 'in-sync replicas')
  }
  const listed = await admin.listTopics()
  isTrue(listed.includes(plain) && listed.includes(wide), 'a topic is not listed')
  equal(await admin.createTopics({ topics: [{ topic: plain }] }), false, 'creating it again')
}

async function badTopics () {
  await fails(() => create('a/b'), errorType('INVALID_TOPIC_EXCEPTION'), 'name a/b')
  await fails(() => create(unique('p'), 0), errorType('INVALID_PARTITIONS'), 'no partitions')
  await fails(() => create(unique('c'), 1, { 'retention.ms': 'soon' }), errorType('INVALID_CONFIG'), 'retention.ms=soon')
}

async function acknowledgements () {
  for (const acks of [0, 1, -1]) {
    const topic = unique(`kafkajs-acks${acks}`)
    await create(topic)
    const records = samples('acks')
    await produce(topic, 0, records, {}, { acks })
    const messages = await read(topic, 0, 0, COUNT)
    messages.forEach((message, i) => same(message, records[i], i))
  }
}

async function partitions () {
  for (let p = 0; p < 4; p++) {
    const records = samples(`partition ${p}`).slice(0, 10 + p)
    await produce(wide, p, records)
    const messages = await read(wide, p, 0, 10 + p)
    messages.forEach((message, i) => same(message, records[i], i))
    equal(await offsets(wide, p), [0, 10 + p], 'offsets')
  }
}

async function config (name) {
  const resources = [{ type: ConfigResourceTypes.TOPIC, name: wide }]
  const described = await admin.describeConfigs({ resources, includeSynonyms: true })
  return described.resources[0].configEntries.find(entry => entry.configName === name)
}

async function configs () {
  equal((await config('max.message.bytes')).configValue, '200000', 'max.message.bytes')
  equal((await config('max.message.bytes')).isDefault, false, 'max.message.bytes by default')
  equal((await config('cleanup.policy')).isDefault, true, 'cleanup.policy by default')
  // This request replaces all of a topic's settings.
  const all = { 'max.message.bytes': '200000', 'retention.ms': '-1', 'retention.bytes': '123456789' }
  const configEntries = Object.entries(all).map(([name, value]) => ({ name, value }))
  await admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name: wide, configEntries }] })
  await eventually(async () => equal((await config('retention.bytes')).configValue, '123456789', 'retention.bytes'))
  equal((await config('max.message.bytes')).configValue, '200000', 'max.message.bytes after the change')
}

async function createPartitions () {
  await admin.createPartitions({ topicPartitions: [{ topic: wide, count: 6 }] })
  await eventually(async () => equal((await describe(wide)).partitions.length, 6, 'partitions'))
  const fewer = () => admin.createPartitions({ topicPartitions: [{ topic: wide, count: 2 }] })
  await fails(fewer, errorType('INVALID_PARTITIONS'), 'fewer partitions')
}

async function deleteRecords () {
  await eventually(() => admin.deleteTopicRecords({ topic: wide, partitions: [{ partition: 3, offset: '7' }] }))
  equal(await offsets(wide, 3), [7, 13], 'offsets')
  const messages = await read(wide, 3, 7, 6)
  equal(messages.map(m => m.offset), ['7', '8', '9', '10', '11', '12'], 'offsets of the records')
  await fails(() => read(wide, 3, 2, 1), errorType('OFFSET_OUT_OF_RANGE'), 'reading below the log start')
}

async function oversized () {
  const big = { key: null, value: Buffer.alloc(300_000, 'x'), headers: [], timestamp: FIRST_TIMESTAMP }
  await fails(() => produce(wide, 0, [big]), errorType('MESSAGE_TOO_LARGE'), 'a record above max.message.bytes')
}

async function unknownTopic () {
  const absent = unique('kafkajs-absent')
  const unknown = errorType('UNKNOWN_TOPIC_OR_PARTITION')
  const quick = { retry: { retries: 0 } }
  await fails(() => kafkaAdmin(quick, a => a.deleteTopics({ topics: [absent] })), unknown, 'deleting an unknown topic')
  await fails(() => kafkaAdmin(quick, a => a.fetchTopicOffsets(absent)), unknown, 'offsets of an unknown topic')
}

async function kafkaAdmin (settings, work) {
  const other = kafka.admin(settings)
  await other.connect()
  try {
    return await work(other)
  } finally {
    await other.disconnect()
  }
}

async function autoCreate () {
  const topic = unique('kafkajs-auto')
  const records = samples('auto').slice(0, 5)
  await produce(topic, undefined, records)
  const ends = await offsets(topic, 0)
  equal(ends, [0, 5], 'offsets')
  const messages = await read(topic, 0, 0, 5)
  messages.forEach((message, i) => same(message, records[i], i))
}

async function deleteTopics () {
  await admin.deleteTopics({ topics: [plain] })
  await eventually(async () => isTrue(!(await admin.listTopics()).includes(plain), 'the topic is still listed'))
}

const checks = new Checks('kafkajs', version)
await admin.connect()
await checks.run('describe cluster', cluster)
await checks.run('create, describe and list topics', createTopics)
await checks.run('create topics: invalid', badTopics)
for (const codec of ['None', 'GZIP', 'Snappy', 'LZ4', 'ZSTD']) {
  await checks.run(`round trip, offsets and times: ${codec.toLowerCase()}`, () => roundTrip(codec))
}
await checks.run('round trip: idempotent producer', () => roundTrip('None', { idempotent: true }))
await checks.run('acks 0, 1 and all', acknowledgements)
await checks.run('several partitions', partitions)
await checks.run('describe and alter configs', configs)
await checks.run('create partitions', createPartitions)
await checks.run('delete records, offset out of range', deleteRecords)
await checks.run('oversized record', oversized)
await checks.run('unknown topic', unknownTopic)
await checks.run('topic made by producing to it', autoCreate)
await checks.run('delete topics', deleteTopics)
await admin.disconnect()
checks.finish()
