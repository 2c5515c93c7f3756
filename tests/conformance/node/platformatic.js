// @platformatic/kafka, default settings apart from the address. Its consumer streams exist in groups only, so that
// records are read by its public `fetch`.

import { readFileSync } from 'node:fs'
import zlib from 'node:zlib'
import { Admin, ConfigResourceTypes, Consumer, IncrementalAlterConfigOperationTypes, Producer } from '@platformatic/kafka'

import { bootstrap, Checks, equal, eventually, fails, isTrue, unique } from './checks.js'
import { COUNT, FIRST_TIMESTAMP, samples, TIMESTAMP_STEP } from './samples.js'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.resolve('@platformatic/kafka'))))
// The client has zstd where Node has it.
const CODECS = ['none', 'gzip', 'snappy', 'lz4', ...(zlib.zstdCompressSync ? ['zstd'] : [])]

const client = { clientId: 'conformance', bootstrapBrokers: [bootstrap()] }
const admin = new Admin(client)
const consumer = new Consumer({ ...client, groupId: 'unused' })
const plain = unique('platformatic')
const wide = unique('platformatic-wide')

// Errors of the broker are nested in those of the client.
function apiIds (error) {
  return [error.apiId, ...[error.cause, ...(error.errors ?? [])].filter(Boolean).flatMap(apiIds)]
}

const isError = id => error => apiIds(error).includes(id)

async function create (topic, partitions = 1, config = {}) {
  const created = await admin.createTopics({ topics: [topic], partitions, replicas: 1 })
  equal(created.map(t => [t.name, t.partitions]), [[topic, partitions]], 'created topics')
  await eventually(async () => equal((await describe(topic)).partitionsCount, partitions, 'partitions'))
  await eventually(() => alter(topic, { 'retention.ms': '-1', ...config }))
}

async function describe (topic) {
  const metadata = await admin.metadata({ topics: [topic], forceUpdate: true })
  return metadata.topics.get(topic)
}

function alter (topic, config) {
  const configOperation = IncrementalAlterConfigOperationTypes.SET
  const configs = Object.entries(config).map(([name, value]) => ({ name, value, configOperation }))
  const resources = [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: topic, configs }]
  return admin.incrementalAlterConfigs({ resources })
}

async function produce (topic, partition, records, settings = {}) {
  const producer = new Producer({ ...client, ...settings })
  try {
    const placed = []
    for (let start = 0; start < records.length; start += COUNT / 2) {
      const messages = records.slice(start, start + COUNT / 2).map(({ key, value, headers, timestamp }) => ({
        topic,
        partition,
        key,
        value,
        timestamp: BigInt(timestamp),
        // Keys are compared by identity, so that one name can stand there twice.
        headers: new Map(headers.map(([name, content]) => [Buffer.from(name), content]))
      }))
      const { offsets } = await producer.send({ messages })
      placed.push(...(offsets ?? []))
    }
    return placed
  } finally {
    await producer.close()
  }
}

async function read (topic, partition, offset, count) {
  const { id } = await describe(topic)
  const metadata = await consumer.metadata({ topics: [topic], forceUpdate: true })
  const node = metadata.topics.get(topic).partitions[partition].leader
  const records = []
  let next = BigInt(offset)
  while (records.length < count) {
    const at = { partition, currentLeaderEpoch: -1, fetchOffset: next, lastFetchedEpoch: -1, partitionMaxBytes: 1_048_576 }
    const { responses } = await consumer.fetch({ node, topics: [{ topicId: id, partitions: [at] }] })
    const batches = responses[0].partitions[0].records ?? []
    const fetched = batches.flatMap(fromBatch).filter(record => next <= record.offset)
    isTrue(fetched.length, `nothing came after ${records.length} records`)
    records.push(...fetched)
    next = records.at(-1).offset + 1n
  }
  return records.slice(0, count)
}

function fromBatch (batch) {
  return batch.records.map(record => ({
    offset: batch.firstOffset + BigInt(record.offsetDelta),
    record: {
      key: record.key,
      value: record.value,
      headers: record.headers.map(([name, content]) => [name.toString(), content]),
      timestamp: Number(batch.firstTimestamp + record.timestampDelta)
    }
  }))
}

// What is read shares its memory with the answer: only the bytes count.
function plainBytes (record) {
  const bytes = buffer => (buffer == null ? null : Buffer.from(buffer))
  const headers = record.headers.map(([name, content]) => [name, bytes(content)])
  return { ...record, key: bytes(record.key), value: bytes(record.value), headers }
}

