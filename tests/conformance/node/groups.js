// What every client must be able to do with a group. A client hands over its consumers, a producer and an admin; the checks
// run side by side, each in a group and on a topic of its own, for mostly they wait. Names of checks are PROTOCOL/FEATURE.

import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { Checks, equal, fails, isTrue, unique } from './checks.js'

const LIMIT = 60_000
// A member that is gone is missed after this long, where the client says so and not the broker.
const SESSION_MS = 6000

async function wait (condition, what) {
  const deadline = Date.now() + LIMIT
  for (;;) {
    if (await condition()) return
    if (deadline < Date.now()) throw new Error(`not after ${LIMIT / 1000} s: ${await what()}`)
    await pause(20)
  }
}

const numbers = (from, to, step = 1) => Array.from({ length: Math.ceil((to - from) / step) }, (_, i) => `${from + i * step}`)
const pairs = (from, to, partitions) => numbers(from, to).map(value => ({ partition: Number(value) % partitions, value }))

// What a consumer saw; `client.join` starts one that tells it. Partitions are written TOPIC:PARTITION.
class Member {
  records = []
  assigned = []
  rebalances = 0
  failure = null

  received (topic, partition, offset, value) {
    this.records.push({ at: `${topic}:${partition}`, offset: Number(offset), value: value.toString() })
  }

  given (partitions) {
    this.rebalances++
    this.assigned = partitions.sort()
  }

  healthy () {
    if (this.failure) throw this.failure
  }

  values () {
    return this.records.map(record => record.value)
  }

  async leave () {
    await this.consumer.leave()
    this.healthy()
  }
}

function waitForSplit (members, topic, counts) {
  const split = () => {
    members.forEach(member => member.healthy())
    const all = members.flatMap(member => member.assigned)
    const found = members.map(member => member.assigned.length).sort()
    const total = counts.reduce((a, b) => a + b)
    return `${found}` === `${counts}` && new Set(all).size === total && all.every(at => at.startsWith(`${topic}:`))
  }
  return wait(split, () => `a split into ${counts}, but ${JSON.stringify(members.map(member => member.assigned))}`)
}

function waitForValues (members, expected) {
  const missing = () => {
    members.forEach(member => member.healthy())
    const came = new Set(members.flatMap(member => member.values()))
    return expected.filter(value => !came.has(value))
  }
  return wait(() => missing().length === 0, () => `${missing().length} of ${expected.length} did not come: ${missing().slice(0, 5)}`)
}

// Writes numbers to all partitions, some hundred in a second, until it is stopped.
class Load {
  written = 0
  stopping = false
  failure = null

  constructor (client, topic, partitions) {
    this.ended = this.run(client, topic, partitions).catch(error => { this.failure = error })
  }

  async run (client, topic, partitions) {
    const producer = await client.producer()
    while (!this.stopping) {
      await producer.write(topic, pairs(this.written, this.written + 10, partitions))
      this.written += 10
      await pause(30)
    }
    await producer.close()
  }

  count () {
    if (this.failure) throw this.failure
    return this.written
  }

  async end () {
    this.stopping = true
    await this.ended
    return numbers(0, this.count())
  }
}

class Groups {
  constructor (client, protocol) {
    this.client = client
    this.protocol = protocol
  }

  name (what) {
    return unique(`${this.client.name.replace(/[@/]/g, '')}-${this.protocol}-${what}`)
  }

  async topic (what, partitions) {
    const name = this.name(what)
    await this.client.create(name, partitions)
    return name
  }

  async fill (topic, pairs) {
    const producer = await this.client.producer()
    await producer.write(topic, pairs)
    await producer.close()
  }

  // A member of the group that is named as its topic.
  async member (topic, options = {}) {
    const member = new Member()
    member.consumer = await this.client.join(member, { group: topic, topics: [topic], protocol: this.protocol, ...options })
    return member
  }

  features () {
    return {
      'members join and leave under load': () => this.underLoad(),
      'offsets are resumed': () => this.resume(),
      'commits with metadata': () => this.commits(),
      'seek and pause': () => this.seekAndPause(),
      'static members': () => this.staticMembers(),
      'topics made after subscribing': () => this.laterTopic(),
      'a lost member is replaced': () => this.lostMember()
    }
  }

  async underLoad () {
    const topic = await this.topic('load', 6)
    const load = new Load(this.client, topic, 6)
    const [a, b] = await Promise.all([this.member(topic), this.member(topic)])
    await waitForSplit([a, b], topic, [3, 3])
    const c = await this.member(topic)
    await waitForSplit([a, b, c], topic, [2, 2, 2])
    await b.leave()
    await waitForSplit([a, c], topic, [3, 3])
    await waitForValues([a, b, c], await load.end())
    await Promise.all([a.leave(), c.leave()])
  }

  async resume () {
    const topic = await this.topic('resume', 2)
    await this.fill(topic, pairs(0, 20, 2))
    const first = await this.member(topic)
    await waitForValues([first], numbers(0, 20))
    await first.leave()
    await this.fill(topic, pairs(20, 30, 2))
    const second = await this.member(topic)
    await waitForValues([second], numbers(20, 30))
    await second.leave()
    equal(second.records.length, 10, 'number of records after the return')
  }

  async commits () {
    const topic = await this.topic('commits', 2)
    const committed = async partition => (await this.client.admin.committed(topic, topic, [0, 1]))[partition]
    const member = await this.member(topic, { manual: true })
    await waitForSplit([member], topic, [2])
    await this.fill(topic, pairs(0, 20, 2))
    await waitForValues([member], numbers(0, 20))
    equal(await committed(0), undefined, 'committed before the first commit')
    await member.consumer.commit(topic, 0, 4, 'so far, grüße')
    equal(await committed(0), { offset: 4, metadata: 'so far, grüße' }, 'committed')
    await member.consumer.commit(topic, 1, 7, '')
    equal(await committed(1), { offset: 7, metadata: '' }, 'committed without metadata')
    await member.leave()
    const again = await this.member(topic, { manual: true })
    await waitForValues([again], [...numbers(8, 20, 2), ...numbers(15, 20, 2)])
    equal(again.records.length, 9, 'number of records behind the commits')
    await again.leave()
  }

  async seekAndPause () {
    const topic = await this.topic('seek', 2)
    await this.fill(topic, pairs(0, 10, 2))
    const member = await this.member(topic)
    await waitForValues([member], numbers(0, 10))
    member.consumer.pause(topic, 0)
    await this.fill(topic, pairs(10, 20, 2))
    await waitForValues([member], numbers(11, 20, 2))
    equal(member.records.length, 15, 'number of records with a paused partition')
    member.consumer.resume(topic, 0)
    await waitForValues([member], numbers(0, 20))
    member.records.length = 0
    member.consumer.seek(topic, 1, 3)
    await waitForValues([member], numbers(7, 20, 2))
    equal(Math.min(...member.records.map(record => record.offset)), 3, 'first offset after seeking')
    await member.leave()
  }

  async staticMembers () {
    const topic = await this.topic('static', 4)
    let a = await this.member(topic, { instance: 'one' })
    const b = await this.member(topic, { instance: 'two' })
    await waitForSplit([a, b], topic, [2, 2])
    const before = [a.assigned, b.assigned, b.rebalances]
    await a.leave()
    a = await this.member(topic, { instance: 'one' })
    await waitForSplit([a, b], topic, [2, 2])
    equal([a.assigned, b.assigned, b.rebalances], before, 'partitions of both, rebalances of the other')
    await Promise.all([a.leave(), b.leave()])
  }

  async laterTopic () {
    const topic = this.name('later')
    // Some clients fail until there is such a topic.
    const joining = this.member(topic)
    await pause(1000)
    await this.client.create(topic, 1, true)
    await this.fill(topic, pairs(0, 2, 1))
    const member = await joining
    await waitForValues([member], numbers(0, 2))
    await member.leave()
  }