function same (found, record, offset) {
  equal(Number(found.offset), offset, 'offset')
  equal(plainBytes(found.record), record, `record ${offset}`)
}

async function roundTrip (codec, settings = {}) {
  const topic = unique(`platformatic-codec-${codec}`)
  await create(topic)
  const expected = samples(codec)
  const placed = await produce(topic, 0, expected, { compression: codec, ...settings })
  equal(placed.map(p => p.offset), [0n, BigInt(COUNT / 2)], 'base offsets')
  const records = await read(topic, 0, 0, COUNT)
  records.forEach((record, i) => same(record, expected[i], i))
  for (const offset of [1, 17, COUNT / 2 + 5, COUNT - 1]) {
    const [record] = await read(topic, 0, offset, 1)
    same(record, expected[offset], offset)
  }
  await times(topic)
}

async function times (topic) {
  const lookUp = async timestamp => {
    const found = await consumer.listOffsetsWithTimestamps({ topics: [topic], timestamp: BigInt(timestamp) })
    const { offset, timestamp: at } = found.get(topic).get(0)
    return [Number(offset), Number(at)]
  }
  for (const i of [0, 1, 29, 42, COUNT - 1]) {
    const at = FIRST_TIMESTAMP + i * TIMESTAMP_STEP
    equal(await lookUp(at), [i, at], 'offset for a time')
    equal(await lookUp(at - 1), [i, at], 'offset for the time just before')
  }
  equal(await lookUp(FIRST_TIMESTAMP + COUNT * TIMESTAMP_STEP), [-1, -1], 'offset for a later time')
}

async function offset (partition, timestamp) {
  const listed = await admin.listOffsets({ topics: [{ name: wide, partitions: [{ partitionIndex: partition, timestamp }] }] })
  return Number(listed[0].partitions[0].offset)
}

async function cluster () {
  const metadata = await admin.metadata({ topics: [] })
  equal([...metadata.brokers.values()].map(b => `${b.host}:${b.port}`), [bootstrap()], 'advertised address')
  isTrue(metadata.id, 'no cluster id')
  equal(metadata.controllerId, [...metadata.brokers.keys()][0], 'controller')
}

async function createTopics () {
  await create(plain)
  await create(wide, 4, { 'max.message.bytes': '200000' })
  for (const partition of (await describe(wide)).partitions) {
    equal(partition.isr, [partition.leader], 'in-sync replicas')
  }
  const listed = await admin.listTopics()
  isTrue(listed.includes(plain) && listed.includes(wide), 'a topic is not listed')
}

async function badTopics () {
  await fails(() => create(plain), isError('TOPIC_ALREADY_EXISTS'), 'creating it again')
  await fails(() => create('a/b'), isError('INVALID_TOPIC_EXCEPTION'), 'name a/b')
  await fails(() => create(unique('p'), 0), isError('INVALID_PARTITIONS'), 'no partitions')
}

async function acknowledgements () {
  for (const acks of [0, 1, -1]) {
    const topic = unique(`platformatic-acks${acks}`)
    await create(topic)
    const records = samples('acks')
    await produce(topic, 0, records, { acks })
    const found = await read(topic, 0, 0, COUNT)
    found.forEach((record, i) => same(record, records[i], i))
  }
}

async function partitions () {
  for (let p = 0; p < 4; p++) {
    const records = samples(`partition ${p}`).slice(0, 10 + p)
    await produce(wide, p, records)
    const found = await read(wide, p, 0, 10 + p)
    found.forEach((record, i) => same(record, records[i], i))
  }
}

async function listOffsets () {
  equal(await offset(3, -2n), 0, 'earliest offset')
  equal(await offset(3, -1n), 13, 'latest offset')
  equal(await offset(3, BigInt(FIRST_TIMESTAMP + 3_500)), 4, 'offset for a time')
}

async function config (name) {
  const resources = [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: wide }]
  const [described] = await admin.describeConfigs({ resources, includeSynonyms: true, includeDocumentation: true })
  return described.configs.find(c => c.name === name)
}