  async lostMember () {
    const topic = await this.topic('lost', 4)
    const command = [process.argv[1], 'member', this.protocol, topic]
    const other = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'ignore'] })
    try {
      equal((await createInterface(other.stdout)[Symbol.asyncIterator]().next()).value, 'joined', 'what the other process says')
      const member = await this.member(topic, { session: SESSION_MS })
      await waitForSplit([member], topic, [2])
      await this.fill(topic, pairs(0, 8, 4))
      other.kill('SIGKILL')
      await waitForSplit([member], topic, [4])
      await waitForValues([member], numbers(0, 8))
      await member.leave()
    } finally {
      other.kill('SIGKILL')
    }
  }

  // A member in a process of its own, to be killed.
  async stay (topic) {
    const member = await this.member(topic, { session: SESSION_MS, manual: true })
    await wait(() => member.assigned.length, () => 'partitions')
    console.log('joined')
  }

  // What an admin sees and changes, step by step with one group.
  async administration (check) {
    const { admin } = this.client
    const topic = await this.topic('admin', 2)
    const offsets = async () => {
      const found = await admin.committed(topic, topic, [0, 1])
      return Object.fromEntries(Object.entries(found).map(([partition, { offset }]) => [partition, offset]))
    }
    // Not every client waits for the answer to its leaving.
    const soon = change => {
      let told
      const tried = () => change().then(() => true, error => { told = error })
      return wait(tried, () => told)
    }
    await this.fill(topic, pairs(0, 20, 2))
    const member = await this.member(topic, { manual: true })
    await check('lag', async () => {
      await waitForValues([member], numbers(0, 20))
      await member.consumer.commit(topic, 0, 4, '')
      await member.consumer.commit(topic, 1, 10, '')
      equal(await offsets(), { 0: 4, 1: 10 }, 'committed offsets')
      equal(await admin.ends(topic, [0, 1]), [10, 10], 'end offsets')
    })
    await check('list and describe groups', async () => {
      isTrue((await admin.groups()).includes(topic), 'the group is not listed')
      const expected = { state: 'stable', assignor: this.client.assignors[this.protocol], assigned: [[`${topic}:0`, `${topic}:1`]] }
      equal(await admin.describe(topic), expected, 'the group')
    })
    await check('groups with members are not deleted', async () => {
      await fails(() => admin.deleteGroup(topic), this.client.isError('NON_EMPTY_GROUP'), 'deleting a group with a member')
    })
    await member.leave()
    await check('unknown groups', async () => {
      const absent = this.name('absent')
      equal(await admin.committed(absent, topic, [0, 1]), {}, 'offsets of an unknown group')
      await fails(() => admin.deleteGroup(absent), this.client.isError('GROUP_ID_NOT_FOUND'), 'deleting an unknown group')
    })
    await check('alter offsets of a group', async () => {
      await soon(() => admin.alter(topic, topic, { 0: 7, 1: 8 }))
      const again = await this.member(topic, { manual: true })
      await waitForValues([again], ['14', '16', '18', '17', '19'])
      equal(again.records.length, 5, 'number of records behind the new offsets')
      await again.leave()
    })
    await check('delete offsets of a group', async () => {
      await soon(() => admin.deleteOffsets(topic, topic, [1]))
      equal(Object.keys(await offsets()), ['0'], 'partitions with offsets')
    })
    await check('delete groups', async () => {
      await soon(() => admin.deleteGroup(topic))
      isTrue(!(await admin.groups()).includes(topic), 'the group is still listed')
      equal(await offsets(), {}, 'offsets of the deleted group')
    })
  }

  // A group at work, to have the broker restarted under it.
  async settled () {
    const topic = await this.topic('restarts', 4)
    const load = new Load(this.client, topic, 4)
    const members = await Promise.all([this.member(topic), this.member(topic)])
    let written = 0
    const before = async () => {
      await waitForSplit(members, topic, [2, 2])
      written = load.count()
    }
    const after = async () => {
      await wait(() => written + 100 <= load.count(), () => 'the producer goes on')
      await waitForValues(members, numbers(0, load.count()))
      await waitForSplit(members, topic, [2, 2])
    }
    const end = async () => {
      await after()
      await waitForValues(members, await load.end())
      await Promise.all(members.map(member => member.leave()))
    }
    return { protocol: this.protocol, before, after, end }
  }
}

export async function main (client, version, protocols) {
  const [, , word, protocol, topic] = process.argv
  if (word === 'member') return new Groups(client, protocol).stay(topic)
  const checks = new Checks(client.name, version)
  const suites = protocols.map(protocol => new Groups(client, protocol))
  const runIn = suite => async (name, check) => {
    const full = `${suite.protocol}/${name}`
    if (!client.lacks.includes(full)) await checks.run(full, check)
  }
  const steps = suites.flatMap(suite => [
    ...Object.entries(suite.features()).map(([name, check]) => runIn(suite)(name, check)),
    suite.administration(runIn(suite))
  ])
  await Promise.all(steps)
  const groups = await Promise.all(suites.map(suite => suite.settled()))
  for (const [want, feature, outcome] of [
    ['restart', 'broker stopped and started under a group', 'after'],
    ['kill', 'broker killed under a group', 'end']
  ]) {
    await Promise.all(groups.map(group => group.before()))
    const done = await checks.want(want)
    await Promise.all(groups.map(group => checks.runIf(done, `${group.protocol}/${feature}`, group[outcome])))
  }
  checks.finish()
}