async function configs () {
  await eventually(async () => equal((await config('max.message.bytes')).value, '200000', 'max.message.bytes'))
  equal((await config('max.message.bytes')).configSource, 1, 'its source')
  equal((await config('cleanup.policy')).configSource, 5, 'source of cleanup.policy')
  await alter(wide, { 'retention.bytes': '123456789' })
  await eventually(async () => equal((await config('retention.bytes')).value, '123456789', 'retention.bytes'))
  const change = { name: 'retention.bytes', configOperation: IncrementalAlterConfigOperationTypes.DELETE }
  const resource = { resourceType: ConfigResourceTypes.TOPIC, resourceName: wide }
  await admin.incrementalAlterConfigs({ resources: [{ ...resource, configs: [change] }] })
  await eventually(async () => equal((await config('retention.bytes')).value, '-1', 'retention.bytes'))
  // This request replaces all of a topic's settings.
  const all = { 'max.message.bytes': '200000', 'retention.ms': '-1', 'retention.bytes': '456' }
  const configs = Object.entries(all).map(([name, value]) => ({ name, value }))
  await admin.alterConfigs({ resources: [{ ...resource, configs }] })
  await eventually(async () => equal((await config('retention.bytes')).value, '456', 'retention.bytes'))
  await fails(() => alter(wide, { 'retention.ms': 'soon' }), isError('INVALID_CONFIG'), 'retention.ms=soon')
}

async function logDirs () {
  const [{ results }] = await admin.describeLogDirs({ topics: [{ name: wide, partitions: [3] }] })
  equal(results.length, 1, 'log dirs')
  equal(results[0].topics.map(t => t.name), [wide], 'topics in the log dir')
  isTrue(results[0].topics[0].partitions[0].partitionSize > 0, 'an empty partition')
}

async function createPartitions () {
  await admin.createPartitions({ topics: [{ name: wide, count: 6 }] })
  await eventually(async () => equal((await describe(wide)).partitionsCount, 6, 'partitions'))
  const fewer = () => admin.createPartitions({ topics: [{ name: wide, count: 2 }] })
  await fails(fewer, isError('INVALID_PARTITIONS'), 'fewer partitions')
}

async function deleteRecords () {
  const before = offset => admin.deleteRecords({ topics: [{ name: wide, partitions: [{ partition: 3, offset }] }] })
  const [{ partitions }] = await before(7n)
  equal(partitions[0].lowWatermark, 7n, 'low watermark')
  const records = await read(wide, 3, 7, 6)
  equal(records.map(r => Number(r.offset)), [7, 8, 9, 10, 11, 12], 'offsets of the records')
  await fails(() => read(wide, 3, 2, 1), isError('OFFSET_OUT_OF_RANGE'), 'reading below the log start')
  await fails(() => before(1000n), isError('OFFSET_OUT_OF_RANGE'), 'deleting beyond the end')
}

async function oversized () {
  const big = { key: null, value: Buffer.alloc(300_000, 'x'), headers: [], timestamp: FIRST_TIMESTAMP }
  await fails(() => produce(wide, 0, [big]), isError('MESSAGE_TOO_LARGE'), 'a record above max.message.bytes')
}

async function unknownTopic () {
  const absent = unique('platformatic-absent')
  const quick = new Admin({ ...client, retries: 0 })
  const unknown = error => isError('UNKNOWN_TOPIC_OR_PARTITION')(error) || error.message.startsWith('Unknown topic')
  await fails(() => quick.deleteTopics({ topics: [absent] }), unknown, 'deleting an unknown topic')
  await fails(() => quick.metadata({ topics: [absent] }), unknown, 'describing an unknown topic')
  await quick.close()
}

async function autoCreate () {
  const topic = unique('platformatic-auto')
  const records = samples('auto').slice(0, 5)
  await produce(topic, 0, records, { autocreateTopics: true })
  const found = await read(topic, 0, 0, 5)
  found.forEach((record, i) => same(record, records[i], i))
}

async function deleteTopics () {
  await admin.deleteTopics({ topics: [plain] })
  await eventually(async () => isTrue(!(await admin.listTopics()).includes(plain), 'the topic is still listed'))
}

const checks = new Checks('@platformatic/kafka', version)
await checks.run('describe cluster', cluster)
await checks.run('create, describe and list topics', createTopics)
await checks.run('create topics: existing and invalid', badTopics)
for (const codec of CODECS) {
  await checks.run(`round trip, offsets and times: ${codec}`, () => roundTrip(codec))
}
await checks.run('round trip: idempotent producer', () => roundTrip('none', { idempotent: true }))
await checks.run('acks 0, 1 and all', acknowledgements)
await checks.run('several partitions', partitions)
await checks.run('list offsets', listOffsets)
await checks.run('describe and alter configs', configs)
await checks.run('describe log dirs', logDirs)
await checks.run('create partitions', createPartitions)
await checks.run('delete records, offset out of range', deleteRecords)
await checks.run('oversized record', oversized)
await checks.run('unknown topic', unknownTopic)
await checks.run('topic made by producing to it', autoCreate)
await checks.run('delete topics', deleteTopics)
checks.finish()
